"""The container image: built without an engine by `packaging/build-image`, run by runc as a cluster would run it."""
