"""The audit log of Jira Cloud."""
