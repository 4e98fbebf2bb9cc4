"""What is sent to us: one port for all sources that receive, and the hand-off of what came to the spool."""
