"""What each command does; `forwarder.cli.app` says how it is called, and imports these only when they are."""
