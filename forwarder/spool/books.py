"""The books: what became of every event that was spooled, by source and sink, and by day. Plain data."""

from __future__ import annotations

import msgspec


class Books(msgspec.Struct, frozen=True):
    """One line of the books: spooled = accepted + rejected + filtered + detached + waiting, since the lane's start.

    `rejected` are the dead letters there are and the `discarded` ones; a letter that is retried is waiting again.
    """

    source: str
    sink: str
    spooled: int
    accepted: int
    rejected: int
    filtered: int
    detached: int
    waiting: int
    discarded: int = 0

    @property
    def balance(self) -> int:
        """Zero, or events are lost or invented."""
        return self.spooled - self.accepted - self.rejected - self.filtered - self.detached - self.waiting


class DayBooks(Books, frozen=True):
    """A line of the books for the events of one day, as their log writes it; empty: unknown, or before there were days.

    `compared` events were read again to see whether all are there, and `recovered` ones were new then; both are of the
    source, for every sink.
    """

    day: str = ""
    compared: int = 0
    recovered: int = 0
