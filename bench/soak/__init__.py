"""A daemon under load for an hour, with faults on every side: does anything in it grow? `make soak`, see `__main__`."""
