"""Installing: what a release is made of, and every documented way to it, from nothing."""
