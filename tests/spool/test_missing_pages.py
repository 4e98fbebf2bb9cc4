"""Pages that somebody deletes from the file behind the program's back are missed, counted, and read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.spool.contract import PageCommit, Settlement
from tests.examples import examples
from tests.spool.spools import OTHER, Harness, bulky, names, opened, page_of


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with opened(tmp_path) as made:
        yield made


async def delete(harness: Harness, *last_seqs: int, rows: bool = True) -> None:
    """Delete pages as another program would, in whatever the daemon holds open."""

    def work(parts) -> None:
        con = parts.database.con
        for last in last_seqs:
            con.execute("DELETE FROM bodies WHERE last_seq = ?", (last,))
            if rows:
                con.execute("DELETE FROM pages WHERE last_seq = ?", (last,))
        parts.pages.drop(last_seqs)

    await harness.spool._run(work)


async def gaps(harness: Harness) -> list[tuple[str, str | None, int | None, int | None, int | None]]:
    found = (await harness.spool.status()).gaps
    return [(gap.cause, gap.lane, gap.first_seq, gap.last_seq, gap.events) for gap in found]


async def three(harness: Harness) -> int:
    for prefix in "abc":
        await harness.put(*names(prefix, 10))
        harness.clock.advance(1)
    return await harness.lane()


@pytest.mark.parametrize("last", [10, 20, 30])
async def test_a_page_that_is_gone_is_a_gap_with_its_number_and_its_events_come_again(harness, last) -> None:
    lane = await three(harness)
    await delete(harness, last)
    assert len(await harness.drain(lane)) == 20
    assert await gaps(harness) == [("missing_page", None, last - 9, last, 10)]
    line = await harness.line()
    assert (line.accepted, line.detached, line.waiting, line.balance) == (20, 10, 0, 0)
    (gap,) = (await harness.spool.status()).gaps
    assert gap.source == harness.source.number
    assert gap.from_ms is not None
    assert gap.to_ms is not None
    assert gap.from_ms <= gap.to_ms
    again = "abc"[last // 10 - 1]
    assert (await harness.put(*names(again, 10))).new == 10, "the spool has forgotten them"
    assert len(await harness.drain(lane)) == 10
    await harness.reopen()
    assert (await harness.line()).balance == 0


async def test_it_is_noticed_at_the_start_too(harness: Harness) -> None:
    lane = await three(harness)
    await harness.take(lane, 15)
    await harness.settle(lane, (1, 4), (12, 15))
    await delete(harness, 10, 20)
    await harness.reopen()
    assert await gaps(harness) == [("missing_page", None, 1, 20, 20)], "neighbours are one gap"
    line = await harness.line()
    assert (line.accepted, line.detached, line.waiting, line.balance) == (8, 12, 10, 0)


async def test_all_of_them(harness: Harness) -> None:
    lane = await three(harness)
    await delete(harness, 10, 20, 30)
    assert await harness.drain(lane) == []
    line = await harness.line()
    assert (line.detached, line.waiting, line.balance) == (30, 0, 0)
    assert (await harness.put(*names("b", 10))).new == 10


async def test_what_is_in_flight_meanwhile_is_accepted_and_may_come_again(harness: Harness) -> None:
    lane = await three(harness)
    await harness.take(lane, 20)
    await delete(harness, 10, 20)
    await harness.settle(lane, (3, 14))
    line = await harness.line()
    assert (line.accepted, line.detached, line.waiting, line.balance) == (12, 8, 10, 0)
    assert await harness.settle(lane, (1, 2), (15, 20)) == 20
    line = await harness.line()
    assert (line.accepted, line.detached, line.balance) == (20, 0, 0)


async def test_a_rejected_event_in_flight_whose_page_is_gone(harness: Harness) -> None:
    from forwarder.spool.letter import DeadLetter

    lane = await three(harness)
    await harness.take(lane, 20)
    await delete(harness, 10)
    letter = DeadLetter(5, harness.source.number, "0" * 32, "no", "", b"what the lane has of it")
    await harness.spool.exchange(lane, Settlement([(5, 6)], dead_letters=[letter]), after=0, events=0)
    (kept,) = await harness.spool.dead_letters()
    assert (kept.raw, kept.day) == (b"what the lane has of it", "2026-01-31")
    line = await harness.line()
    assert (line.accepted, line.rejected, line.detached, line.balance) == (1, 1, 8, 0)


async def test_what_every_lane_has_is_not_missed(harness: Harness) -> None:
    lane = await three(harness)
    await harness.take(lane, 20)
    await harness.settle(lane, (1, 20))
    await delete(harness, 10, 20)
    assert len(await harness.drain(lane)) == 10
    await harness.reopen()
    assert await gaps(harness) == []
    await harness.lane("later")
    assert await gaps(harness) == [], "a new lane begins behind what has left the spool"
    assert {line.balance for line in await harness.spool.books()} == {0}


async def test_only_the_lanes_that_lack_something_are_told(harness: Harness) -> None:
    lane = await three(harness)
    slow = await harness.lane("slow")
    await harness.take(lane, 20)
    await harness.settle(lane, (1, 20))
    await delete(harness, 20)
    assert len(await harness.drain(slow)) == 20
    assert (await harness.line("slow")).detached == 10
    assert (await harness.line()).detached == 0
    doubts = await harness.spool.doubts(lane)
    assert [(doubt.first, doubt.last, doubt.cause) for doubt in doubts] == [(11, 20, "missing_page")]


async def test_pages_of_one_sink_and_of_other_sources(harness: Harness) -> None:
    lane, archive = await harness.lane(), await harness.lane("archive")
    other = await harness.spool.open_source(OTHER)
    await harness.put("a")
    await harness.put("b", audience="archive")
    await harness.spool.commit(PageCommit(other.number, other.epoch, page=page_of("c", "d")))
    await harness.put("e")
    await delete(harness, 2, 4)
    assert len(await harness.drain(lane)) == 2
    assert len(await harness.drain(archive)) == 2
    assert set(await gaps(harness)) == {("missing_page", None, 3, 4, 2), ("missing_page", "archive", 2, 2, 1)}
    assert {line.balance for line in await harness.spool.books()} == {0}


async def test_events_are_missed_on_their_days(harness: Harness) -> None:
    lane = await harness.lane()
    page = page_of(*names("a", 4))
    minutes = ["2026-01-30T23:59", "2026-01-30T23:59", "2026-01-31T00:00", ""]
    await harness.put(page=msgspec.structs.replace(page, minutes=minutes))
    await delete(harness, 4)
    assert await harness.drain(lane) == []
    assert {line.day: line.detached for line in await harness.spool.day_books()} == {
        "": 1,
        "2026-01-30": 2,
        "2026-01-31": 1,
    }


async def test_a_page_of_which_only_the_events_are_gone_is_a_damaged_one(harness: Harness) -> None:
    lane = await three(harness)
    await delete(harness, 20, rows=False)
    assert len(await harness.drain(lane)) == 20
    assert await gaps(harness) == [("damaged_page", None, 11, 20, 10)]


async def test_what_was_set_aside_or_cleaned_up_is_not_missed_again(tmp_path: Path) -> None:
    async with opened(tmp_path, retain=0) as harness:
        lane = await three(harness)
        await delete(harness, 20)
        await harness.drain(lane)
        for _ in range(3):
            harness.clock.advance(100_000)
            await harness.spool.clean_up()
        assert (await harness.spool.status()).pages == 0
        await harness.put("z")
        await harness.reopen()
        await harness.lane()
        assert len(await harness.drain(lane)) == 1
        assert len(await gaps(harness)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(40), deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    deleted=st.sets(st.integers(0, 5)),
    before=st.integers(0, 24),
    restart=st.booleans(),
)
async def test_whatever_is_deleted_the_rest_comes_and_the_sum_is_right(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], deleted: set[int], before: int, restart: bool
) -> None:
    async with opened(tmp_path_factory.mktemp("deleted")) as harness:
        lane = await harness.lane()
        every: list[str] = []
        ends: list[int] = []
        for number, size in enumerate(sizes):
            every += (page := names(f"p{number}-", size))
            await harness.put(*page)
            harness.clock.advance(0.01)
            ends.append(len(every))
        chunks = await harness.take(lane, before) if before else []
        if chunks:
            await harness.settle(lane, (1, chunks[-1].last))
        settled = chunks[-1].last if chunks else 0
        gone = [(end - size + 1, end) for at, (size, end) in enumerate(zip(sizes, ends, strict=True)) if at in deleted]
        await delete(harness, *(end for _, end in gone))
        if restart:
            await harness.reopen()
            await harness.lane()
        lost = {seq for first, last in gone for seq in range(first, last + 1) if seq > settled}
        assert len(await harness.drain(lane)) == len(every) - settled - len(lost)
        line = await harness.line()
        assert (line.detached, line.balance) == (len(lost), 0)
        assert sum(gap.events or 0 for gap in (await harness.spool.status()).gaps) == sum(
            last - first + 1 for first, last in gone if last > settled
        )


# ------------------------------------------------------------------------------- what moves lanes, or makes new ones


async def three_pages_of_days(harness: Harness) -> int:
    lane = await harness.lane()
    for prefix, minute in (("a", "2026-01-30T10:00"), ("b", "2026-01-31T10:00"), ("c", "2026-01-30T11:00")):
        page = page_of(*names(prefix, 3))
        await harness.put(page=msgspec.structs.replace(page, minutes=[minute] * 3))
        harness.clock.advance(1)
    return lane


async def balanced(harness: Harness) -> bool:
    """Tell whether all books balance, and still do after a start."""
    await harness.reopen()
    return {line.balance for line in await harness.spool.books()} == {0}


async def test_a_lane_that_is_moved_past_a_deleted_page_misses_it(harness: Harness) -> None:
    lane = await three_pages_of_days(harness)
    await delete(harness, 6)
    await harness.spool.operations.detach_lane("elastic", 9, "me")
    line = await harness.line()
    assert (line.detached, line.waiting, line.balance) == (9, 0, 0)
    assert {cause for cause, *_ in await gaps(harness)} == {"missing_page", "detached"}
    assert await harness.take(lane) == []
    assert await balanced(harness)


async def test_a_deleted_page_stops_no_page_that_comes_when_the_spool_is_full(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=2**20, retain=0) as harness:
        await harness.lane(on_full="detach")
        await harness.put(page=bulky("a"))
        await harness.put(page=bulky("b"))
        harness.clock.advance(1)
        await delete(harness, 100)
        for number in range(40):
            harness.clock.advance(1)
            await harness.put(page=bulky(f"c{number}-"))
        assert (await harness.line()).balance == 0
        assert await balanced(harness)


@pytest.mark.parametrize("start", ["oldest", "now"])
async def test_a_sink_that_is_added_after_a_robbery(harness: Harness, start: str) -> None:
    lane = await three_pages_of_days(harness)
    assert len(await harness.drain(lane)) == 9
    await delete(harness, 6)
    later = await harness.lane("later", start=start)
    assert len(await harness.drain(later)) == (6 if start == "oldest" else 0)
    assert (await harness.line("later")).balance == 0
    assert (await harness.line("later")).detached == (3 if start == "oldest" else 0)
    assert await balanced(harness)


async def test_days_that_interleave_within_a_page_are_those_of_the_books(harness: Harness) -> None:
    lane = await harness.lane()
    minutes = ["2026-01-30T10:00", "2026-01-31T10:00", "2026-01-30T10:00"]
    await harness.put(page=msgspec.structs.replace(page_of(*names("a", 3)), minutes=minutes))
    await harness.take(lane)
    await harness.settle(lane, (1, 2))
    await delete(harness, 3)
    await harness.take(lane)
    found = {line.day: (line.accepted, line.detached, line.balance) for line in await harness.spool.day_books()}
    assert found == {"2026-01-30": (1, 1, 0), "2026-01-31": (1, 0, 0)}
    assert await balanced(harness)


async def test_a_page_of_the_time_before_days_were_told(harness: Harness) -> None:
    lane = await three_pages_of_days(harness)

    def as_before(parts) -> None:
        con = parts.database.con
        con.execute("UPDATE pages SET days = ''")
        con.execute("DELETE FROM spooled WHERE day = '2026-01-31'")
        con.execute("UPDATE spooled SET day = '', events = 9")

    await harness.spool._run(as_before)
    await delete(harness, 6)
    assert len(await harness.drain(lane)) == 6
    assert [(line.day, line.detached) for line in await harness.spool.day_books()] == [("", 3)]
    assert await balanced(harness)


async def test_a_page_that_was_set_aside_is_not_missed_for_what_was_pushed_before_it(tmp_path: Path) -> None:
    """Behind what was pushed stands what the log gave of it: entries are not events."""
    async with opened(tmp_path, retain=0) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 5))

        def twice(parts) -> None:
            con = parts.database.con
            ((number, entries),) = con.execute("SELECT number, entries FROM ids").fetchall()
            con.execute("UPDATE ids SET entries = ? WHERE number = ?", (entries + entries, number))

        await harness.spool._run(twice)
        assert len(await harness.drain(lane)) == 5
        for _ in range(2):
            harness.clock.advance(100_000)
            await harness.spool.clean_up()
        await harness.put("b", "c")
        await delete(harness, 7, rows=False)
        assert await harness.drain(lane) == []
        assert await gaps(harness) == [("damaged_page", None, 6, 7, 2)]
        assert (await harness.line()).balance == 0
        assert await balanced(harness)
