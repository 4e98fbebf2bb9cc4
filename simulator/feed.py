"""The log of one organization: every version of every event, ordered by processing time, readable in slices.

Invariants: the order never changes, only grows; an event may be inserted before others that were already read (that is
what makes it late); bodies are shared, never copied. An event that is not visible yet waits outside the order.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIE_BITS = 22
"""Bits of a key that order events of one millisecond; the rest is the millisecond, and both fit into 63 bits."""


def first_key(ms: int) -> int:
    """Return the lowest key of what was processed in a millisecond."""
    return ms << _TIE_BITS


class Entry(msgspec.Struct, gc=False):
    """One version of one event.

    Attributes:
        id: Event id; for an event without one, `~` and a number.
        seq: Counts versions of the whole feed from 0.
        visible_ms: From when on it can be read.
        served: How often it was in a page that was sent complete.
    """

    id: str
    seq: int
    time_ms: int
    processed_ms: int
    visible_ms: int
    body: bytes
    served: int = 0

    @property
    def key(self) -> int:
        """Return its place in the order."""
        return first_key(self.processed_ms) | self.seq & ((1 << _TIE_BITS) - 1)

    @property
    def time_key(self) -> int:
        """Return its place in the order by event time."""
        return first_key(self.time_ms) | self.seq & ((1 << _TIE_BITS) - 1)


class Range(msgspec.Struct, frozen=True):
    """What a request asks for: a window of times in epoch milliseconds, both ends optional.

    Attributes:
        by_time: Whether the window looks at the event's time rather than at its processing time.
        inclusive: Whether events exactly at an end are inside.
    """

    lower: int | None = None
    upper: int | None = None
    by_time: bool = False
    inclusive: bool = True

    def holds(self, moment: int) -> bool:
        """Say whether a moment is inside."""
        low, high = (self.lower, self.upper) if self.inclusive else (_above(self.lower), _below(self.upper))
        return (low is None or moment >= low) and (high is None or moment <= high)


def _above(value: int | None) -> int | None:
    return None if value is None else value + 1


def _below(value: int | None) -> int | None:
    return None if value is None else value - 1


class Feed:
    """Everything that was ever logged in one organization."""

    def __init__(self) -> None:
        self._order: list[Entry] = []
        self._keys = array("q")
        self._waiting: list[tuple[int, int, Entry]] = []
        self._by_id: dict[str, list[Entry]] = {}
        self._newest: list[Entry] = []
        self._newest_of = -1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, ident: str, time_ms: int, processed_ms: int, visible_ms: int, body: bytes) -> Entry:
        """Log one version of an event; it waits until `reveal` reaches `visible_ms`."""
        entry = Entry(ident, self._count, time_ms, processed_ms, visible_ms, body)
        self._count += 1
        self._by_id.setdefault(ident, []).append(entry)
        heapq.heappush(self._waiting, (visible_ms, entry.seq, entry))
        return entry

    def reveal(self, now_ms: int) -> None:
        """Make visible what is due."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now_ms:
            entry = heapq.heappop(waiting)[2]
            key = entry.key
            if not self._keys or key > self._keys[-1]:
                self._keys.append(key)
                self._order.append(entry)
            else:
                place = bisect_left(self._keys, key)
                self._keys.insert(place, key)
                self._order.insert(place, entry)

    def walk(self, wanted: Range, after: int | None, limit: int, *, ascending: bool = True) -> list[Entry]:
        """Return up to `limit` entries of a range that come after a key, in order of processing."""
        start, end = 0, len(self._order)
        if not wanted.by_time:
            start, end = self._bounds(wanted)
        if ascending:
            first = start if after is None else max(start, bisect_right(self._keys, after))
            if not wanted.by_time:
                return self._order[first : min(first + limit, end)]
            return _take((self._order[place] for place in range(first, end)), wanted, limit)
        last = end if after is None else min(end, bisect_left(self._keys, after))
        return _take((self._order[place] for place in range(last - 1, start - 1, -1)), wanted, limit)

    def before(self, key: int, count: int) -> list[Entry]:
        """Return up to `count` entries that come right before a key, that one included."""
        place = bisect_right(self._keys, key)
        return self._order[max(0, place - count) : place]

    def _bounds(self, wanted: Range) -> tuple[int, int]:
        lower, upper = wanted.lower, wanted.upper
        if not wanted.inclusive:
            lower, upper = _above(lower), _below(upper)
        start = 0 if lower is None else bisect_left(self._keys, first_key(lower))
        end = len(self._keys) if upper is None else bisect_left(self._keys, first_key(upper + 1))
        return start, max(start, end)

    def newest_first(self) -> list[Entry]:
        """Return the latest visible version of every event, by event time, newest first."""
        if self._newest_of != len(self._order):
            latest = {entry.id: entry for entry in self._order}
            self._newest = sorted(latest.values(), key=lambda entry: entry.time_key, reverse=True)
            self._newest_of = len(self._order)
        return self._newest

    def latest(self, ident: str, now_ms: int) -> Entry | None:
        """Return the latest visible version of an event."""
        visible = [entry for entry in self._by_id.get(ident, ()) if entry.visible_ms <= now_ms]
        return max(visible, key=lambda entry: entry.key, default=None)

    def versions(self) -> dict[str, list[Entry]]:
        """Return every version by event id, in the order they were logged."""
        return self._by_id

    @property
    def visible(self) -> int:
        """Count the versions that can be read."""
        return len(self._order)


def _take(entries: Iterator[Entry], wanted: Range, limit: int) -> list[Entry]:
    found: list[Entry] = []
    by_time = wanted.by_time
    for entry in entries:
        if len(found) == limit:
            break
        if wanted.holds(entry.time_ms if by_time else entry.processed_ms):
            found.append(entry)
    return found
