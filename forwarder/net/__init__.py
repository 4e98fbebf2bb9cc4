"""Speaks with others: what may come over a wire, and how much of it."""
