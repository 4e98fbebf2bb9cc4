"""Figures of the spool that were promised or measured: how much memory and disk it takes, how long a step lasts, what is kept."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from forwarder.spool import letter
from forwarder.spool.books import Books
from forwarder.spool.contract import Chunk, Committed, Exchange, Settlement
from forwarder.spool.gap import Gap
from forwarder.spool.letter import DeadLetter, LetterAct
from forwarder.spool.sqlite import (
    database,
    exchange,
    files,
    glimpse,
    ids,
    lanes,
    letters,
    pages,
    presence,
    probe,
    report,
    rescue,
    retention,
    store,
)
from forwarder.spool.sqlite.store import SqliteSpool
from tests.spool.spools import ACME, opened

DAY = 86_400_000

FIGURES = {
    "memory: what one exchange gives, what is cached, what is compressed in one piece": [
        (exchange.READ_BYTES, 8_388_608),
        (pages._CACHE_BYTES, 4_194_304),
        (pages._IN_PARTS, 4_194_304),
        (pages.LEVEL, 1),
    ],
    "disk: the log, the reserve that holds it, what a page and a row of ids cost beside their bytes": [
        (files.LOG_PAGES, 256),
        (database.RESERVE_BYTES, 1_572_864),
        (retention._OVERHEAD, 512),
        (retention._SPARE, 1024),
        (ids.ROW_BYTES, 64),
    ],
    "time: no step keeps others waiting for more than about 0.1 s": [
        (retention.PAGES_A_CHUNK, 200),
        (retention.VACUUM_STEP, 2000),
        (retention._ID_ROWS_A_CHUNK, 5000),
        (store._MOST_STEPS, 8),
        (rescue._STEP, 1024),
        (files._STEPS, 100_000),
    ],
    "what is kept, and how long": [
        (retention._SEEN_EVERY_MS, 60_000),
        (retention._TO_OPEN_MS, 3_600_000),
        (retention._GAPS_KEPT_MS, 90 * DAY),
        (letters.DISCARDS_KEPT_MS, 365 * DAY),
        (lanes._MOST_DOUBTS, 10_000),
        (letter.LONGEST_DETAIL, 1000),
    ],
    "what is shown": [
        (report._MOST_GAPS, 1000),
        (report._RECENT_MS, 3_600_000),
        (report._RECENT_PAGES, 2000),
        (report._LEAST_MS, 60_000),
        (glimpse._TRIES, 5),
        (probe._TRIES, 7),
        (probe.LEAST_FREE, 67_108_864),
    ],
    "what SQLite writes first in a file: enough to tell one from another": [
        (files._HEADER, 100),
        (presence._HEADER, 100),
        (files.APPLICATION_ID, 1_096_107_603),
    ],
}


@pytest.mark.parametrize("what", FIGURES)
def test_the_figures(what: str) -> None:
    for figure, expected in FIGURES[what]:
        assert figure == expected


async def test_what_sqlite_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        spool: Any = harness.spool
        asked = ("wal_autocheckpoint", "journal_size_limit", "temp_store", "synchronous", "auto_vacuum")
        found = await spool._worker.run(lambda: [spool._parts.database.pragma(name) for name in asked])
    assert found == [256, 16_777_216, 2, 2, 2]


def test_what_is_not_said_is_nothing() -> None:
    assert Gap("detached") == Gap("detached", opened_ms=0, number=0)
    assert Committed(1, 2, 3, 4, {}).derived == 0
    assert Exchange(0, 0, []).unreadable == 0
    assert Books("a", "b", 0, 0, 0, 0, 0, 0).discarded == 0
    assert LetterAct("one", ()).left == 0
    assert Chunk(1, ACME, 5, [b"x", b"y"], b"", 0).last == 6
    made = DeadLetter(1, 1, "", "", "", b"")
    assert (made.at_ms, made.number, made.read_ms, made.tries) == (0, 0, 0, 1)
    assert (made.derived, made.retried, made.former) == (False, False, False)


def test_a_settlement_is_something_as_soon_as_anything_is_in_it() -> None:
    letter = DeadLetter(1, 1, "", "", "", b"")
    assert not Settlement()
    assert Settlement([(1, 1)])
    assert Settlement(dead_letters=[letter])
    assert Settlement(doubts=[((1, 1), "restart")])


def test_what_is_asked_for_unless_something_else_is_said() -> None:
    def defaults(of: Any) -> dict[str, Any]:
        return {
            name: one.default for name, one in inspect.signature(of).parameters.items() if one.default is not one.empty
        }

    asked = defaults(SqliteSpool.dead_letters)
    assert (asked["lane"], asked["after"], asked["limit"], asked["events"]) == (None, 0, 100, True)
    opening = defaults(SqliteSpool.open)
    assert (opening["create"], opening["stop"]()) == (True, False)
