"""The audit log of Confluence Cloud."""
