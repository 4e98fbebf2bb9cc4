"""What one exchange gives: where it begins and ends, which marks go with it, and what the status says of the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from forwarder.spool.contract import PageCommit, Settlement, SpoolError, SpoolFull
from forwarder.spool.gap import Gap
from forwarder.spool.letter import DeadLetter
from forwarder.spool.sqlite import exchange, lanes, report
from tests.spool.spools import Harness, body_of, bulky, found, names, opened, page_of

HOUR = 3_600_000


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with opened(tmp_path) as made:
        yield made


async def rows(harness: Harness, sql: str) -> list[tuple]:
    """Look into the tables, in the thread that may."""
    spool: Any = harness.spool
    return await spool._worker.run(lambda: spool._parts.database.con.execute(sql).fetchall())


async def gaps(harness: Harness, *opened: Gap, close: Sequence[int] = ()) -> tuple[int, ...]:
    commit = PageCommit(harness.source.number, harness.source.epoch, open_gaps=opened, close_gaps=close)
    return (await harness.spool.commit(commit)).gaps


def stretches(chunks: list) -> list[tuple[int, int]]:
    return [(chunk.first, chunk.last) for chunk in chunks]


# -------------------------------------------------------------------------------------------------------------- taking


async def test_so_many_events_are_given_as_are_asked_for_over_several_pages(harness: Harness) -> None:
    for prefix, count in (("a", 3), ("b", 1), ("c", 4)):
        await harness.put(*names(prefix, count))
    lane = await harness.lane()
    assert stretches(await harness.take(lane, 1)) == [(1, 1)]
    assert stretches(await harness.take(lane, 3)) == [(1, 3)]
    assert stretches(await harness.take(lane, 4)) == [(1, 3), (4, 4)]
    assert stretches(await harness.take(lane, 6)) == [(1, 3), (4, 4), (5, 6)]
    assert stretches(await harness.take(lane, 99)) == [(1, 3), (4, 4), (5, 8)]
    assert stretches(await harness.take(lane, 2, after=2)) == [(3, 3), (4, 4)]
    assert stretches(await harness.take(lane, 99, after=8)) == []
    assert stretches(await harness.take(lane, 0)) == []


async def test_what_has_just_come_is_given_from_memory_to_every_lane(harness: Harness) -> None:
    await harness.put("a", "b")
    spool: Any = harness.spool
    assert list(spool._parts.pages._cache) == [2]
    await harness.put("a", "c")  # a part of it is known
    assert list(spool._parts.pages._cache) == [2, 3]
    one, two = await harness.lane("one"), await harness.lane("two")
    await spool._run(lambda parts: parts.database.con.execute("DELETE FROM bodies"))
    assert found(await harness.take(one)) == found(await harness.take(two)) == [body_of(name) for name in "abc"]


async def test_what_is_settled_is_not_given_nor_counted_but_marked_where_others_are(harness: Harness) -> None:
    await harness.put(*names("a", 4))
    await harness.put(*names("b", 4))
    lane = await harness.lane()
    await harness.take(lane)
    await harness.settle(lane, (1, 1), (3, 3), (5, 8))
    (chunk,) = await harness.take(lane, 99)
    assert (chunk.first, chunk.last, chunk.settled) == (2, 4, frozenset({3}))
    (chunk,) = await harness.take(lane, 1)
    assert (chunk.first, chunk.last, chunk.settled) == (2, 2, frozenset())
    assert stretches(await harness.take(lane, 1, after=2)) == [(4, 4)], "a stretch that is settled whole is passed by"


async def test_an_exchange_gives_so_many_bytes_and_at_least_one_event(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.put(page=bulky("a", 3, 500))
    await harness.put(page=bulky("b", 2, 500))
    size = len(found(await harness.take(lane := await harness.lane(), 1))[0])
    for room, given in (
        (1, [(1, 1)]),
        (size, [(1, 1)]),
        (2 * size - 1, [(1, 1)]),
        (2 * size, [(1, 2)]),
        (3 * size, [(1, 3)]),
        (3 * size + 1, [(1, 3)]),
        (4 * size - 1, [(1, 3)]),
        (4 * size, [(1, 3), (4, 4)]),
        (5 * size, [(1, 3), (4, 5)]),
        (9 * size, [(1, 3), (4, 5)]),
    ):
        monkeypatch.setattr(exchange, "READ_BYTES", room)
        assert stretches(await harness.take(lane)) == given
        more = [(1, 3), (4, 4)] if 3 * size < room < 4 * size else given  # one event beyond is no matter here
        assert stretches(await harness.spool.take_again(lane, [(1, 5)])) == more


async def test_numbers_are_given_again_in_order_as_far_as_there_is_room_and_only_what_is_there(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.put(*names("a", 4))
    await harness.put(*names("b", 4), audience="archive")
    await harness.put(*names("c", 4))
    lane = await harness.lane()
    await harness.take(lane)
    await harness.settle(lane, (2, 2))
    again = await harness.spool.take_again(lane, [(10, 11), (1, 3), (6, 9)])
    assert stretches(again) == [(1, 3), (9, 11)]
    assert again[0].settled == frozenset({2})
    assert [len(chunk.keys) for chunk in again] == [48, 48]
    assert found(again)[-1] == body_of("c2")


async def test_marks_go_with_their_events_wherever_a_page_is_cut(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.put(("b", "old"), ("d", "old"))
    page = page_of("a", ("b", "new"), "c", ("d", "new"), "e", derived=[0, 2, 4])
    await harness.put(page=page)
    lane = await harness.lane()
    whole = (await harness.take(lane, after=2))[0]
    assert (set(whole.revisions), whole.derived) == ({1, 3}, frozenset({0, 2, 4}))
    for after, events in ((2, 2), (3, 2), (4, 3), (5, 1), (6, 1)):
        (cut,) = await harness.take(lane, events, after=after)
        first = after - 2
        inside = range(first, first + events)
        assert cut.bodies == whole.bodies[first : first + events]
        assert cut.keys == whole.keys[16 * first : 16 * (first + events)]
        assert cut.revisions == {at - first: digest for at, digest in whole.revisions.items() if at in inside}
        assert cut.derived == frozenset(at - first for at in whole.derived if at in inside)
        assert cut.read_ms == whole.read_ms


async def test_the_newest_number_and_the_head_are_as_far_as_was_taken(harness: Harness) -> None:
    await harness.put(*names("a", 5))
    lane = await harness.lane()
    done = await harness.spool.exchange(lane, Settlement(), after=0, events=3)
    assert (done.position, done.last_seq) == (0, 5)
    row = (await harness.spool.status()).lanes[0]
    assert (row.head, row.position, row.lag) == (3, 0, 5)
    with pytest.raises(SpoolError, match="took nothing above 3"):
        await harness.settle(lane, (4, 4))
    with pytest.raises(SpoolError):
        await harness.settle(lane, (0, 1))
    await harness.spool.exchange(lane, Settlement(), after=0, events=1)
    assert (await harness.spool.status()).lanes[0].head == 3, "a smaller question takes nothing back"
    await harness.settle(lane, (1, 2))
    with pytest.raises(SpoolError, match="a second time"):
        await harness.settle(lane, (2, 3))


async def test_settled_and_waiting_are_counted_by_source_and_audience_over_holes(harness: Harness) -> None:
    await harness.put(*names("a", 4))
    await harness.put(*names("x", 3), audience="archive")
    await harness.put(*names("b", 4))
    lane = await harness.lane()
    await harness.take(lane)
    for spans, waiting in (([(2, 2)], 7), ([(4, 4), (8, 9)], 4), ([(1, 1)], 3), ([(11, 11)], 2), ([(3, 3)], 1)):
        await harness.settle(lane, *spans)
        line = await harness.line()
        assert (line.waiting, line.balance) == (waiting, 0)
        assert (await harness.spool.status()).lanes[0].lag == waiting
    assert (await harness.spool.status()).lanes[0].position == 9


# ------------------------------------------------------------------------------------------------------------- doubts


async def test_doubts_of_one_cause_that_touch_are_one_and_others_are_not(harness: Harness) -> None:
    await harness.put(*names("a", 50))
    lane = await harness.lane()

    async def tell(*spans: tuple[int, int], cause: str = "reset") -> list[tuple[int, int, str]]:
        settlement = Settlement(doubts=[(span, cause) for span in spans])
        await harness.spool.exchange(lane, settlement, after=0, events=0)
        return [(doubt.first, doubt.last, doubt.cause) for doubt in await harness.spool.doubts(lane)]

    assert await tell((10, 12), (20, 22)) == [(10, 12, "reset"), (20, 22, "reset")]
    assert await tell((14, 15)) == [(10, 12, "reset"), (14, 15, "reset"), (20, 22, "reset")]
    assert await tell((13, 13)) == [(10, 15, "reset"), (20, 22, "reset")]
    assert await tell((23, 24)) == [(10, 15, "reset"), (20, 24, "reset")]
    assert await tell((9, 9)) == [(9, 15, "reset"), (20, 24, "reset")]
    assert await tell((16, 16), cause="timeout") == [(9, 15, "reset"), (16, 16, "timeout"), (20, 24, "reset")]
    assert await tell((12, 21)) == [(9, 24, "reset"), (16, 16, "timeout")]
    assert await tell((1, 40)) == [(1, 40, "reset"), (16, 16, "timeout")]


async def test_the_oldest_doubts_become_one_when_there_are_too_many(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_MOST_DOUBTS", 3)
    await harness.put(*names("a", 50))
    lane = await harness.lane()
    for first in (1, 11, 21, 31, 41):
        settlement = Settlement(doubts=[((first, first + 2), "reset")])
        await harness.spool.exchange(lane, settlement, after=0, events=0)
    kept = [(doubt.first, doubt.last) for doubt in await harness.spool.doubts(lane)]
    assert kept == [(1, 23), (31, 33), (41, 43)]


# ------------------------------------------------------------------------------------------------------------- status


async def test_what_the_status_says_of_an_empty_spool_and_of_one_that_holds_pages(harness: Harness) -> None:
    status = await harness.spool.status()
    assert (status.first_seq, status.last_seq, status.pages, status.hours_left) == (1, 0, 0, None)
    assert (status.id_bytes, status.ids_since_ms, status.lanes, status.gaps) == (0, None, [], [])
    began = int(harness.clock.time() * 1000)
    await harness.put(*names("a", 3))
    harness.clock.advance(60)
    await harness.put(*names("b", 2))
    lane = await harness.lane()
    status = await harness.spool.status()
    assert (status.first_seq, status.last_seq, status.pages) == (1, 5, 2)
    assert (status.id_bytes, status.ids_since_ms) == (2 * 64 + 5 * 24, began)
    (row,) = status.lanes
    assert (row.position, row.lag, row.oldest_ms, row.active, row.retried, row.forgotten_ms) == (
        0, 5, began, True, 0, None,
    )  # fmt: skip
    await harness.take(lane)
    await harness.settle(lane, (1, 3))
    (row,) = (await harness.spool.status()).lanes
    assert (row.position, row.lag, row.oldest_ms) == (3, 2, began + 60_000)
    (source,) = status.sources
    assert (source.spooled, source.repeats, source.revisions) == (5, 0, 0)


async def test_how_long_the_room_lasts_is_the_room_by_what_came_in_the_last_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, max_bytes=64 * 2**20) as harness:
        await harness.lane()
        for number in range(4):
            harness.clock.advance(600)
            await harness.put(page=bulky(f"p{number}"))
        status = await harness.spool.status()
        ((size,),) = await rows(harness, "SELECT sum(bytes) FROM pages")
        expected = (status.bytes_max - status.bytes_used) * 0.5 / size
        assert status.hours_left == pytest.approx(expected, rel=0.001)
        harness.clock.advance(1800)  # the first page came an hour ago to the second
        assert (await harness.spool.status()).hours_left == pytest.approx(2 * expected, rel=0.001)
        harness.clock.advance(1)
        assert (await harness.spool.status()).hours_left == pytest.approx(2 * expected * 3001 / 3600 * 4 / 3, rel=0.01)
        monkeypatch.setattr(report, "_RECENT_PAGES", 1)
        assert (await harness.spool.status()).hours_left == pytest.approx(8 * expected * 1801 / 3600, rel=0.01)
    assert report._RECENT_MS == HOUR


async def test_what_is_settled_is_room_and_the_first_minute_counts_as_a_whole_one(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=64 * 2**20) as harness:
        lane = await harness.lane()
        await harness.put(page=bulky("a"))
        status = await harness.spool.status()
        ((size,),) = await rows(harness, "SELECT sum(bytes) FROM pages")
        room = status.bytes_max - status.bytes_used
        assert status.hours_left == pytest.approx(room / 60 / size, rel=0.001)
        await harness.drain(lane)
        assert (await harness.spool.status()).hours_left == pytest.approx(status.bytes_max / 60 / size, rel=0.001)


# --------------------------------------------------------------------------------------------------------------- gaps


async def test_open_gaps_are_listed_before_closed_ones_are_left_out(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = int(harness.clock.time() * 1000)
    numbers = await gaps(harness, *(Gap(cause="cursor_lost", detail=str(at)) for at in range(5)))
    for seconds in (60, 600):  # what is closed already keeps its time
        harness.clock.advance(seconds)
        assert await gaps(harness, close=[numbers[at] for at in (0, 2, 4)]) == ()
    listed = (await harness.spool.status()).gaps
    assert [one.detail for one in listed] == list("01234")
    assert [one.closed_ms for one in listed] == [begun + 60_000, None, begun + 60_000, None, begun + 60_000]
    assert {one.opened_ms for one in listed} == {begun}
    monkeypatch.setattr(report, "_MOST_GAPS", 3)
    assert [one.detail for one in (await harness.spool.status()).gaps] == ["1", "3", "4"]


async def test_gaps_stay_for_ninety_days_after_they_were_closed_and_doubts_as_long_as_ids(tmp_path: Path) -> None:
    async with opened(tmp_path, id_retention=3600) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 9))
        settlement = Settlement(doubts=[((1, 2), "reset")])
        await harness.spool.exchange(lane, settlement, after=0, events=0)
        await gaps(harness, close=await gaps(harness, Gap(cause="cursor_lost", detail="x")))
        harness.clock.advance(3600)
        await harness.spool.clean_up()
        assert len(await harness.spool.doubts(lane)) == 1
        harness.clock.advance(1)
        await harness.spool.clean_up()
        assert await harness.spool.doubts(lane) == []
        harness.clock.advance(90 * 86_400 - 3601)
        await harness.spool.clean_up()
        assert len((await harness.spool.status()).gaps) == 1
        harness.clock.advance(1)
        await harness.spool.clean_up()
        assert (await harness.spool.status()).gaps == []


# -------------------------------------------------------------------------------------------------------------- room


async def test_a_full_spool_is_full_and_not_fuller(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=2**20) as harness:
        await harness.lane()
        taken = 0
        while True:
            try:
                await harness.put(page=bulky(f"p{taken}"))
            except SpoolFull:
                break
            taken += 1
        status = await harness.spool.status()
        ((size,),) = await rows(harness, "SELECT max(bytes) FROM pages")
        assert 2**20 - size - 8192 < status.bytes_used <= 2**20
        assert (status.first_seq, status.last_seq) == (1, 50 * taken)


async def test_lanes_in_use_are_marked_once_a_minute_and_no_others(harness: Harness) -> None:
    await harness.lane("two")
    await harness.reopen()
    await harness.lane("one")

    async def seen() -> list[int]:
        return [row[0] for row in await rows(harness, "SELECT seen_ms FROM lanes ORDER BY name")]

    before = await seen()
    harness.clock.advance(59.9)
    await harness.spool.clean_up()
    assert await seen() == before
    harness.clock.advance(0.1)
    await harness.spool.clean_up()
    assert await seen() == [before[0] + 60_000, before[1]]
    harness.clock.off = -7200.0  # the time of day is set back
    await harness.spool.clean_up()
    assert (await seen())[0] == before[0] + 60_000 - 7_200_000


async def test_when_pages_settled_is_sampled_and_the_samples_stay_few(tmp_path: Path) -> None:
    async with opened(tmp_path, retain=6400) as harness:
        lane = await harness.lane()
        for number in range(400):
            await harness.put(f"e{number}")
            await harness.drain(lane)
            harness.clock.advance(50)
            await harness.spool.clean_up()
            samples = await rows(harness, "SELECT at_ms FROM horizons ORDER BY seq")
            assert len(samples) <= 66
            assert all(later - earlier >= 100_000 for (earlier,), (later,) in pairwise(samples))
        status = await harness.spool.status()
        assert 128 <= status.pages <= 132, "what was settled within the retention, and two samples more at most"


async def test_a_settlement_of_several_sources_counts_each(harness: Harness) -> None:
    await harness.put(*names("a", 4))
    lane = await harness.lane()
    await harness.take(lane)
    letter = DeadLetter(2, harness.source.number, "0" * 32, "no", "", b"{}")
    settlement = Settlement(ranges=[(1, 4)], filtered=[(3, 4)], dead_letters=[letter])
    await harness.spool.exchange(lane, settlement, after=0, events=0)
    line = await harness.line()
    assert (line.accepted, line.rejected, line.filtered, line.detached, line.discarded) == (1, 1, 2, 0, 0)
