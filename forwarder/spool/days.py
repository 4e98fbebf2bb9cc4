"""The days of a page's events: runs of (day, events) in the order of their numbers, and how its row holds them.

A day is the date of an event's time as its log writes it (`2026-01-31`), or empty when it has none that can be one.
Most pages are of one day. Pure.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Run = tuple[str, int]

UNKNOWN = ""
"""The day of events without a time, and of all that was booked before the books had days."""

_EARLIEST, _LATEST = "1990-01-01", "2100-01-01"
"""Bounds of what can be the day of an event: who writes them from outside must not fill the books."""


def of_minutes(minutes: Iterable[str]) -> list[Run]:
    """Return the runs of events whose times begin with these minutes (`2026-01-31T23:59`)."""
    return [(day, sum(1 for _ in group)) for day, group in groupby(map(_day, minutes))]


@lru_cache(maxsize=4096)
def _day(minute: str) -> str:
    day = minute[:10]
    try:
        is_one = date.fromisoformat(day).isoformat() == day and _EARLIEST <= day < _LATEST  # not 2026-W05-1
    except ValueError:
        return UNKNOWN
    return day if is_one else UNKNOWN


def written(runs: Sequence[Run]) -> str:
    """Return runs as text: the day alone when there is one only, else `day*events` of each."""
    if len(runs) == 1:
        return runs[0][0]
    return " ".join(f"{day}*{events}" for day, events in runs)


def read(text: str, events: int) -> list[Run]:
    """Return the runs of a page of so many events. Raises ValueError when they do not add up."""
    if "*" not in text:
        return [(text, events)]
    parts = [part.partition("*") for part in text.split(" ")]
    runs = [(day, int(count)) for day, _, count in parts]
    if sum(count for _, count in runs) != events or any(count < 1 for _, count in runs):
        raise ValueError("its days do not add up")
    return runs


def between(runs: Iterable[Run], start: int, end: int) -> Iterator[Run]:
    """Yield the runs of the events at the positions start..end, `end` excluded."""
    at = 0
    for day, events in runs:
        inside = min(end, at + events) - max(start, at)
        if inside > 0:
            yield day, inside
        at += events
