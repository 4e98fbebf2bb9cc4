"""A sink that several lanes use: one send a slot at a time, and receipts that are asked for together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from forwarder.contracts import Batch, Confirms, Delivery, Receipt, Retryable, SinkTraits, Warns
from forwarder.delivery.shared import ConfirmingLaneSink, SharedSink
from forwarder.testing.lanes import batch_of, bench, event
from forwarder.testing.waiting import until
from tests.delivery.scripted import ScriptedSink


class Promising(ScriptedSink):
    """Hands out receipts, forgets those that it is not asked for, and tells what became of one only once."""

    def __init__(self) -> None:
        super().__init__(self._promise)
        self.open: dict[Receipt, bool | None] = {}
        self.asked: list[set[Receipt]] = []
        self.fails = False

    def _promise(self, batch: Batch, sends: int) -> Delivery:
        receipt = Receipt(batch.slot, str(sends))
        self.open[receipt] = None
        return Delivery(pending=dict.fromkeys(range(len(batch.records)), receipt))

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        if self.fails:
            raise Retryable("down")
        self.asked.append(set(receipts))
        self.open = {receipt: answer for receipt, answer in self.open.items() if receipt in receipts}
        durable = [receipt for receipt in receipts if self.open.get(receipt)]
        for receipt in durable:
            del self.open[receipt]
        return dict.fromkeys(durable, True)


async def receipt_of(end: ConfirmingLaneSink, slot: int = 0) -> Receipt:
    delivery = await end.send(batch_of(b'{"id":"a"}', slot=slot))
    return delivery.pending[0]


async def test_in_a_slot_one_send_runs_at_a_time_whichever_lane_it_is_of_and_other_slots_do_not_wait() -> None:
    goes_on = asyncio.Event()

    async def wait(batch: Batch, sends: int) -> Delivery:
        await goes_on.wait()
        return Delivery.all_accepted(batch)

    sink = ScriptedSink(wait)
    shared = SharedSink(sink, 2)
    live, replay = shared.end(), shared.end(slot=1)
    tasks = [
        asyncio.create_task(end.send(batch_of(b'{"id":"a"}', slot=slot)))
        for end, slot in ((live, 0), (live, 1), (replay, 0))
    ]
    await until(lambda: sink.sends >= 2)
    for _ in range(20):  # a third one would begin
        await asyncio.sleep(0)
    assert (sink.running, sink.sends) == (2, 2)
    goes_on.set()
    await asyncio.gather(*tasks)
    assert (sink.sends, sink.most_running) == (3, 2)


async def test_the_receipts_of_every_lane_are_asked_for_and_each_answer_reaches_its_own() -> None:
    sink = Promising()
    shared = SharedSink(sink, 2)
    live, replay = shared.end(), shared.end(slot=1)
    assert isinstance(live, ConfirmingLaneSink)
    assert isinstance(replay, ConfirmingLaneSink)
    mine, its = await receipt_of(live), await receipt_of(replay)
    assert await live.confirm([mine]) == {}
    assert sink.asked == [{mine, its}]
    sink.open = {mine: True, its: True}
    assert await live.confirm([mine]) == {mine: True}
    sink.fails = True
    assert await replay.confirm([its]) == {its: True}, "it was told when the other lane asked"
    with pytest.raises(Retryable):
        await replay.confirm([])


async def test_a_receipt_that_was_given_while_the_other_lane_asks_is_not_forgotten() -> None:
    sink = Promising()
    shared = SharedSink(sink, 2)
    live, replay = shared.end(), shared.end(slot=1)
    assert isinstance(live, ConfirmingLaneSink)
    assert isinstance(replay, ConfirmingLaneSink)
    first = await receipt_of(replay)
    await replay.confirm([first])
    second = await receipt_of(replay)
    await live.confirm([])
    assert sink.asked[-1] == {first, second}
    await replay.confirm([first])  # its lane has not noted the second one yet
    await live.confirm([])
    assert sink.asked[-1] == {first, second}
    await replay.confirm([second])  # the first one was given up
    await live.confirm([])
    assert sink.asked[-1] == {second}
    replay.leave()
    await live.confirm([])
    assert sink.asked[-1] == set()


async def test_what_a_sink_has_told_of_a_receipt_is_not_asked_again_by_another_lane() -> None:
    sink = Promising()
    shared = SharedSink(sink, 2)
    live, replay = shared.end(), shared.end(slot=1)
    assert isinstance(live, ConfirmingLaneSink)
    assert isinstance(replay, ConfirmingLaneSink)
    mine, its = await receipt_of(live), await receipt_of(replay)
    sink.open = {mine: True, its: True}
    await live.confirm([mine])
    await live.confirm([])
    assert sink.asked == [{mine, its}, set()]
    assert await replay.confirm([its]) == {its: True}
    assert sink.asked[-1] == set()


async def test_the_receipts_of_a_lane_that_has_ended_are_asked_for_no_more(tmp_path: Path) -> None:
    sink = Promising()
    async with bench(tmp_path) as b:
        shared = SharedSink(sink, 2)
        live, replay = shared.end(), shared.end(slot=1)
        assert isinstance(live, ConfirmingLaneSink)
        b.start("replay", replay, window=1, confirm_every=0.01)
        await b.fill(event("e1"))
        await until(lambda: sink.open)
        await b.stop("replay")
        await live.confirm([])
        assert sink.asked[-1] == set(), "nobody would hear the answer"


class Warned(ScriptedSink):
    wants_event = True
    max_body = 7

    def warning(self) -> tuple[str, str] | None:
        return "slow", "wait"


def test_what_a_sink_declares_is_seen_through_and_nothing_else() -> None:
    end = SharedSink(Warned(), 1).end()
    assert isinstance(end, Warns)
    assert not isinstance(end, Confirms)
    assert (SinkTraits.of(end).max_body, SinkTraits.of(end).wants_event, end.target) == (7, True, "scripted")
    plain = SharedSink(ScriptedSink(), 1).end()
    assert not isinstance(plain, Warns)
    assert SinkTraits.of(plain) == SinkTraits.of(ScriptedSink())
    assert isinstance(SharedSink(Promising(), 1).end(), Confirms)


async def test_two_lanes_of_a_sink_that_forgets_what_it_is_not_asked_for_have_everything_confirmed_once(
    tmp_path: Path,
) -> None:
    sink = Promising()

    async def durable_soon() -> None:
        while True:
            sink.open = dict.fromkeys(sink.open, True)
            await asyncio.sleep(0.001)

    async with bench(tmp_path) as b:
        shared = SharedSink(sink, 2)
        live, other = shared.end(), shared.end(slot=1)
        making = asyncio.create_task(durable_soon())
        b.start("live", live, window=2, confirm_every=0.01)
        b.start("other", other, window=1, confirm_every=0.013)
        for number in range(40):
            await b.fill(*(event(f"e{number}-{each}") for each in range(5)))
        await b.drained("live")
        await b.drained("other")
        making.cancel()
        for name in ("live", "other"):
            assert b.lanes[name][0].report.resent == 0
        await b.balanced()
    assert Counter(sink.seen) == Counter(dict.fromkeys(sink.seen, 2))
    assert len(set(sink.seen)) == 200
