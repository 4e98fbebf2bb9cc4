"""Faces of an answer: JSON, CSV, a page; that of the terminal is in `forwarder.cli`. Each makes texts harmless."""
