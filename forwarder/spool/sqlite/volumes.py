"""The table `hours`: how many events of a source happened in each hour of the last weeks, a row for each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from forwarder.spool.volume import HOUR_MS, WEEK, WEEKS, Volume, hour_of, hour_to_judge, volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.spool.sqlite.database import Database

_KEPT = (WEEKS + 1) * WEEK
"""Hours."""


class Volumes:
    """Counts by hour. Runs inside its caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._con = database.con
        self._pruned: dict[int, int] = {}

    def count(self, source: int, minutes: Iterable[str], now_ms: int) -> None:
        """Count new events by their times; one that is older than what is kept, or of the future, is of no use here."""
        now = now_ms // HOUR_MS
        rows = [
            (source, hour, events)
            for text, events in Counter(minute[:13] for minute in minutes).items()
            if (hour := hour_of(text)) is not None and now - _KEPT < hour <= now
        ]
        if not rows:
            return
        self._con.executemany(
            "INSERT INTO hours VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET events = events + excluded.events", rows
        )
        if self._pruned.get(source) != now:
            self._con.execute("DELETE FROM hours WHERE source = ? AND hour <= ?", (source, now - _KEPT))
            self._pruned[source] = now

    def of(self, source: int, now_ms: int) -> Volume | None:
        """Return the last hour that is over, beside the same one of the weeks before; None before anything is known."""
        (first,) = self._con.execute("SELECT min(hour) FROM hours WHERE source = ?", (source,)).fetchone()
        if first is None:
            return None
        hour = hour_to_judge(now_ms)
        asked = [hour - WEEK * week for week in range(WEEKS + 1)]
        places = ", ".join("?" * len(asked))
        found = self._con.execute(
            f"SELECT hour, events FROM hours WHERE source = ? AND hour IN ({places})",  # noqa: S608 -- question marks
            (source, *asked),
        )
        return volume(hour, first, dict(found.fetchall()))
