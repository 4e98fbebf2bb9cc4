"""The books tell days apart: each sums up to what there is, whatever is settled, refused, withdrawn or compared."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import accumulate
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.spool import days
from forwarder.spool.books import Books, DayBooks
from forwarder.spool.contract import PageCommit, Settlement, SpoolError
from forwarder.spool.letter import DeadLetter, Selection
from forwarder.spool.sqlite import report, schema
from forwarder.spool.sqlite.pages import Content, Pages
from tests.spool.spools import Harness, body_of, key_of, names, opened, page_of

MINUTES = ["2026-01-30T23:58", "2026-01-30T23:59", "2026-01-31T00:00", "2026-01-31T00:01", "", "2026-02-30T00:00"]
ON_30, ON_31, NEVER = "2026-01-30", "2026-01-31", ""


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with opened(tmp_path) as harness:
        yield harness


async def put(
    harness: Harness, *events: str, compares: bool = False, reader: str = "tail", audience: str | None = None
):
    """Write a page; the events' minutes are by their number those of `MINUTES`."""
    page = page_of(*events)
    minutes = [MINUTES[int(name[1:])] for name in events]
    commit = PageCommit(
        harness.source.number,
        harness.source.epoch,
        page=msgspec.structs.replace(page, minutes=minutes),
        reader=reader,
        compares=compares,
        audience=audience,
    )
    return await harness.spool.commit(commit)


async def lines(harness: Harness, sink: str = "elastic") -> dict[str, DayBooks]:
    found = {line.day: line for line in await harness.spool.day_books() if line.sink == sink}
    assert all(line.balance == 0 for line in found.values())
    whole = {line.sink: line for line in await harness.spool.books()}[sink]
    for name in Books.__struct_fields__[2:]:
        assert sum(getattr(line, name) for line in found.values()) == getattr(whole, name)
    return found


async def test_each_event_counts_on_the_day_that_its_log_writes(harness: Harness) -> None:
    lane = await harness.lane()
    await put(harness, *names("a", 6))
    waiting = {day: line.waiting for day, line in (await lines(harness)).items()}
    assert waiting == {ON_30: 2, ON_31: 2, NEVER: 2}
    await harness.take(lane)
    letter = DeadLetter(3, harness.source.number, key_of("a2").hex(), "no", "", b"{}")
    settled = Settlement([(2, 5)], filtered=[(4, 5)], dead_letters=[letter])
    await harness.spool.exchange(lane, settled, after=0, events=0)
    found = await lines(harness)
    assert (found[ON_30].accepted, found[ON_30].waiting) == (1, 1)
    assert (found[ON_31].rejected, found[ON_31].filtered, found[ON_31].accepted) == (1, 1, 0)
    assert (found[NEVER].filtered, found[NEVER].waiting) == (1, 1)


async def test_a_letter_that_is_retried_or_discarded_moves_on_its_own_day(harness: Harness) -> None:
    lane = await harness.lane()
    await put(harness, "a0", "a2")
    await harness.take(lane)
    letters = [DeadLetter(seq, harness.source.number, "0" * 32, "no", "", b"{}") for seq in (1, 2)]
    await harness.spool.exchange(lane, Settlement([(1, 2)], dead_letters=letters), after=0, events=0)
    (first, second) = await harness.spool.dead_letters()
    assert (first.day, second.day) == (ON_30, ON_31)
    await harness.spool.discard_letters(None, Selection(numbers=(first.number,)), who="me", words="it")
    await harness.spool.retry_letters(None, Selection(numbers=(second.number,)))
    found = await lines(harness)
    assert (found[ON_30].rejected, found[ON_30].discarded, found[ON_31].waiting) == (1, 1, 1)
    await harness.spool.exchange(lane, Settlement(), after=2, events=5)
    again = DeadLetter(2, harness.source.number, "0" * 32, "again", "", b"{}")
    await harness.spool.exchange(lane, Settlement([(2, 2)], dead_letters=[again]), after=0, events=0)
    assert (await lines(harness))[ON_31].rejected == 1
    await harness.spool.retry_letters(None, Selection())
    await harness.spool.exchange(lane, Settlement(), after=2, events=5)
    await harness.settle(lane, (2, 2))
    assert (await lines(harness))[ON_31].accepted == 1


async def test_a_lane_that_begins_later_counts_only_from_there(harness: Harness) -> None:
    await put(harness, "a0", "a1", "a2")
    await harness.lane("elastic", start="now")
    await put(harness, "a3")
    found = await lines(harness)
    assert {day: line.spooled for day, line in found.items()} == {ON_30: 0, ON_31: 1}


async def test_the_books_are_the_sums_of_their_days_and_make_no_line_of_a_day(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(harness, "a0", "a1")
    lane = await harness.lane()
    await harness.lane("archive", start="now")
    await put(harness, "a2", audience="archive")
    await put(harness, "a3", "a4", "a5")
    await harness.take(lane)
    letter = DeadLetter(1, harness.source.number, key_of("a0").hex(), "no", "", b"{}")
    await harness.spool.exchange(
        lane, Settlement([(1, 2)], filtered=[(2, 2)], dead_letters=[letter]), after=0, events=0
    )
    await harness.spool.discard_letters(None, Selection(), who="me", words="it")
    await harness.spool.operations.detach_lane("archive", 3, "root")
    days = await harness.spool.day_books()
    monkeypatch.setattr(report, "DayBooks", None)
    for line in await harness.spool.books():
        mine = [day for day in days if (day.source, day.sink) == (line.source, line.sink)]
        for name in Books.__struct_fields__[2:]:
            assert getattr(line, name) == sum(getattr(day, name) for day in mine), name
        assert line.balance == 0
    assert {line.sink: (line.spooled, line.discarded) for line in await harness.spool.books()} == {
        "elastic": (5, 1),
        "archive": (4, 0),
    }


async def test_pages_of_one_sink_are_in_its_books_alone(harness: Harness) -> None:
    await harness.lane()
    await harness.lane("archive")
    await put(harness, "a0", audience="archive")
    await put(harness, "a2")
    assert {day: line.spooled for day, line in (await lines(harness)).items()} == {ON_31: 1}
    assert {day: line.spooled for day, line in (await lines(harness, "archive")).items()} == {ON_30: 1, ON_31: 1}


async def test_what_was_withdrawn_in_flight_and_settled_after_all_is_counted_on_its_day(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=2**20, retain=0) as harness:
        lane = await harness.lane(on_full="detach")
        await put(harness, "a0", "a1", "a2", "a3")
        await harness.take(lane)
        number = 0
        while (await harness.line()).detached < 4:
            await harness.put(*((f"b{number}-{at}", "x" * 4096 + str(hash((number, at)))) for at in range(100)))
            number += 1
        before = await lines(harness)
        assert before[ON_30].detached == 2
        await harness.settle(lane, (2, 3))
        found = await lines(harness)
        assert (found[ON_30].accepted, found[ON_30].detached) == (1, 1)
        assert (found[ON_31].accepted, found[ON_31].detached) == (1, before[ON_31].detached - 1)


async def test_what_a_filter_takes_out_of_the_middle_again_and_again(harness: Harness) -> None:
    lane = await harness.lane()
    await put(harness, *names("a", 6))
    await put(harness, *names("b", 6))
    await put(harness, *names("c", 6))
    await harness.take(lane)
    every_second = [(seq, seq) for seq in range(1, 19, 2)]
    await harness.spool.exchange(lane, Settlement([(1, 18)], filtered=every_second), after=0, events=0)
    found = await lines(harness)
    assert {day: (line.accepted, line.filtered) for day, line in found.items()} == {
        ON_30: (3, 3),
        ON_31: (3, 3),
        NEVER: (3, 3),
    }


async def test_what_is_compared_and_what_was_new_then_is_counted(harness: Harness) -> None:
    await harness.lane()
    await put(harness, "a0", "a2")
    done = await put(harness, "a0", "a1", "a2", "a3", compares=True, reader="reconcile")
    assert (done.new, done.repeats) == (2, 2)
    found = await lines(harness)
    assert {day: (line.spooled, line.compared, line.recovered) for day, line in found.items()} == {
        ON_30: (2, 2, 1),
        ON_31: (2, 2, 1),
    }
    await put(harness, "a0", "a1", compares=True, reader="reconcile")
    assert (await lines(harness))[ON_30].compared == 4
    (one, two) = await harness.take((await harness.spool.status()).lanes[0].number)
    assert (one.reader, two.reader) == ("tail", "reconcile")


async def test_only_the_days_that_are_asked_for(harness: Harness) -> None:
    await harness.lane()
    await put(harness, *names("a", 4))
    assert [line.day for line in await harness.spool.day_books(ON_31, ON_31)] == [ON_31]
    assert [line.day for line in await harness.spool.day_books(until=ON_30)] == [ON_30]


@pytest.mark.parametrize("text", ["2026-01-30*9", "2026-01-30*0 2026-01-31*4", "2026-01-30*x", "*"])
async def test_days_that_do_not_add_up_are_damage(harness: Harness, text: str) -> None:
    await harness.lane()
    await put(harness, *names("a", 4))
    await harness.spool.close()
    with closing(sqlite3.connect(harness.config.path)) as con, con:
        con.execute("UPDATE pages SET days = ?", (text,))
        con.commit()
    with pytest.raises(SpoolError, match="damaged"):
        await harness.open()


async def test_a_day_that_was_changed_in_one_place_is_damage(harness: Harness) -> None:
    lane = await harness.lane()
    await put(harness, *names("a", 4))
    await harness.take(lane)
    await harness.settle(lane, (1, 1))
    await harness.spool.close()
    with closing(sqlite3.connect(harness.config.path)) as con, con:
        con.execute("UPDATE lane_books SET day = ?", (ON_31,))
        con.commit()
    with pytest.raises(SpoolError, match=r"events of 2026-01-3. were written"):
        await harness.open()


# ----------------------------------------------------------------------------------------------------------- days, pure


@given(st.lists(st.sampled_from([*MINUTES, "1816-01-01T00:00", "9999-12-31T00:00", "?7f", "2026-01-3*T"]), min_size=1))
def test_what_is_written_of_days_is_what_is_read(minutes: list[str]) -> None:
    runs = days.of_minutes(minutes)
    assert sum(events for _, events in runs) == len(minutes)
    assert [day for day, events in runs for _ in range(events)] == [
        minute[:10] if minute.startswith("2026-01") and "*" not in minute else NEVER for minute in minutes
    ]
    assert days.read(days.written(runs), len(minutes)) == runs


day_of_an_event = st.sampled_from([ON_30, ON_31, NEVER])
pages_of = st.lists(
    st.tuples(st.lists(day_of_an_event, min_size=1, max_size=4), st.sampled_from(["", "elastic", "other"])), max_size=6
)


@given(pages_of, st.integers(0, 26), st.integers(0, 26))
def test_events_of_a_range_are_counted_as_one_by_one(pages: list[tuple[list[str], str]], first: int, last: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as con:
        for step in schema.MIGRATIONS:
            con.executescript(step)
        table = Pages(con)
        starts = accumulate((len(events) for events, _ in pages), initial=1)
        expected: Counter[tuple[int, str]] = Counter()
        for (events, audience), start in zip(pages, starts, strict=False):
            content = Content([body_of("x")] * len(events), key_of("x") * len(events), {}, frozenset())
            runs = days.of_minutes([f"{day}T00:00" for day in events])
            table.add(
                start,
                1,
                audience,
                table.pack(content),
                committed_ms=0,
                oldest_minute="",
                newest_ms=None,
                reader="",
                runs=runs,
            )
            if audience in {"", "elastic"}:
                expected.update((1, day) for seq, day in enumerate(events, start) if first <= seq <= last)
        assert table.counted(first, last, "elastic") == expected
