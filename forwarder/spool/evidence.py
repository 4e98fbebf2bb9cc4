"""What a reconciliation asks of a spool: part of its contract, apart from what pollers and lanes need.

The ids that a spool remembers are more than the events it still holds, so an event can be named after it has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.spool.books import DayBooks
    from forwarder.spool.gap import Gap, GapChange

EVERY_NUMBER = (1, 2**62)
"""A stretch that leaves out no number."""


class IdsWanted(msgspec.Struct, frozen=True):
    """Which remembered ids are asked for.

    Attributes:
        source: Name of the source.
        sink: Whose audience: pages for everybody, and those for this sink alone.
        day: The date of the events' times as their log writes them; empty: those without a time.
        first, last: Numbers of the spool between which the pages lie that brought them, both included.
    """

    source: str
    sink: str
    day: str
    first: int = EVERY_NUMBER[0]
    last: int = EVERY_NUMBER[1]


class IdPage(msgspec.Struct, frozen=True):
    """Some of the ids that were asked for, and where the next page begins; None after the last."""

    ids: list[str]
    after: tuple[str, str] | None = None


class Evidence(Protocol):
    """What is known of events that a sink should have."""

    async def forgotten_days(self, source: str) -> dict[str, int]:
        """Return how many events of each day were spooled for all sinks and are not known by their ids any more."""
        ...

    async def day_books(self, since: str = "", until: str = "9999") -> list[DayBooks]:
        """Return one line per source, lane and day from `since` to `until` (ISO 8601 dates), both included."""
        ...

    async def known_ids(self, wanted: IdsWanted, *, after: tuple[str, str] | None = None, limit: int = 1000) -> IdPage:
        """Return document ids, `limit` or a few more: what one minute brought stays together.

        Args:
            wanted: Which.
            after: From the page before; None at the beginning.
            limit: How many, about.
        """
        ...

    async def change_gaps(self, opened: Sequence[Gap], changes: Sequence[GapChange]) -> None:
        """Put gaps on record, and what became of others; one that is closed or lost stays so."""
        ...

    async def gaps_that_matter(self) -> list[Gap]:
        """Return every gap that is not closed, and those that are after which events are counted twice; by number."""
        ...

    async def record_loss(self, gap: Gap) -> None:
        """Put on record how many events of a stretch of time a sink does not have, in place of what was known of it.

        A gap with 0 events closes the one that is open, by `gap.closed_by`; of one that was closed a new one is opened.
        """
        ...
