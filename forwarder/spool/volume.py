"""How many events an hour brings, and how many it brought in the same hour of the weeks before. Pure.

Hours are those of the events' own times, in UTC, as numbers since 1970; a week later is the same hour of the week.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

WEEKS = 8
"""So many weeks are remembered."""

LEAST_WEEKS = 3
"""Weeks before which nothing is said: less than that is no habit."""

WEEK = 7 * 24
HOUR_MS = 3_600_000
SETTLED_MS = 900_000
"""An hour is looked at so long after its end: events take some minutes to show."""


class Volume(msgspec.Struct, frozen=True):
    """The last hour that is over, and the same hour of the weeks before.

    Attributes:
        hour: Hours since 1970, UTC.
        events: What it brought, as far as it was read.
        expected: The median of the weeks before.
        least: Their least.
        weeks: How many of them are known, `WEEKS` at most.
    """

    hour: int
    events: int
    expected: float
    least: int
    weeks: int

    @property
    def is_least(self) -> bool:
        """Tell whether this hour brought less than it ever did, over enough weeks to say so."""
        return self.weeks >= LEAST_WEEKS and self.events < self.least

    @property
    def over(self) -> float:
        """Return when the hour was over, epoch seconds."""
        return (self.hour + 1) * 3600.0


def hour_to_judge(now_ms: int) -> int:
    """Return the last hour whose events may be expected to be there."""
    return (now_ms - SETTLED_MS) // HOUR_MS - 1


def volume(hour: int, first: int, events: Mapping[int, int]) -> Volume:
    """Compare an hour with the same one of the weeks before.

    Args:
        hour: Which one.
        first: The first hour that is known at all.
        events: Events by hour; what is not in it was 0.
    """
    weeks = max(0, min(WEEKS, (hour - first) // WEEK))
    before = [events.get(hour - WEEK * week, 0) for week in range(1, weeks + 1)]
    return Volume(hour, events.get(hour, 0), float(median(before)) if before else 0.0, min(before, default=0), weeks)


@lru_cache(maxsize=4096)
def hour_of(minute: str) -> int | None:
    """Return the hour of a time such as `2026-01-31T23:59`, or None for what is none."""
    try:
        moment = datetime.strptime(minute[:13], "%Y-%m-%dT%H").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) // 3600
