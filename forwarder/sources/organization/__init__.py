"""The audit log of an Atlassian organization."""
