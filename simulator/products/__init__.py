"""Audit logs of single products, from the same world: Jira and Confluence sites, and Data Center nodes."""
