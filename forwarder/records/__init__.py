"""From the spool's bytes to what a sink sends: meaning, filter, privacy, format, in this order."""
