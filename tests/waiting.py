"""Waiting for a condition, as the clauses of `forwarder.testing` do."""

from forwarder.testing.waiting import LONGEST, describe, until

__all__ = ["LONGEST", "describe", "until"]
