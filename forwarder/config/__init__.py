"""How settings are read, placed and explained; `forwarder.settings` is the entrance."""
