"""Files of one event a line."""
