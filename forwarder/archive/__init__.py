"""The archive: how evidence lies in a folder or bucket, and how it is proved to be whole and unchanged."""
