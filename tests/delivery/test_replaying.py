"""A replay: what was delivered is sent once more, in books of its own, beside live events and over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Batch, Delivery, Rejection, Retryable, SystemClock
from forwarder.contracts.errors import ConfigError
from forwarder.delivery import Lane
from forwarder.delivery.replaying import READER, Replays, ReplaySpool
from forwarder.observe.reports import LaneReport
from forwarder.records.filters import Chosen, Filter
from forwarder.spool.contract import Exchange, Settlement
from forwarder.spool.letter import EVERY
from forwarder.spool.operations import Replay, ReplayOrder
from forwarder.testing.lanes import Bench, bench, event
from forwarder.testing.waiting import until
from tests.clocks import FakeClock
from tests.delivery.scripted import ScriptedSink

SINCE, UNTIL = 1_769_800_000_000, 1_770_000_000_000  # around 2026-01-31T10:00Z, when every event here happened
ORDER = ReplayOrder("a", SINCE, UNTIL, who="root")


@asynccontextmanager
async def replaying(b: Bench, sink: Any, live: LaneReport | None = None, **config: Any) -> AsyncIterator[Replays]:
    """Run the replays of the sink `a`; its live lane does not run."""

    def make(replay: Replay, spool: ReplaySpool) -> Lane:
        chosen = Chosen(Filter(None, None), Filter(None, None), replay.since_ms, replay.until_ms)
        return b.make("a", sink, spool=spool, chosen=chosen, window=1, **config)

    live = live or LaneReport("a", "scripted")
    replays = Replays("a", b.spool, make, live=live, clock=SystemClock())
    task = asyncio.create_task(replays.run())
    try:
        yield replays
    finally:
        replays.stop()
        await task


async def delivered(b: Bench, sink: Any, *names: str) -> None:
    """Let the live lane deliver events, and end."""
    if names:
        await b.fill(*(event(name) for name in names))
    b.start("a", sink)
    await b.drained("a")
    await b.stop("a")


async def only(b: Bench) -> Replay:
    (replay,) = await b.spool.operations.replays("a")
    return replay  # type: ignore[no-any-return]


async def ended(b: Bench) -> Replay:
    async def is_over() -> bool:
        return not (await only(b)).is_open

    await until(is_over)
    return await only(b)


async def test_what_was_delivered_is_sent_once_more_with_its_ids_and_a_mark_and_live_books_stay(tmp_path: Path) -> None:
    ids: list[list[str]] = [[]]
    readers: set[str] = set()

    def answer(batch: Batch, _: int) -> Delivery:
        ids[-1] += [record.id for record in batch.records]
        readers.update(record.reader for record in batch.records)
        return Delivery.all_accepted(batch)

    sink = ScriptedSink(answer)
    async with bench(tmp_path) as b:
        await delivered(b, sink, *(f"e{n}" for n in range(25)))
        before = await b.spool.books()
        ids.append([])
        readers.clear()
        replay = await b.spool.operations.begin_replay(ORDER)
        assert (replay.sink, replay.first, replay.last, replay.events, replay.waiting) == ("a", 1, 25, 25, 25)
        async with replaying(b, sink):
            done = await ended(b)
        assert (ids[1], readers) == (ids[0], {READER})
        assert (done.accepted, done.filtered, done.waiting, done.balance, done.ended_by) == (25, 0, 0, 0, "")
        assert await b.spool.books() == before
        assert [lane.name for lane in (await b.spool.status()).lanes] == ["a"]
        assert await b.spool.day_books() == [line for line in await b.spool.day_books() if line.sink == "a"]
    async with bench(tmp_path) as b:
        assert (await only(b)).accepted == 25


async def test_events_of_other_times_are_left_out_and_what_waits_for_the_live_lane_is_not_looked_at(
    tmp_path: Path,
) -> None:
    sink = ScriptedSink()
    async with bench(tmp_path) as b:
        await delivered(b, sink, "e1")
        early = event("early").replace(b"2026-01-31T10", b"2026-01-31T02")
        await b.fill(event("e2"), early)
        await delivered(b, sink)
        await b.fill(event("e3"))
        sink.seen.clear()
        since = SINCE + (1_769_853_600_000 - SINCE)  # 2026-01-31T10:00Z, included
        replay = await b.spool.operations.begin_replay(ReplayOrder("a", since, since, who="root"))
        assert replay.last == 3
        async with replaying(b, sink):
            done = await ended(b)
        assert (sink.seen, done.accepted, done.filtered, done.balance) == (["e1", "e2"], 2, 1, 0)


async def test_a_time_of_which_the_spool_has_nothing_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with pytest.raises(ConfigError, match="no lane"):
            await b.spool.operations.begin_replay(ORDER)
        await delivered(b, ScriptedSink(), "e1")
        after = UNTIL + 10**13
        with pytest.raises(ConfigError, match="backfill"):
            await b.spool.operations.begin_replay(ReplayOrder("a", after, after + 1, who="root"))
        assert await b.spool.operations.replays() == []


async def test_a_replay_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    sink = ScriptedSink()
    async with bench(tmp_path) as b:
        await delivered(b, sink, *(f"e{n}" for n in range(30)))
        sink.seen.clear()
        await b.spool.operations.begin_replay(ORDER)
        stuck = asyncio.Event()

        async def two_batches(batch: Batch, sends: int) -> Any:
            if len(sink.seen) > 20:
                stuck.set()
                return Retryable("down")
            return Delivery.all_accepted(batch)

        sink.answer = two_batches
        async with replaying(b, sink, retry={"base": 1000, "max": 1000}):
            await stuck.wait()
        assert (await only(b)).accepted == 20
    async with bench(tmp_path) as b:
        sink.seen.clear()
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        async with replaying(b, sink):
            done = await ended(b)
        assert (sink.seen, done.accepted, done.balance) == ([f"e{n}" for n in range(20, 30)], 30, 0)


async def test_what_is_refused_is_a_dead_letter_of_the_sink_and_a_retry_takes_the_replay_up_again(
    tmp_path: Path,
) -> None:
    refuses = False

    def answer(batch: Batch, _: int) -> Delivery:
        bad = {at: Rejection("bad") for at, record in enumerate(batch.records) if refuses and b'"e2"' in record.raw}
        return Delivery(accepted=[at for at in range(len(batch.records)) if at not in bad], rejected=bad)

    sink = ScriptedSink(answer)
    async with bench(tmp_path) as b:
        await delivered(b, sink, "e1", "e2", "e3")
        refuses = True
        await b.spool.operations.begin_replay(ORDER)
        async with replaying(b, sink) as replays:
            done = await ended(b)
            assert (done.accepted, done.rejected, done.balance) == (2, 1, 0)
            (letter,) = await b.spool.dead_letters("a")
            assert (letter.lane, letter.seq, letter.reason) == ("a", 2, "bad")
            assert (await b.spool.status()).lanes[0].dead_letters == 1
            assert [line.rejected for line in await b.spool.books()] == [0]
            refuses = False
            (act,) = await b.spool.retry_letters("a", EVERY)
            assert act.numbers == (letter.number,)
            assert (await only(b)).is_open
            replays.ring()
            done = await ended(b)
        assert (done.accepted, done.rejected, done.balance) == (3, 0, 0)
        assert await b.spool.dead_letters("a") == []
    async with bench(tmp_path):  # its tables agree when it is opened again
        pass


async def test_dead_letters_of_a_replay_are_discarded_as_any(tmp_path: Path) -> None:
    sink = ScriptedSink()
    async with bench(tmp_path) as b:
        await delivered(b, sink, "e1", "e2")
        sink.answer = lambda batch, _: Delivery(rejected={0: Rejection("bad")}, accepted=range(1, len(batch.records)))
        await b.spool.operations.begin_replay(ORDER)
        async with replaying(b, sink):
            await ended(b)
        (act,) = await b.spool.discard_letters("a", EVERY, who="root", words="all")
        assert (act.lane, len(act.numbers)) == ("a", 1)
        assert [discard.lane for discard in await b.spool.discards("a")] == ["a"]
        assert ((await only(b)).rejected, (await only(b)).balance) == (1, 0)
    async with bench(tmp_path):
        pass


async def test_a_replay_that_is_cancelled_ends_while_nothing_is_in_flight_and_the_next_one_begins(
    tmp_path: Path,
) -> None:
    sink = ScriptedSink()
    async with bench(tmp_path) as b:
        await delivered(b, sink, *(f"e{n}" for n in range(30)))
        first = await b.spool.operations.begin_replay(ORDER)
        second = await b.spool.operations.begin_replay(ORDER)
        sink.answer = lambda *_: Retryable("down")
        async with replaying(b, sink, retry={"base": 1000, "max": 1000}) as replays:
            await until(lambda: replays.works_at(first) and replays.report and not replays.report.well)
            done = await replays.cancel(first.number, "root")
            assert (done.is_open, done.ended_by, done.detached, done.accepted, done.balance) == (
                False,
                "root",
                30,
                0,
                0,
            )
            sink.answer = lambda batch, _: Delivery.all_accepted(batch)

            async def second_is_over() -> bool:
                return not (await b.spool.operations.replays("a"))[1].is_open

            await until(second_is_over)
            assert (await replays.cancel(second.number, "root")).ended_by == "", "one that has ended stays as it is"
        assert (await b.spool.operations.replays("a"))[1].accepted == 30
        assert (await b.spool.status()).gaps == [], "what a replay does not send lacks nowhere"


async def test_what_a_lane_was_detached_from_is_sent_by_a_replay_and_its_gap_is_closed(tmp_path: Path) -> None:
    sink = ScriptedSink()
    async with bench(tmp_path) as b:
        await delivered(b, sink, "e1")
        await b.fill(event("e2"), event("e3"))
        await b.spool.operations.detach_lane("a", 3, "root")
        (line,) = await b.spool.books()
        assert (line.accepted, line.detached) == (1, 2)
        await b.spool.operations.begin_replay(ORDER)
        async with replaying(b, sink):
            await ended(b)
        assert sink.seen == ["e1", "e1", "e2", "e3"]
        (gap,) = (await b.spool.status()).gaps
        assert (gap.closed_ms is not None, gap.closed_by) == (True, "replay")
        assert await b.spool.books() == [line]


async def test_a_replay_keeps_its_pages_until_it_has_ended_and_the_spool_waits_for_none(tmp_path: Path) -> None:
    sink = ScriptedSink()
    async with bench(tmp_path, retain=0) as b:
        await delivered(b, sink, *(f"e{n}" for n in range(5)))
        replay = await b.spool.operations.begin_replay(ORDER)
        await b.spool.operations.open_replay(replay.number)
        await b.spool.clean_up()
        await b.spool.clean_up()
        assert (await b.spool.status()).pages == 1
        await b.spool.operations.cancel_replay(replay.number, "root")
        await b.spool.clean_up()
        await b.spool.clean_up()
        assert (await b.spool.status()).pages == 0
        await b.fill(event("e9"))
        await delivered(b, sink)
        await b.spool.clean_up()
        await b.spool.clean_up()
        assert ((await b.spool.status()).pages, (await only(b)).balance) == (0, 0)


class Chunk:
    """Stands for events that were taken."""

    reader = ""


class Giving:
    """A spool whose exchange gives something whenever it is asked for any."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def exchange(self, lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
        self.asked.append(events)
        return Exchange(after, 100, [Chunk()] if events else [])  # type: ignore[list-item]


@pytest.mark.parametrize(("lag", "state", "gives"), [(0, "idle", 4), (5, "working", 1), (0, "paused", 0)])
async def test_while_live_events_wait_a_replay_rests_for_a_while_and_while_the_sink_is_paused(
    lag: int, state: Any, gives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, spool, live = FakeClock(), Giving(), LaneReport("a", "scripted", lag=lag, state=state)
    replay = Replay(1, 1, 100, 0, 0, "[]", "root", None, 0, None, "", "a", 100, 0, 0, 0, 0, 100)
    view = ReplaySpool(spool, replay, live=live, clock=clock, over=list, ring=list)  # type: ignore[arg-type]
    rings: list[float] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda seconds, _: rings.append(seconds))
    for _ in range(4):
        await view.exchange(1, Settlement(), after=0, events=10)
        clock.advance(1)
    assert sum(events > 0 for events in spool.asked) == gives
    if gives == 1:
        assert rings == [3.0]
        clock.advance(3)
        await view.exchange(1, Settlement(), after=0, events=10)
        assert spool.asked[-1] == 10
