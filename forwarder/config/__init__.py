"""How settings are read, placed and explained; `forwarder.config.settings` is the entrance."""
