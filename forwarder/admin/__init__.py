"""What others may ask the daemon: metrics, probes and status over HTTP, verbs of commands over a Unix socket."""
