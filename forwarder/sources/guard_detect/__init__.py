"""Alerts of Guard Detect, which it sends to us."""
