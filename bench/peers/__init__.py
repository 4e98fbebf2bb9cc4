"""What others cost beside us, for as much of the work as each does: `python -m bench.peers`."""
