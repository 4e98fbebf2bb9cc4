"""A stream that no one answers and that ends at some events; and doubts that are written before anything is sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Batch, Delivery, Held, Receipt, Rejection, Retryable
from forwarder.spool.contract import Exchange, Settlement
from forwarder.testing.lanes import bench, event
from tests.choking import Stream, choking_on, in_doubt, letters_of, names
from tests.delivery.scripted import ScriptedSink


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("bad", [["e0"], ["e150"], ["e299"], ["e150", "e151"], ["e10", "e290"]])
async def test_a_record_that_ends_connections_becomes_a_dead_letter_and_the_others_arrive(
    window: int, bad: list[str], tmp_path: Path
) -> None:
    async with bench(tmp_path) as b:
        sink = Stream(lambda name: name in bad)
        lane = b.start("one", sink, window=window, patience=0.1, batch={"events": 500, "wait": 0.02})
        await b.fill(*(event(f"e{n}") for n in range(300)))
        await b.until(lambda: not lane.report.well)
        await b.drained("one")
        assert set(await letters_of(b)) == set(bad)
        assert set(sink.has) == {f"e{n}" for n in range(300)} - set(bad)
        assert max(sink.has.values()) <= 14, "one for each halving, and a few"
        assert {name for name, times in sink.has.items() if times > 1} <= await in_doubt(b)
        await b.balanced()


async def test_a_receiver_that_ends_every_connection_is_said_with_growing_pauses(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Stream(lambda _: True)
        lane = b.start("one", sink, window=1, patience=0.01, batch={"events": 500, "wait": 0.02})
        await b.fill(*(event(f"e{n}") for n in range(300)))
        await b.until(lambda: lane.report.state == "held")
        reason, _, comparison = lane.report.reason.partition("; ")
        assert (reason, lane.report.fix) == Stream.unconfirmed
        assert "the next event that is taken decides" in comparison
        await b.until(lambda: sink.sends > 10)
        assert [len(batch) for batch in sink.batches[:4]] == [300, 300, 300, 1]
        assert {len(batch) for batch in sink.batches[3:]} == {1}
        assert lane.report.dead_letters == 0
        sink.ends_at = lambda _: False
        await b.drained("one")
        await b.until(lambda: lane.report.well)


async def test_a_receiver_that_ends_a_connection_now_and_then_only_costs_what_was_lost(tmp_path: Path) -> None:
    """After every hundred records, say; it is no event's fault."""
    async with bench(tmp_path) as b:
        seen = 0

        def every_hundredth(_: str) -> bool:
            nonlocal seen
            seen += 1
            return seen % 100 == 0

        lane = b.start("one", Stream(every_hundredth), patience=0.05, batch={"events": 40, "wait": 0.01})
        await b.fill(*(event(f"e{n}") for n in range(400)))
        await b.drained("one")
        assert lane.report.accepted == 400
        assert await letters_of(b) == {}


async def test_a_stop_while_a_suspect_waits_for_its_receipt_ends_and_loses_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Stream(lambda name: name == "e5")
        lane = b.start("one", sink, window=1, patience=3600)
        await b.fill(*(event(f"e{n}") for n in range(10)))
        await b.until(lambda: lane.report.tries >= 1)
        sink.confirm = lambda _: asyncio.sleep(0, {})  # type: ignore[method-assign, assignment]
        await b.until(lambda: lane.report.pending > 0)
        await b.stop("one")
        b.start("one", Stream(lambda _: False))
        await b.drained("one")
        await b.balanced()


async def test_a_lane_that_waits_for_confirmations_still_looks_into_the_spool_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forwarder.delivery.lane.LOOK_EVERY", 0.2)
    async with bench(tmp_path) as b:
        sink = Stream(lambda _: False)
        sink.confirm = lambda _: asyncio.sleep(0, {})  # type: ignore[method-assign, assignment]
        lane = b.start("one", sink, confirm_within=3600)
        await b.fill(event("e0"))
        await b.until(lambda: lane.report.pending == 1 and lane.report.in_flight == 0)
        monkeypatch.setattr(lane, "ring", lambda: None)
        await b.fill(event("e1"))
        await b.until(lambda: sink.has["e1"] == 1)


# ------------------------------------------------------------------------------------- doubts, while a write is held


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("fails", [False, True])
async def test_nothing_is_sent_again_while_its_doubt_is_not_written(
    fails: bool, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write of the doubt is held open, or fails: neither a failed send nor a lost receipt may go on without it."""
    monkeypatch.setattr("forwarder.delivery.settlement.RETRY_WRITE", 0.01)
    async with bench(tmp_path) as b:
        exchange, writing, go_on = b.spool.exchange, asyncio.Event(), asyncio.Event()

        async def held(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
            if settlement.doubts and not go_on.is_set():
                writing.set()
                if fails:
                    raise Held("full", fix="make room", kind="disk_full")
                await go_on.wait()
            return await exchange(lane, settlement, after=after, events=events)

        b.spool.exchange = held  # type: ignore[method-assign]
        ends: set[str] = {"e1"}
        sink = Stream(lambda name: name in ends) if late else ScriptedSink(choking_on("e1"))
        b.start("one", sink, patience=0.01)
        await b.fill(event("e0"), event("e1"))
        await writing.wait()
        for _ in range(50):
            await asyncio.sleep(0.002)
        assert sink.sends == 1
        go_on.set()
        await b.drained("one")
        assert await in_doubt(b) >= {"e1"}


async def test_what_is_noted_while_a_write_fails_is_written_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forwarder.delivery.settlement.RETRY_WRITE", 0.01)
    async with bench(tmp_path) as b:
        exchange, failing, noted = b.spool.exchange, asyncio.Event(), asyncio.Event()
        fails = 0

        async def full(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
            nonlocal fails
            if settlement and fails < 3:
                fails += 1
                failing.set()
                await noted.wait()
                raise Held("full", fix="make room", kind="disk_full")
            return await exchange(lane, settlement, after=after, events=events)

        async def answer(batch: Batch) -> Any:
            if "e0" in names(batch):
                return Delivery.all_accepted(batch)
            await failing.wait()  # the first batch is on its way to the disk
            noted.set()
            if not any(name in seen for name in names(batch)):
                seen.update(names(batch))
                raise Retryable("silent", kind="timeout", sent=True)
            last = len(batch.records) - 1
            return Delivery(accepted=range(last), rejected={last: Rejection("no")} if last else {})

        seen: set[str] = set()
        b.spool.exchange = full  # type: ignore[method-assign]
        b.start("one", ScriptedSink(lambda batch, _: answer(batch)), batch={"events": 5, "wait": 0})
        await b.fill(*(event(f"e{n}") for n in range(10)))
        await b.drained("one")
        (line,) = await b.spool.books()
        assert (line.accepted, line.rejected) == (9, 1)
        assert await letters_of(b) == {"e9": "no"}
        assert await in_doubt(b) == {f"e{n}" for n in range(5, 10)}
        await b.balanced()


class Links(Stream):
    """Carries each event on a connection of its own, as a sink does that met a receiver which ends many."""

    def _write(self, batch: Batch, n: int) -> Delivery:
        pending: dict[int, Receipt] = {}
        for place, name in enumerate(names(batch)):
            pending[place] = Receipt(batch.slot, f"{n}.{place}")
            if self.ends_at(name):
                self.lost.add(pending[place].token)
            else:
                self.has[name] += 1
        return Delivery(pending=pending)


@pytest.mark.parametrize("bad", ["e0", "e12", "e24"])
async def test_an_event_that_is_never_confirmed_is_at_fault_when_others_of_its_own_sends_are(
    bad: str, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b:
        sink = Links(lambda name: name == bad)
        b.start("one", sink, window=1, patience=0.05, batch={"events": 25, "wait": 0.01})
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.drained("one")
        assert await letters_of(b) == {bad: "not_taken"}
        assert set(sink.has.values()) == {1}, "the others arrived at once, and were never sent again"


class Silent(Links):
    """OpenReceipts, and says nothing of it until it is asked to."""

    speaks = False

    async def confirm(self, receipts: list[Receipt]) -> dict[Receipt, bool]:
        return await super().confirm(receipts) if self.speaks else {}


async def test_what_stays_unproved_for_long_does_not_look_well(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Silent(lambda _: False)
        lane = b.start("one", sink, window=1, confirm_within=3600)
        await b.fill(event("e0"), event("e1"))
        await b.until(lambda: lane.report.pending == 2)
        assert lane.report.well
        assert lane._receipts is not None
        lane._receipts._within = 7200 * 2  # as if half of the time had gone by
        await b.until(lambda: "nothing proves what was sent since" in lane.report.reason)
        assert not lane.report.well
        assert lane.report.fix
        sink.speaks = True
        await b.drained("one")
        await b.until(lambda: lane.report.well)
