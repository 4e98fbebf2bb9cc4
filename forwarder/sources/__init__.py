"""Sources: one folder an audit log, its reader and its normaliser; found through entry points."""
