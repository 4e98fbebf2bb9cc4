"""Questions: one module each, data that one runner answers."""
