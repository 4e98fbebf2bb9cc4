"""What the daemon tells others: metrics, probes and a read-only status over HTTP."""
