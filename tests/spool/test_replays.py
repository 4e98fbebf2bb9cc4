"""Replays in the spool: they end, they never make the spool wait, and their books balance whatever happens."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from forwarder.contracts.errors import ConfigError
from forwarder.spool.contract import Settlement
from forwarder.spool.letter import EVERY, DeadLetter
from forwarder.spool.operations import Replay, ReplayOrder
from forwarder.spool.sqlite.glimpse import glimpse
from tests.spool.spools import Harness, bulky, names, opened

ALL = ReplayOrder("elastic", 0, 2**42, who="root")


async def delivered(harness: Harness, *events: str) -> int:
    """Open the live lane, spool events and settle them."""
    lane = await harness.lane()
    await harness.put(*events)
    await harness.settle_taken(lane)
    return lane


async def begun(harness: Harness, order: ReplayOrder = ALL) -> tuple[Replay, int]:
    replay = await harness.spool.operations.begin_replay(order)
    return replay, (await harness.spool.operations.open_replay(replay.number)).number


async def known(harness: Harness, number: int = 1) -> Replay:
    found = {replay.number: replay for replay in await harness.spool.operations.replays()}[number]
    assert found.balance == 0
    return found


async def in_status(harness: Harness) -> tuple[int, int]:
    """Return what the open replays have still to send, and what was accepted of them."""
    [lane] = (await harness.spool.status()).lanes
    return lane.replay_waiting, lane.replay_accepted


async def test_what_comes_after_it_began_is_none_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        live = await delivered(harness, *names("a", 5))
        replay, lane = await begun(harness)
        await harness.put(*names("b", 5))
        await harness.settle_taken(live)
        chunks = await harness.take(lane)
        assert [(chunk.first, chunk.last) for chunk in chunks] == [(1, 5)]
        assert await harness.take(lane, after=5) == []
        assert not await harness.spool.operations.close_replay(replay.number)
        assert await in_status(harness) == (5, 0)
        assert await harness.settle(lane, (1, 4)) == 4
        assert await in_status(harness) == (1, 4)
        assert await harness.settle(lane, (5, 5)) == 5
        assert await harness.spool.operations.close_replay(replay.number)
        assert await in_status(harness) == (0, 0), "none is open"
        assert ((await known(harness)).events, (await known(harness)).accepted) == (5, 5)


async def test_of_a_page_that_the_live_lane_has_settled_in_part_it_takes_that_part(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        live = await harness.lane()
        await harness.put(*names("a", 10))
        await harness.take(live, 10)
        await harness.settle(live, (1, 4), (7, 8))
        replay, lane = await begun(harness)
        assert (replay.first, replay.last, replay.events) == (1, 4, 4)
        assert [(chunk.first, chunk.last) for chunk in await harness.take(lane)] == [(1, 4)]
        await harness.settle(lane, (1, 4))
        assert await harness.spool.operations.close_replay(replay.number)


async def test_a_full_spool_moves_a_replay_on_and_refuses_nothing_for_it(tmp_path: Path) -> None:
    async with opened(tmp_path, max_bytes=2**20) as harness:
        live = await delivered(harness)
        await harness.put(page=bulky("a"))
        await harness.settle_taken(live)
        _, lane = await begun(harness)
        await harness.take(lane, 10)
        for number in range(40):
            await harness.put(page=bulky(f"b{number}-"))
            await harness.settle_taken(live)
        replay = await known(harness)
        assert (replay.detached, replay.waiting) == (50, 0)
        await harness.spool.exchange(lane, Settlement(ranges=[(1, 10)]), after=10, events=0)
        replay = await known(harness)
        assert (replay.accepted, replay.detached) == (10, 40), "what was in flight arrived after all"
        assert (await harness.spool.status()).gaps == []
        assert await harness.spool.operations.close_replay(replay.number)


async def test_a_replay_keeps_the_pages_of_no_other_sink_and_not_those_behind_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path, retain=0) as harness:
        live = await delivered(harness, *names("a", 3))
        replay, lane = await begun(harness)
        await harness.take(lane)
        await harness.settle(lane, (1, 3))
        await harness.put(*names("b", 3))
        await harness.settle_taken(live)
        for _ in range(3):
            harness.clock.advance(60)
            await harness.spool.clean_up()
        assert (await harness.spool.status()).pages == 0, "it has all it wanted, closed or not"
        assert await harness.spool.operations.close_replay(replay.number)


async def test_books_of_a_replay_with_dead_letters_balance_when_it_is_opened_again_and_when_they_are_retried(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as harness:
        await delivered(harness, *names("a", 3))
        replay, lane = await begun(harness)
        await harness.take(lane)
        letter = DeadLetter(2, harness.source.number, "00" * 16, "bad", "", b"", 0)
        await harness.spool.exchange(lane, Settlement(ranges=[(1, 3)], dead_letters=[letter]), after=3, events=0)
        assert await harness.spool.operations.close_replay(replay.number)
        await harness.reopen()
        assert ((await known(harness)).rejected, (await known(harness)).waiting) == (1, 0)
        await harness.spool.retry_letters("elastic", EVERY)
        assert ((await known(harness)).is_open, (await known(harness)).waiting) == (True, 1)
        await harness.reopen()
        await harness.spool.operations.cancel_replay(replay.number, "root")
        found = await known(harness)
        assert (found.is_open, found.rejected, found.waiting, found.ended_by) == (False, 1, 0, "root")


async def test_a_sink_that_begins_anew_or_is_forgotten_ends_its_replays(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await delivered(harness, *names("a", 3))
        await begun(harness)
        await harness.reopen()
        await harness.lane(target="elsewhere", start="oldest")
        found = await known(harness)
        assert (found.is_open, found.detached, found.ended_by) == (False, 3, "the target of the sink changed")
        await harness.reopen()
        with pytest.raises(ConfigError, match=r"nothing[^`]*backfill start .* --from \S+Z --to \S+Z$"):
            await begun(harness)
        await harness.spool.operations.forget_lane("elastic", "root")
        assert [replay.is_open for replay in await harness.spool.operations.replays("elastic")] == [False]


async def test_what_was_read_before_has_left_the_spool_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path, retain=0) as harness:
        live = await delivered(harness, *names("a", 3))
        for _ in range(3):
            harness.clock.advance(60)
            await harness.spool.clean_up()
        moment = int(harness.clock.time() * 1000)
        await harness.put(*names("b", 2))
        await harness.settle_taken(live)
        replay, _ = await begun(harness)
        assert (replay.first, replay.events, replay.whole_since_ms) == (4, 2, moment)
        found = glimpse(harness.config.path)
        assert found is not None
        assert found.whole_since_ms == moment
        assert [lane.name for lane in found.lanes] == ["elastic"], "a replay is no sink"


async def test_replays_that_ended_long_ago_are_forgotten_with_all_that_was_theirs(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await delivered(harness, *names("a", 3))
        replay, lane = await begun(harness)
        await harness.take(lane)
        await harness.settle(lane, (1, 3))
        await harness.spool.operations.close_replay(replay.number)
        second, _ = await begun(harness)
        for _ in range(10):
            harness.clock.advance(86_400 * 10)
            await harness.spool.clean_up()
        assert [each.number for each in await harness.spool.operations.replays()] == [second.number]
        await harness.reopen()


async def test_a_damaged_page_is_missing_in_the_books_of_a_replay_and_one_gap(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await delivered(harness, *names("a", 3))
        _, lane = await begun(harness)
        await harness.spool.close()
        con = sqlite3.connect(harness.config.path)
        con.execute("UPDATE bodies SET packed = zeroblob(20)")
        con.commit()
        con.close()
        harness.spool = type(harness.spool)(harness.config, harness.clock)
        await harness.open()
        lane = (await harness.spool.operations.open_replay(1)).number
        assert await harness.take(lane) == []
        assert ((await known(harness)).detached, (await known(harness)).waiting) == (3, 0)
        assert [gap.cause for gap in (await harness.spool.status()).gaps] == ["damaged_page"]
        await harness.reopen()


@pytest.mark.parametrize(
    ("chosen", "since_ms", "filtered", "is_closed"),
    [
        ("[]", 0, 0, True),
        ("[]", 0, 2, True),
        ('[{"action": ["x"]}]', 0, 0, True),
        ('[{"action": ["x"]}]', 0, 1, False),
        ("[]", 1_769_860_800_000, 1, False),
    ],
)
async def test_a_gap_is_closed_when_nothing_of_it_was_left_out_but_what_the_sink_is_not_to_have(
    tmp_path: Path, chosen: str, since_ms: int, filtered: int, is_closed: bool
) -> None:
    async with opened(tmp_path) as harness:
        await delivered(harness)
        await harness.put(*names("a", 3))
        await harness.spool.operations.detach_lane("elastic", 3, "root")
        replay, lane = await begun(harness, ReplayOrder("elastic", since_ms, 2**42, chosen, "root"))
        await harness.take(lane)
        left_out = [(1, filtered)] if filtered else []
        await harness.spool.exchange(lane, Settlement(ranges=[(1, 3)], filtered=left_out), after=3, events=0)
        assert await harness.spool.operations.close_replay(replay.number)
        (gap,) = (await harness.spool.status()).gaps
        assert (gap.closed_ms is not None, gap.closed_by == "replay") == (is_closed, is_closed)
