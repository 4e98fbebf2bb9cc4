"""What each command does; `forwarder.cli.first` and `app` say how it is called, and import these only when they are."""
