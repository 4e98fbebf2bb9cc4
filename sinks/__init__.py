"""Sinks: one file each, found through the entry points `audit_forwarder.sinks`."""
