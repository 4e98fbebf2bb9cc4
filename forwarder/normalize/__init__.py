"""Raw JSON of each product to the one canonical event: one module a feed, and the catalogue of actions."""
