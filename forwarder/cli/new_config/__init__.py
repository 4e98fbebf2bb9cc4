"""`init`: from a few answers to a configuration that works."""
