"""Whether the tables of a spool agree with each other, asked once when it is opened and before anything is changed.

Events have checksums, the small tables have none: a damaged number there would move a position over events that no
sink got, and nothing would show it. But each of their numbers stands in two places: the books balance, each letter is
counted as rejected, and no row names a source or lane that is not there, for neither is ever removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from forwarder.spool.books import DayBooks

_PAGES = """
SELECT 1 FROM (SELECT first_seq, last_seq, lag(last_seq, 1, 0) OVER (ORDER BY last_seq) AS before FROM pages)
WHERE first_seq > last_seq OR first_seq <= before
"""
_NEWEST = """
SELECT 1 FROM meta WHERE name = 'next_seq' AND (typeof(value) <> 'integer' OR value < 1
OR value <= (SELECT coalesce(max(last_seq), 0) FROM pages))
"""
_COUNTERS = "SELECT 1 WHERE (SELECT count(*) FROM meta WHERE name IN ('next_seq', 'id_bytes')) <> 2"
_POSITIONS = """
SELECT 1 FROM lanes
WHERE position < 0 OR head < position OR head >= (SELECT value FROM meta WHERE name = 'next_seq')
"""
_SETTLED = """
SELECT 1 FROM settled s LEFT JOIN lanes l ON l.number = s.lane
WHERE l.number IS NULL OR s.first > s.last OR s.first <= l.position
OR s.last >= (SELECT value FROM meta WHERE name = 'next_seq')
"""
_SOURCES = "SELECT 1 FROM {} WHERE source IS NOT NULL AND source NOT IN (SELECT number FROM sources)"
_SINKS = "SELECT 1 FROM {} WHERE lane NOT IN (SELECT number FROM lanes)"
_LETTERS = """
SELECT 1 FROM lane_books b LEFT JOIN (
  SELECT lane, source, day, count(*) AS held FROM dead_letters WHERE state = 0 AND former = 0 GROUP BY lane, source, day
) d ON d.lane = b.lane AND d.source = b.source AND d.day = b.day
WHERE b.discarded < 0 OR b.rejected - b.discarded <> coalesce(d.held, 0)
"""
_QUESTIONS = (
    ("a page ends before it begins, or holds numbers of another", _PAGES),
    ("a page is beyond the newest number", _NEWEST),
    ("a counter is missing", _COUNTERS),
    ("a position of a sink is impossible", _POSITIONS),
    ("a range that a sink settled is impossible", _SETTLED),
    *(
        (f"a row of {table} names a source that is not there", _SOURCES.format(table))
        for table in ("spooled", "cursors", "lane_books", "dead_letters", "pages", "gaps", "hours")
    ),
    *(
        (f"a row of {table} names a sink that is not there", _SINKS.format(table))
        for table in ("lane_books", "dead_letters", "overtaken", "doubts", "discards")
    ),
    ("there are more or fewer dead letters than the books count", _LETTERS),
    ("a row of replays names a sink that is not there", _SINKS.format("replays")),
    ("a dead letter is in a state that there is not", "SELECT 1 FROM dead_letters WHERE state NOT IN (0, 1, 2)"),
)
"""What must not be so, each with a query that gives a row when it is."""


def disagreement(con: sqlite3.Connection, books: list[DayBooks]) -> str:
    """Return what is wrong in the tables of a spool, or nothing.

    Args:
        con: Its connection, in a transaction.
        books: What the same tables say of each source, sink and day.
    """
    for what, query in _QUESTIONS:
        if con.execute(query).fetchone() is not None:
            return what
    for line in books:
        parts = (line.accepted, line.rejected, line.filtered, line.detached, line.waiting)
        if line.balance or min(line.spooled, *parts) < 0:
            return (
                f"of source {line.source}, {line.spooled} events of {line.day or 'no known day'} were written for sink "
                f"{line.sink}, but accepted "
                f"{line.accepted}, rejected {line.rejected}, filtered {line.filtered}, detached {line.detached} and "
                f"waiting {line.waiting} make {line.spooled - line.balance}"
            )
    return ""
