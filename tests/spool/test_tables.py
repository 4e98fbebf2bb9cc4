"""The tables of pages and ids by themselves, in memory: what is found, kept, counted and given up, to the number."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite import pages as pages_module
from forwarder.spool.sqlite import schema
from forwarder.spool.sqlite.gaps import _gap_of
from forwarder.spool.sqlite.ids import ROW_BYTES, IdMemory, oldest_minute
from forwarder.spool.sqlite.pages import Content, DamagedPage, PageRow, Pages
from forwarder.spool.sqlite.pushed import PushedVersions
from tests.spool.spools import body_of, key_of, page_of

ENTRY = 24
STREAM = (1, "")


@pytest.fixture
def con() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    for step in schema.MIGRATIONS:
        made.executescript(step)
    yield made
    made.close()


# --------------------------------------------------------------------------------------------------------------- pages


def content(*names: str, size: int = 0, **more: Any) -> Content:
    bodies = [body_of(name, "x" * size) for name in names]
    return Content(bodies, b"".join(map(key_of, names)), **{"revisions": {}, "derived": frozenset(), **more})


def add(pages: Pages, first: int, made: Content, audience: str = "", source: int = 1) -> PageRow:
    packed, runs = pages.pack(made), [("2026-01-31", len(made.bodies))]
    return pages.add(
        first, source, audience, packed, committed_ms=7, oldest_minute="", newest_ms=None, reader="tail", runs=runs
    )


@pytest.fixture
def three(con: sqlite3.Connection) -> Pages:
    """Pages 1-2, 3-5 (only for `archive`) and 6-9."""
    pages = Pages(con)
    add(pages, 1, content("a", "b"))
    add(pages, 3, content("c", "d", "e"), "archive")
    add(pages, 6, content("f", "g", "h", "i"))
    return pages


def spans(rows: list[PageRow]) -> list[tuple[int, int]]:
    return [(row.first, row.last) for row in rows]


@pytest.mark.parametrize(
    ("span", "found"),
    [
        ((1, 1), [(1, 2)]),
        ((2, 3), [(1, 2), (3, 5)]),
        ((2, 2), [(1, 2)]),
        ((3, 3), [(3, 5)]),
        ((5, 5), [(3, 5)]),
        ((5, 6), [(3, 5), (6, 9)]),
        ((9, 50), [(6, 9)]),
        ((10, 50), []),
        ((1, 9), [(1, 2), (3, 5), (6, 9)]),
    ],
)
def test_the_pages_that_touch_a_range(three: Pages, span: tuple[int, int], found: list[tuple[int, int]]) -> None:
    assert spans(three.spanning(span)) == found
    assert spans(three.spanning(span, "archive")) == found
    assert spans(three.spanning(span, "elastic")) == [one for one in found if one != (3, 5)]


def test_the_next_page_for_somebody(three: Pages) -> None:
    def after(seq: int, audience: str) -> tuple[int, int] | None:
        row = three.after(seq, audience)
        return None if row is None else (row.first, row.last)

    assert [after(seq, "archive") for seq in (0, 1, 2, 4, 5, 8, 9)] == [
        (1, 2), (1, 2), (3, 5), (3, 5), (6, 9), (6, 9), None,
    ]  # fmt: skip
    assert [after(seq, "x") for seq in (1, 2, 5)] == [(1, 2), (6, 9), (6, 9)]


def test_where_the_oldest_pages_end(three: Pages, con: sqlite3.Connection) -> None:
    oldest = three.oldest()
    assert oldest is not None
    assert (oldest.first, oldest.last, oldest.events) == (1, 2, 2)
    sizes = [row[0] for row in con.execute("SELECT bytes FROM pages ORDER BY last_seq")]
    assert three.end_of_oldest(1) == 2
    assert three.end_of_oldest(sizes[0]) == 2
    assert three.end_of_oldest(sizes[0] + 1) == 5
    assert three.end_of_oldest(sizes[0] + sizes[1]) == 5
    assert three.end_of_oldest(10**9) == 9
    assert [three.end_before(seq) for seq in (0, 1, 2, 4, 5, 99)] == [0, 0, 2, 2, 5, 9]
    three.remove([2, 5, 9])
    assert (three.oldest(), three.end_of_oldest(1), three.end_before(99)) == (None, 0, 0)


@pytest.mark.parametrize(
    ("pages", "from_ms", "to_ms"),
    [
        ([("2026-01-31T12:00", 900), ("2026-01-31T12:05", 700)], 1769860800000, 900),
        ([("2026-01-31T12:05", 700), ("2026-01-31T12:00", 900)], 1769860800000, 900),
        ([("2026-01-31T12:00", 300), ("", 900)], None, 900),
        ([("2026-01-31T12:00", None)], 1769860800000, 500),
        ([("2026-01-31T12:00", None), ("2026-01-31T12:00", 400)], 1769860800000, 500),
        ([("no time at all", 900)], None, 900),
    ],
)
def test_a_gap_reaches_from_the_oldest_event_of_its_pages_to_the_newest(
    pages: list[tuple[str, int | None]], from_ms: int | None, to_ms: int
) -> None:
    rows = [
        PageRow(10 * number, 10 * number - 9, 3, "", 1, 500, minute, newest, 0)
        for number, (minute, newest) in enumerate(pages, 1)
    ]
    gap = _gap_of([(row, 4) for row in rows], "detached", "why", "one")
    assert (gap.from_ms, gap.to_ms) == (from_ms, to_ms)
    assert (gap.first_seq, gap.last_seq, gap.events) == (1, 10 * len(rows), 4 * len(rows))
    assert (gap.cause, gap.detail, gap.source, gap.lane) == ("detached", "why", 3, "one")


def test_a_page_comes_back_as_it_was_with_its_marks(con: sqlite3.Connection) -> None:
    pages = Pages(con)
    for first, marks in (
        (1, {}),
        (4, {"revisions": {0: b"digest_0", 2: b"digest_2"}}),
        (7, {"derived": frozenset({1})}),
        (10, {"revisions": {1: b"digest_1"}, "derived": frozenset({0, 2})}),
    ):
        made = content("a", "b", "c", **marks)
        row = add(pages, first, made)
        assert (row.first, row.last) == (first, first + 2)
        stored = con.execute(
            "SELECT length(packed) + length(keys) + length(marks), length(marks) FROM bodies WHERE last_seq = ?",
            (row.last,),
        ).fetchone()
        assert row.bytes == stored[0]
        assert bool(stored[1]) is bool(marks)
        assert pages.read(row) == made
        assert pages.read(row) is pages.read(row), "read from the disk once, for all lanes"


@pytest.mark.parametrize("number", ["last", "first", "source", "audience"])
def test_the_numbers_of_a_page_are_part_of_its_checksum(con: sqlite3.Connection, number: str) -> None:
    pages = Pages(con)
    row = add(pages, 1, content("a", "b"))
    if number == "last":
        con.execute("UPDATE bodies SET last_seq = 3")
    column = "audience = 'x'" if number == "audience" else f"{'source' if number == 'source' else number + '_seq'} = 3"
    con.execute(f"UPDATE pages SET {column}")
    (changed,) = pages.spanning((1, 9))
    assert changed != row
    with pytest.raises(DamagedPage, match="checksum"):
        pages.read(changed)


def test_the_newest_four_mebibytes_are_in_memory_and_no_more(con: sqlite3.Connection) -> None:
    pages = Pages(con)
    made = Content([bytes(2**20)], b"k" * 16, {}, frozenset())
    for number in range(1, 8):
        pages.remember(add(pages, number, made), made)
    assert list(pages._cache) == list(range(4, 8))


def test_the_newest_pages_are_read_from_memory_and_the_last_of_them_whatever_its_size(
    con: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [content(name, size=1000) for name in "abcd"]
    size = len(made[0].bodies[0])
    monkeypatch.setattr(pages_module, "_CACHE_BYTES", 2 * size)
    pages = Pages(con)
    rows = [add(pages, number, one) for number, one in enumerate(made, 1)]

    def remembered() -> list[bool]:
        return [pages._cache.get(row.last) is not None for row in rows]

    pages.remember(rows[0], made[0])
    pages.remember(rows[1], made[1])
    assert remembered() == [True, True, False, False]
    pages.read(rows[0])  # used again, so the other one goes first
    pages.remember(rows[2], made[2])
    assert remembered() == [True, False, True, False]
    pages.remember(rows[2], made[2])  # the same again counts once
    assert remembered() == [True, False, True, False]
    pages.drop([rows[0].last])
    pages.remember(rows[3], made[3])
    assert remembered() == [False, False, True, True]
    pages.remove([rows[2].last, rows[3].last])
    assert remembered() == [False] * 4
    monkeypatch.setattr(pages_module, "_CACHE_BYTES", size - 1)
    for number in (0, 1):
        pages.remember(rows[number], made[number])
        assert remembered()[number]
        assert sum(remembered()) == 1
    pages.remove([1])
    assert pages._cached == size


# ----------------------------------------------------------------------------------------------------------------- ids


class Ids:
    """The memory of ids, and pages that are committed into it."""

    def __init__(self, con: sqlite3.Connection, limit: int = 10_000) -> None:
        self.memory = IdMemory(con, limit, PushedVersions(con, Pages(con)))
        self.con = con
        self.next = 1
        self.now = 1000

    def put(self, *events: Any, stream: tuple[int, str] = STREAM) -> tuple[list[int], int, dict[int, bytes]]:
        """Commit a page; return what of it is kept, the repeats, and the revisions."""
        page = page_of(*events)
        novelty = self.memory.classify(stream, page)
        self.taken = self.memory.write(novelty, self.next, self.now)
        self.memory.remember(novelty)
        self.next += len(novelty.kept)
        return list(novelty.kept), novelty.repeats, dict(novelty.revisions)

    def rows(self) -> list[tuple[int, str, int]]:
        return self.con.execute("SELECT number, minute, length(entries) / 24 FROM ids ORDER BY number").fetchall()


M0, M1, M2 = ("2026-01-31T12:00", "2026-01-31T12:01", "2026-01-31T12:02")


def test_a_page_brings_a_row_a_minute_with_all_that_is_kept_of_it(con: sqlite3.Connection) -> None:
    ids = Ids(con)
    assert ids.put(("a", "", M0), ("b", "", M1), ("c", "", M0)) == ([0, 1, 2], 0, {})
    assert ids.rows() == [(1, M0, 2), (2, M1, 1)]
    assert ids.taken == 3 * ENTRY + 2 * ROW_BYTES
    assert ids.put(("c", "", M0), ("d", "", M0), ("a", "", M0)) == ([1], 2, {})
    assert ids.rows()[2:] == [(4, M0, 1)]
    assert ids.taken == ENTRY + ROW_BYTES
    assert ids.put(("d", "", M0)) == ([], 1, {})
    assert ids.taken == 0


def test_within_one_page_a_repeat_and_a_revision_are_known_too(con: sqlite3.Connection) -> None:
    ids = Ids(con)
    kept, repeats, revisions = ids.put("a", ("b", "one"), "a", ("b", "two"), ("b", "one"), ("b", "three"))
    assert (kept, repeats, sorted(revisions)) == ([0, 1, 3, 5], 2, [2, 3])
    digests = page_of(("b", "two"), ("b", "three")).digests
    assert [revisions[2], revisions[3]] == list(digests)
    assert ids.put(("b", "three"), ("b", "two"), "a", ("b", "one")) == ([], 4, {})


@pytest.mark.parametrize("limit", [1, 10_000])
def test_a_memory_of_any_size_knows_every_id_of_the_minutes_of_a_page(con: sqlite3.Connection, limit: int) -> None:
    ids = Ids(con, limit)
    for minute in (M0, M1, M2):
        ids.put(*((f"{minute}{n}", "", minute) for n in range(4)))
    for minute in (M0, M1, M2):
        assert ids.put(*((f"{minute}{n}", "", minute) for n in range(4)))[1] == 4
        assert ids.put((f"{minute}0", "new", minute))[2] != {}
    assert ids.memory._held <= (10_000 if limit > 1 else 6)


def test_the_memory_forgets_the_minute_that_was_used_least_lately(con: sqlite3.Connection) -> None:
    ids = Ids(con, limit=6)
    ids.put(("a", "", M0), ("b", "", M0))  # two, and one for the minute
    ids.put(("c", "", M1), ("d", "", M1))
    ids.put(("a", "", M0))  # used again
    ids.put(("e", "", M2))
    assert list(ids.memory._loaded) == [(STREAM, M0), (STREAM, M2)]
    assert ids.memory._held == 5
    assert ids.put(("c", "", M2))[1] == 0, "under another minute it is known only while its own is in memory"
    assert ids.put(("a", "", M2))[1] == 1, "and its own is"


def test_an_id_under_two_minutes_is_known_until_both_are_forgotten(con: sqlite3.Connection) -> None:
    ids = Ids(con, limit=10_000)
    ids.put(("a", "one", M0))
    assert ids.put(("a", "two", M1))[2] != {}
    assert ids.put(("a", "three", M2))[2] != {}
    ids.memory._limit = 5
    ids.put(("z", "", M2))
    known = ids.memory._known[STREAM]
    assert key_of("a") in known
    ids.put(("y", "", "2026-01-31T12:03"))
    ids.put(("x", "", "2026-01-31T12:04"))
    ids.put(("w", "", "2026-01-31T12:05"))
    assert key_of("a") not in known
    assert ids.put(("a", "three", M2), ("a", "one", M0))[1] == 2


def test_what_was_forgotten_of_a_page_is_new_again_and_its_bytes_are_free(con: sqlite3.Connection) -> None:
    ids = Ids(con)
    ids.put(("a", "", M0), ("b", "", M1))
    ids.put(("c", "", M0))
    ids.put(("o", "", M0), stream=(2, ""))
    assert ids.memory.forget(STREAM, 1, 2) == 2 * ENTRY + 2 * ROW_BYTES
    assert ids.memory.forget(STREAM, 1, 2) == 0
    assert ids.memory._held == 2, "the other stream's minute and its entry"
    assert ids.put(("a", "", M0), ("b", "", M1), ("c", "", M0)) == ([0, 1], 1, {})
    assert ids.put(("o", "", M0), stream=(2, ""))[1] == 1


def test_ids_go_by_age_and_beyond_that_by_bytes_the_oldest_first(con: sqlite3.Connection) -> None:
    ids = Ids(con)
    for number, name in enumerate("abcd"):
        ids.now = 1000 + number
        ids.put(name)
    row = ENTRY + ROW_BYTES
    assert ids.memory.since_ms() == 1000
    assert ids.memory.retire(1000, 0, 100) == 0
    assert ids.memory.retire(1000, -5, 100) == 0
    assert ids.memory.retire(1001, 0, 100) == row
    assert ids.memory.since_ms() == 1001
    assert ids.memory.retire(0, row, 100) == row
    assert ids.memory.retire(0, 1, 100) == row
    assert [number for number, _, _ in ids.rows()] == [4]
    assert ids.memory.retire(5000, 10**6, 100) == row
    assert (ids.memory.since_ms(), ids.memory.retire(5000, 10**6, 100)) == (None, 0)


def test_ids_written_while_the_clock_was_behind_are_no_older_than_those_before_them(con: sqlite3.Connection) -> None:
    ids = Ids(con)
    for name, now in (("a", 1000), ("b", 5000), ("c", 1000)):
        ids.now = now
        ids.put(name)
    assert ids.memory.retire(2000, 0, 100) == ENTRY + ROW_BYTES
    assert [number for number, _, _ in ids.rows()] == [2, 3]


def tail(con: sqlite3.Connection, minute: str, source: int = 1, **walk: Any) -> None:
    at = int(datetime.fromisoformat(f"{minute}:00+00:00").timestamp() * 1000)
    state = json.dumps({"walk": {"at": at, "scan": at, **walk}, "from": 5})
    con.execute("INSERT INTO cursors VALUES (?, 'tail', ?, 1)", (source, state))


def test_ids_that_the_tail_of_a_quiet_log_reads_again_do_not_grow_old(con: sqlite3.Connection) -> None:
    ids = Ids(con)
    ids.put(("old", "", "2026-01-30T23:59"), ("zoned", "", "2026-01-31T02:00"), ("a", "", M0), ("timeless", "", ""))
    ids.put(("other", "", M0), stream=(2, ""))
    ids.put(("private", "", M1), stream=(1, "team"))
    tail(con, M0)
    tail(con, M0, source=2, scan=None)  # one that is followed by cursors
    ids.now = 8000
    ids.put(("late", "", "2026-01-01T00:00"))
    row = ENTRY + ROW_BYTES
    assert ids.memory.since_ms() == 1000
    assert ids.memory.retire(5000, 0, 3) == 3 * row, "what stays does not count as looked at"
    assert [minute for _, minute, _ in ids.rows()] == ["2026-01-31T02:00", M0, M1, "2026-01-01T00:00"]
    assert (ids.memory.retire(5000, 0, 9), ids.memory.since_ms()) == (0, 8000)
    again = Ids(con)  # a restart
    assert again.put(("a", "", M0), ("zoned", "", "2026-01-31T02:00"))[1] == 2
    assert ids.memory.retire(5000, row, 9) == row, "the room for ids is kept, by what nobody reads first"
    assert ids.memory.retire(5000, row + 1, 1) == row
    assert [minute for _, minute, _ in ids.rows()] == [M0, M1]
    assert ids.memory.since_ms() is None


def test_the_minutes_of_the_newest_page_stay_in_memory_whatever_its_size(con: sqlite3.Connection) -> None:
    ids = Ids(con, limit=1)
    ids.put(("z", "", M2))
    ids.put(("a", "", M0), ("b", "", M1), ("c", "", M1))
    assert set(ids.memory._loaded) == {(STREAM, M0), (STREAM, M1)}
    assert ids.memory._held == 5


def test_so_many_rows_are_looked_at_and_no_more(con: sqlite3.Connection) -> None:
    ids = Ids(con)
    for name in "abcde":
        ids.put(name)
    assert ids.memory.retire(9000, 0, 2) == 2 * (ENTRY + ROW_BYTES)
    assert [number for number, _, _ in ids.rows()] == [3, 4, 5]


def test_columns_of_which_only_the_sum_fits_are_refused(con: sqlite3.Connection) -> None:
    page = page_of("a", "b")
    longer = type(page)(page.bodies, [b"x" * 15, b"x" * 16], page.digests, page.minutes, {})
    with pytest.raises(SpoolError, match="do not fit"):
        IdMemory(con, 10, PushedVersions(con, Pages(con))).classify(STREAM, longer)


def test_the_least_minute_that_is_known() -> None:
    assert oldest_minute([M1, "", M0, M2]) == M0
    assert oldest_minute(["", ""]) == oldest_minute([]) == ""
