"""Evidence for years: what the API sent, in immutable objects in a folder or bucket."""
