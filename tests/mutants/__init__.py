"""Small wrong changes to the core, one at a time, each held against the tests of its area: `make mutants`."""
