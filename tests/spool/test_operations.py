"""What people do with lanes, in the spool: it lasts, it is on record, and the books stay balanced."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Delivery, Rejection
from forwarder.contracts.errors import ConfigError
from forwarder.delivery import OperatedLane
from forwarder.spool.contract import Settlement
from forwarder.spool.letter import EVERY
from forwarder.testing.lanes import Bench, bench, event
from forwarder.testing.waiting import until
from tests.delivery.scripted import ScriptedSink

WHO = "root (uid 0)"


async def lane_of(b: Bench, name: str = "a") -> Any:
    return next((lane for lane in (await b.spool.status()).lanes if lane.name == name), None)


async def taken(b: Bench, name: str, events: int, *, settled: int = 0) -> int:
    """Open a lane, take events and settle some of them; return its number."""
    state = await b.spool.open_lane(name, "scripted", start="oldest", on_full="pause")
    await b.spool.exchange(state.number, Settlement(), after=state.position, events=events)
    if settled:
        await b.spool.exchange(state.number, Settlement(ranges=[(1, settled)]), after=events, events=0)
    return int(state.number)


async def test_a_pause_lasts_and_the_first_who_paused_stays_on_record(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await taken(b, "a", 1)
        assert await b.spool.operations.pause_lane("a", "by one") == ""
        assert await b.spool.operations.pause_lane("a", "by two") == "by one"
    async with bench(tmp_path) as b:
        state = await b.spool.open_lane("a", "scripted", start=None, on_full="pause")
        assert (state.paused, (await lane_of(b)).paused) == ("by one", "by one")
        assert await b.spool.operations.resume_lane("a") == "by one"
        assert await b.spool.operations.resume_lane("a") == ""
        assert (await b.spool.open_lane("a", "scripted", start=None, on_full="pause")).paused == ""


async def test_a_detached_lane_goes_past_what_waited_then_and_the_gap_names_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.fill(*(event(f"e{n}") for n in range(1, 6)))
        await taken(b, "a", 5, settled=2)
        await b.fill(event("e6"))
        assert await b.spool.operations.detach_lane("a", 5, WHO) == 3
        (line,) = await b.spool.books()
        assert (line.accepted, line.detached, line.waiting, line.balance) == (2, 3, 1, 0)
        (gap,) = (await b.spool.status()).gaps
        assert (gap.cause, gap.lane, gap.events, gap.detail) == ("detached", "a", 3, f"detached by {WHO}")
        assert await b.spool.operations.detach_lane("a", 5, WHO) == 0
        assert await b.spool.operations.detach_lane("a", 10**12, "two") == 1, "no further than there are events"
        assert [gap.events for gap in (await b.spool.status()).gaps] == [3, 1], "another act is another gap"
        await b.balanced()


async def test_what_was_in_flight_when_its_lane_was_detached_and_is_settled_after_all_is_no_gap(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.fill(event("e1"), event("e2"))
        number = await taken(b, "a", 2)
        assert await b.spool.operations.detach_lane("a", 2, WHO) == 2
        await b.spool.exchange(number, Settlement(ranges=[(1, 2)]), after=2, events=0)
        (line,) = await b.spool.books()
        assert (line.accepted, line.detached, line.balance) == (2, 0, 0)
        (gap,) = (await b.spool.status()).gaps
        assert (gap.events, gap.closed_ms is None) == (0, False)


async def test_a_lane_that_is_in_use_is_not_forgotten(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await taken(b, "a", 1)
        with pytest.raises(ConfigError, match="configured"):
            await b.spool.operations.forget_lane("a", WHO)


async def test_a_forgotten_lane_is_gone_its_events_are_a_gap_and_its_name_begins_anew(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.fill(*(event(f"e{n}") for n in range(1, 4)))
        await taken(b, "old", 3, settled=1)
        await taken(b, "a", 0)
    async with bench(tmp_path) as b:
        assert await b.spool.operations.forget_lane("old", WHO) == 2
        assert await lane_of(b, "old") is None
        assert {line.sink for line in await b.spool.books()} == {"a"}
        (gap,) = (await b.spool.status()).gaps
        assert (gap.cause, gap.lane, gap.events, gap.first_seq) == ("lane_forgotten", "old", 2, 1)
        for act in (b.spool.operations.forget_lane, b.spool.operations.pause_lane):
            with pytest.raises(ConfigError, match="no lane of it"):
                await act("old", WHO)
        await b.fill(event("e4"))
    async with bench(tmp_path) as b:
        state = await b.spool.open_lane("old", "elsewhere", start="oldest", on_full="pause")
        assert (state.created, state.position, state.paused) == (True, 0, "")
        lines = {line.sink: line for line in await b.spool.books()}
        assert (lines["old"].spooled, lines["old"].waiting, lines["old"].balance) == (4, 4, 0)
        assert [gap.cause for gap in (await b.spool.status()).gaps] == ["lane_forgotten"], "no gap of what it now gets"


async def test_the_dead_letters_of_a_forgotten_lane_stay_and_those_on_their_way_are_dead_again(tmp_path: Path) -> None:

    async with bench(tmp_path) as b:
        await b.fill(event("e1"), event("e2"))

        def refuse(batch: Any, _: int) -> Delivery:
            bad = {at: Rejection("bad") for at, record in enumerate(batch.records) if b"e1" in record.raw}
            return Delivery(accepted=[at for at in range(len(batch.records)) if at not in bad], rejected=bad)

        b.start("old", ScriptedSink(refuse))
        await b.drained("old")
        await b.stop("old")

        await b.spool.retry_letters("old", EVERY)
    async with bench(tmp_path) as b:
        assert (await lane_of(b, "old")).retried == 1
        await b.spool.operations.forget_lane("old", WHO)
        (letter,) = await b.spool.dead_letters("old")
        assert (letter.retried, letter.lane) == (False, "old")
    async with bench(tmp_path):  # its tables agree when it is opened again
        pass


async def test_a_sink_that_is_paused_gets_nothing_and_its_events_wait(tmp_path: Path) -> None:

    sink = ScriptedSink()
    said: list[str] = []
    async with bench(tmp_path) as b:
        lane = OperatedLane(lambda: b.make("a", sink), said.append)
        task = asyncio.create_task(lane.run())
        await b.fill(event("e1"))
        lane.ring()
        await b.drained("a")
        await lane.act(lambda: b.spool.operations.pause_lane("a", "by one"))
        await b.fill(event("e2"))
        lane.ring()
        await until(lambda: said == ["by one"])
        await lane.act(lambda: b.spool.operations.detach_lane("a", 0, WHO))  # an act ends no pause
        await until(lambda: len(said) == 2)
        (line,) = await b.spool.books()
        assert (line.accepted, line.waiting, sink.seen) == (1, 1, ["e1"])
        await lane.act(lambda: b.spool.operations.resume_lane("a"))
        await b.drained("a")
        await lane.act(lambda: b.spool.operations.pause_lane("a", "by two"))
        lane.stop()
        await task
    assert sink.seen == ["e1", "e2"]
