"""Far ends for demos, rehearsals and tests: they refuse what the real ones refuse, and tell what they hold."""
