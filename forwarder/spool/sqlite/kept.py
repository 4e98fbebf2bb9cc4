"""Events that the spool still holds, by the day on which they happened."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from forwarder.spool.operations import HeldEvents
from forwarder.spool.sqlite.pages import DamagedPage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from forwarder.spool.sqlite.pages import Pages

MOST_BYTES = 2_000_000
"""Bytes of events that are given at once, or one page."""

MOST_PAGES = 1000
"""Pages that are looked at at once."""

_SPOOLED = """
SELECT day, sum(events) FROM spooled WHERE audience = '' AND source IN (SELECT number FROM sources WHERE name = ?)
GROUP BY day
"""


class KeptEvents:
    """Reads pages beside the lanes. Runs inside its caller's transaction."""

    def __init__(self, con: sqlite3.Connection, pages: Pages) -> None:
        self._con = con
        self._pages = pages

    def events(self, source: str, days: Collection[str], after: int) -> HeldEvents:
        """Return events of a source that happened on these days, from a number on."""
        found = self._con.execute("SELECT number FROM sources WHERE name = ?", (source,)).fetchone()
        if found is None:
            return HeldEvents([], {}, None)
        spooled = {}
        if not after:
            spooled = {day: events for day, events in self._con.execute(_SPOOLED, (source,)) if day in days}
        bodies: list[bytes] = []
        counts: Counter[str] = Counter()
        size = 0
        rows = self._pages.of_source(found[0], after, MOST_PAGES)
        for row in rows:
            runs = [(day, events) for day, events in row.by_day(row.first, row.last) if day in days]
            if runs:
                with contextlib.suppress(DamagedPage):  # whoever delivers it puts that on record
                    read = self._pages.read(row).bodies
                    bodies += read
                    size += sum(map(len, read))
                    for day, events in runs:
                        counts[day] += events
            if size >= MOST_BYTES:
                return HeldEvents(bodies, dict(counts), row.last, spooled)
        return HeldEvents(bodies, dict(counts), rows[-1].last if len(rows) == MOST_PAGES else None, spooled)
