"""The audit log of Data Center products (Jira, Confluence, Bitbucket)."""
