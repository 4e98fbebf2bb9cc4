"""What others may ask the daemon: metrics, probes, status and pages over HTTP, verbs of commands over a Unix socket."""
