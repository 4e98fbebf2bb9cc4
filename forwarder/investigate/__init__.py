"""Questions over the archive: what an account did, and who looked at a page."""
