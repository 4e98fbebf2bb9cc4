"""LEEF 2.0, QRadar's Log Event Extended Format."""
