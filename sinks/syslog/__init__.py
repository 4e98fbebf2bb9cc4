"""Syslog receivers."""
