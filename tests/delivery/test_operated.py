"""What people do with a lane while it runs: the next try comes at once, and acts happen while nothing is in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Batch, ContentRefused, Delivery, Held, Retryable
from forwarder.contracts.errors import ForwarderError
from forwarder.delivery import OperatedLane, operated
from forwarder.spool.contract import SpoolError
from forwarder.testing.lanes import Bench, bench, event
from forwarder.testing.waiting import until
from tests.delivery.scripted import ScriptedSink

LONG = {"retry": {"base": 3000, "max": 3600}}


@asynccontextmanager
async def operating(b: Bench, sink: ScriptedSink, **config: Any) -> AsyncIterator[OperatedLane]:
    lane = OperatedLane(lambda: b.make("a", sink, **config))
    task = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        lane.stop()
        await task


@pytest.mark.parametrize(
    "failure",
    [Retryable("down"), Held("mapping", fix="fix it"), Retryable("busy", retry_after=3000.0), ContentRefused("bad")],
)
async def test_a_wait_for_the_next_try_ends_at_once(tmp_path: Path, failure: Exception) -> None:
    answers: list[Any] = [failure]

    def answer(batch: Batch, _: int) -> Any:
        return answers.pop() if answers else Delivery.all_accepted(batch)

    sink = ScriptedSink(answer)
    async with bench(tmp_path) as b:
        await b.fill(event("e1"), event("e2"))
        async with operating(b, sink, **LONG) as lane:
            await until(lambda: lane.lane.report.next_try > 0)
            lane.retry_now()
            await b.drained("a")
            await until(lambda: lane.lane.report.well)
    assert sink.seen.count("e1") == 2


async def test_what_waits_apart_is_tried_at_once_and_its_patience_stays(tmp_path: Path) -> None:
    bad = True

    def answer(batch: Batch, _: int) -> Any:
        if bad and any(b"e2" in record.raw for record in batch.records):
            return Retryable("the connection was reset", suspect=True)
        return Delivery.all_accepted(batch)

    sink = ScriptedSink(answer)
    async with bench(tmp_path) as b:
        await b.fill(*(event(f"e{n}") for n in range(1, 6)))
        async with operating(b, sink, patience="1h") as lane:
            await until(lambda: lane.lane.report.aside)
            before = sink.sends
            lane.retry_now()
            await until(lambda: sink.sends > before and lane.lane.report.aside[0].tries == 2)
            bad = False
            lane.retry_now()
            await b.drained("a")
        assert [(line.accepted, line.rejected) for line in await b.spool.books()] == [(5, 0)]


async def test_an_act_happens_while_nothing_is_in_flight_and_delivery_goes_on_after_it(tmp_path: Path) -> None:
    sink = ScriptedSink()
    seen: list[tuple[int, int]] = []
    async with bench(tmp_path) as b:
        await b.fill(event("e1"))
        async with operating(b, sink) as lane:
            await b.drained("a")

            async def work() -> str:
                status = (await b.spool.status()).lanes[0]
                seen.append((sink.running, status.head - status.position))
                return "done"

            assert await lane.act(work) == "done"
            await b.fill(event("e2"))
            lane.ring()
            await b.drained("a")
    assert (seen, sink.seen) == ([(0, 0)], ["e1", "e2"])


async def test_a_send_that_never_ends_is_cut_off_for_an_act_and_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operated, "PATIENCE", 0.05)

    async def hang(batch: Batch, sends: int) -> Delivery:
        if sends == 1:
            await asyncio.Event().wait()
        return Delivery.all_accepted(batch)

    sink = ScriptedSink(hang)
    async with bench(tmp_path) as b:
        await b.fill(event("e1"))
        async with operating(b, sink) as lane:
            await until(lambda: sink.running)

            async def work() -> int:
                return sink.running

            assert await lane.act(work) == 0
            await b.drained("a")
        assert (await b.doubts("a"), sink.seen) == ([(1, 1)], ["e1", "e1"])


async def test_an_act_that_fails_is_the_answer_and_ends_no_lane(tmp_path: Path) -> None:
    sink = ScriptedSink()
    async with bench(tmp_path) as b, operating(b, sink) as lane:

        async def fails() -> None:
            raise SpoolError("no such lane")

        for _ in range(2):
            with pytest.raises(SpoolError, match="no such lane"):
                await lane.act(fails)
        await b.fill(event("e1"))
        lane.ring()
        await b.drained("a")


async def test_acts_that_come_together_happen_one_after_the_other(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, operating(b, ScriptedSink()) as lane:
        order: list[str] = []

        async def work(name: str) -> None:
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

        await asyncio.gather(*(lane.act(lambda name=name: work(name)) for name in "xy"))  # type: ignore[misc]
        assert order == ["x begins", "x ends", "y begins", "y ends"]


async def test_who_waits_for_an_act_of_a_lane_that_fails_is_told(tmp_path: Path) -> None:
    class Broken(ScriptedSink):
        @property
        def target(self) -> str:
            raise RuntimeError("no target")

    async with bench(tmp_path) as b:
        lane = OperatedLane(lambda: b.make("a", Broken()))
        task = asyncio.create_task(lane.run())

        async def work() -> str:
            return "done"

        await asyncio.sleep(0)
        with pytest.raises(ForwarderError, match="try again"):
            await lane.act(work)
        await asyncio.wait([task])
        assert task.exception() is not None
        assert await lane.act(work) == "done", "of a lane that does not run nothing is in flight"
