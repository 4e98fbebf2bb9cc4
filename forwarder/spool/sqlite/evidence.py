"""The ids that the spool remembers, by day and by number, and gaps that were found by a look at a sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts.identity import document_id
from forwarder.spool.evidence import IdPage
from forwarder.spool.sqlite.ids import versions

if TYPE_CHECKING:
    import sqlite3

    from forwarder.spool.evidence import IdsWanted
    from forwarder.spool.gap import Gap
    from forwarder.spool.sqlite.gaps import Losses

_MOST_MINUTES = 1000
_BY_DAY = """
SELECT DISTINCT audience, minute FROM ids
WHERE source = :source AND audience IN ('', :sink) AND minute >= :begin AND minute < :end
AND (audience, minute) > (:audience, :minute) ORDER BY audience, minute LIMIT :most
"""
_BY_NUMBER = """
SELECT DISTINCT audience, minute FROM ids
WHERE number BETWEEN :first AND :last AND source = :source AND audience IN ('', :sink)
AND minute >= :begin AND minute < :end
AND (audience, minute) > (:audience, :minute) ORDER BY audience, minute LIMIT :most
"""


class KnownIds:
    """Reads the table `ids` beside the memory of it. Runs inside its caller's transaction.

    Args:
        con: The spool's connection.
        losses: The table of gaps.
    """

    def __init__(self, con: sqlite3.Connection, losses: Losses) -> None:
        self._con = con
        self._losses = losses

    def page(self, wanted: IdsWanted, after: tuple[str, str] | None, limit: int) -> IdPage:
        """Return the ids of whole minutes, until there are `limit`; no more than one minute is in memory beside."""
        found = self._con.execute("SELECT number FROM sources WHERE name = ?", (wanted.source,)).fetchone()
        if found is None:
            return IdPage([])
        # what has no time has a stand-in for its minute: `?` and two digits
        begin, end = (wanted.day, f"{wanted.day}~") if wanted.day else ("?", "@")
        audience, minute = after or ("", "")
        everywhere = wanted.first <= 1 and wanted.last >= self._newest()
        minutes = self._con.execute(
            _BY_DAY if everywhere else _BY_NUMBER,
            {
                "source": found[0],
                "sink": wanted.sink,
                "begin": begin,
                "end": end,
                "audience": audience,
                "minute": minute,
                "first": wanted.first,
                "last": wanted.last,
                "most": _MOST_MINUTES,
            },
        ).fetchall()
        ids: list[str] = []
        for at, (audience, minute) in enumerate(minutes, 1):
            ids += self._documents(found[0], audience, minute, wanted.first, wanted.last)
            if len(ids) >= limit or at == _MOST_MINUTES:
                return IdPage(ids, (audience, minute))
        return IdPage(ids)

    def _newest(self) -> int:
        return int(self._con.execute("SELECT coalesce(max(number), 0) FROM ids").fetchone()[0])

    def _documents(self, source: int, audience: str, minute: str, first: int, last: int) -> list[str]:
        """Return the documents that one minute brought: of each key its first version, and the revisions behind it."""
        known: set[bytes] = set()
        ids: list[str] = []
        for number, entries in self._con.execute(
            "SELECT number, entries FROM ids WHERE source = ? AND audience = ? AND minute = ? ORDER BY number",
            (source, audience, minute),
        ):
            for key, digest in versions(entries):
                if first <= number <= last:
                    ids.append(document_id(key, digest if key in known else None))
                known.add(key)
        return ids

    def record(self, gap: Gap, now_ms: int) -> None:
        """Write what a look at a sink found in place of what an earlier one of the same stretch had found."""
        row = self._con.execute(
            "SELECT number, events FROM gaps WHERE cause = ? AND lane IS ? AND source IS ? AND from_ms IS ? "
            "AND to_ms IS ? AND closed_ms IS NULL",
            (gap.cause, gap.lane, gap.source, gap.from_ms, gap.to_ms),
        ).fetchone()
        if row is None and gap.events:
            self._losses.open(gap, now_ms)
        elif row is not None and gap.events:
            self._con.execute(
                "UPDATE gaps SET events = ?, detail = ? WHERE number = ?", (gap.events, gap.detail, row[0])
            )
        elif row is not None:
            self._con.execute(
                "UPDATE gaps SET closed_ms = ?, closed_by = ? WHERE number = ?", (now_ms, gap.closed_by, row[0])
            )
