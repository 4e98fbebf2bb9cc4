"""Sources: one file an audit log, found through the entry points `audit_forwarder.sources`."""
