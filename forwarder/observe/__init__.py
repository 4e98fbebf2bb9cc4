"""What is shown of a running forwarder: reports, metrics, status and log."""
