"""OCSF, the Open Cybersecurity Schema Framework."""
