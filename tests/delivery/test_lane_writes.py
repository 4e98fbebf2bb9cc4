"""A spool that cannot write, an exchange that is cut off, a send that dies: nothing noted is lost, nothing goes unsaid."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Batch, Confirms, Delivery, Held, Receipt, Retryable
from forwarder.spool.contract import Exchange, Settlement
from forwarder.testing.lanes import Bench, bench, event
from tests.delivery.scripted import ScriptedSink


class Forgetful(ScriptedSink):
    """Confirms late, and has lost whatever it is asked for."""

    def __init__(self) -> None:
        super().__init__(
            lambda batch, n: Delivery(pending={i: Receipt(batch.slot, str(n)) for i in range(len(batch.records))})
        )

    async def confirm(self, receipts: list[Receipt]) -> dict[Receipt, bool]:
        return dict.fromkeys(receipts, False)


def silent(_: Batch, __: int) -> Retryable:
    return Retryable("no answer", kind="timeout", sent=True)


def fail_writes(b: Bench, *, of: str) -> None:
    """Let every write fail that holds some of these."""
    exchange = b.spool.exchange

    async def full(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
        if getattr(settlement, of):
            raise Held("full", fix="make room", kind="disk_full")
        return await exchange(lane, settlement, after=after, events=events)

    b.spool.exchange = full  # type: ignore[method-assign]


@pytest.mark.parametrize("sink", [ScriptedSink(silent), Forgetful()], ids=["no answer", "lost after a promise"])
async def test_a_stop_ends_the_wait_for_a_write_and_sends_nothing_whose_doubt_is_not_written(
    sink: ScriptedSink, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b:
        assert isinstance(sink, Confirms) is isinstance(sink, Forgetful)
        exchange = b.spool.exchange
        fail_writes(b, of="doubts")
        lane = b.start("one", sink)
        await b.fill(event("a"), event("b"))
        await b.until(lambda: lane.report.errors["disk_full"] > 0 or lane.report.state == "held")
        stopping = asyncio.create_task(b.stop("one"))
        await b.until(lambda: lane.report.in_flight == 0)
        assert sink.sends == 1
        b.spool.exchange = exchange  # type: ignore[method-assign]
        await stopping
        assert sink.sends == 1
        b.start("one", ScriptedSink())
        await b.drained("one")
        assert {seq for first, last in await b.doubts("one") for seq in range(first, last + 1)} == {1, 2}
        await b.balanced()


async def test_what_a_cut_off_exchange_could_not_write_is_written_at_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        exchange, begun, go_on = b.spool.exchange, asyncio.Event(), asyncio.Event()

        async def slow(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
            if settlement.ranges and not go_on.is_set():
                begun.set()
                await go_on.wait()
                raise Held("full", fix="make room", kind="disk_full")
            return await exchange(lane, settlement, after=after, events=events)

        b.spool.exchange = slow  # type: ignore[method-assign]
        lane = b.start("one", ScriptedSink(), batch={"events": 5, "wait": 0})
        await b.fill(*(event(f"e{i}") for i in range(10)))
        await begun.wait()
        await b.until(lambda: lane.report.accepted == 10)
        task = b.lanes.pop("one")[1]
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done(), "it left although the spool still carries out what it was given"
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        (line,) = await b.spool.books()
        assert (line.accepted, line.waiting) == (10, 0)
        await b.balanced()


async def test_what_was_sent_by_a_send_that_died_is_in_doubt_for_the_next_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:

        def broken(*_: Any) -> None:
            raise RuntimeError("a fault of our own, after the sink took it")

        sink = ScriptedSink()
        lane = b.start("one", sink)
        with monkeypatch.context() as patch:
            patch.setattr(type(lane.report), "observe_send", broken)
            await b.fill(event("a"), event("b"))
            task = b.lanes.pop("one")[1]
            with pytest.raises(RuntimeError, match="fault of our own"):
                await task
        assert sink.sends == 1
        assert lane.report.state == "stopped"
        b.start("one", ScriptedSink())
        await b.drained("one")
        assert await b.doubts("one") == [(1, 2)]
        await b.balanced()
