"""The durable hand-off between pollers and lanes."""
