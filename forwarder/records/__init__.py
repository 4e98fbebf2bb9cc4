"""From the spool's bytes to what a sink sends: filter, privacy, meaning, format."""
