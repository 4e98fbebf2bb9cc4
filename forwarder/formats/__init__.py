"""Canonical events to bytes: one module or folder a format, and `kit/` for what they share."""
