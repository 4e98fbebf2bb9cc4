"""What was promised: what is confirmed, what is lost, what is suspected, and how the answers are told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from forwarder.contracts import Held, Origin, Receipt, Record, Retryable, SinkConfig
from forwarder.delivery.receipts import BREAKS, OpenReceipts
from forwarder.observe.reports import LaneReport
from tests.clocks import FakeClock

ORIGIN = Origin("acme", "organization", "org-1")
WITHIN = 60.0


def record(seq: int, source: int = 1) -> Record:
    return Record(seq=seq, origin=ORIGIN, id=f"id{seq}", raw=b"{}", body=b"{}", source=source)


def receipt(token: str) -> Receipt:
    return Receipt(0, token)


class Sink:
    """Answers a question as it is told."""

    def __init__(self) -> None:
        self.answers: dict[str, bool] | Exception = {}
        self.asked: list[list[str]] = []

    async def confirm(self, receipts: list[Receipt]) -> dict[Receipt, bool]:
        self.asked.append([one.token for one in receipts])
        if isinstance(self.answers, Exception):
            raise self.answers
        return {receipt(token): answer for token, answer in self.answers.items()}


class Promised:
    """Promises of a sink, over a clock that stands still."""

    def __init__(self) -> None:
        self.sink: Any = Sink()
        self.clock = FakeClock()
        self.report = LaneReport("one", "scripted")
        config = SinkConfig(type="scripted", confirm_within=WITHIN)
        self.receipts = OpenReceipts(self.sink, config, clock=self.clock, report=self.report)

    def add(self, token: str, *seqs: int, begun: int = 0, source: int = 1) -> None:
        for seq in seqs:
            self.receipts.add(receipt(token), record(seq, source), begun)

    async def ask(self, **answers: bool) -> tuple[list, list]:
        self.sink.answers = answers
        return await self.receipts.ask()

    async def breaks(self, *seqs: int) -> None:
        self.add("broken", *seqs)
        await self.ask(broken=False)

    def waiting(self) -> tuple[list, list]:
        return self.receipts.unconfirmed, self.receipts.suspected


async def test_nothing_is_asked_while_nothing_is_open() -> None:
    p = Promised()
    assert await p.ask() == ([], [])
    assert p.sink.asked == []


async def test_what_is_confirmed_is_told_in_ranges_and_no_longer_open() -> None:
    p = Promised()
    p.add("a", 1, 2, 3, begun=4)
    p.add("a", 4, source=2)
    p.add("a", 6, 7)
    p.add("b", 9, begun=5)
    assert (len(p.receipts), p.report.pending) == (2, 2)
    assert await p.ask(a=True) == ([(1, 4), (6, 7)], [])
    assert p.sink.asked == [["a", "b"]]
    assert (len(p.receipts), p.report.pending, p.receipts.newest_confirmed) == (1, 1, 4)
    assert not p.receipts.troubled
    assert p.report.errors.total() == 0


async def test_the_newest_send_of_which_anything_was_confirmed_stays_the_newest() -> None:
    p = Promised()
    p.receipts.add(receipt("unnumbered"), record(9))
    await p.ask(unnumbered=True)
    assert p.receipts.newest_confirmed == 0
    p.add("new", 2, begun=7)
    p.add("old", 1, begun=3)
    await p.ask(new=True)
    await p.ask(old=True)
    assert p.receipts.newest_confirmed == 7
    p.add("lost", 3, begun=9)
    await p.ask(lost=False)
    assert p.receipts.newest_confirmed == 7


async def test_no_answer_is_none_until_the_time_is_over_and_then_it_is_lost() -> None:
    p = Promised()
    p.add("a", 1, 2)
    p.clock.advance(WITHIN - 1)
    p.add("b", 3)
    assert await p.ask() == ([], [])
    p.clock.advance(1)
    assert await p.ask() == ([], [(1, 2)])
    assert (len(p.receipts), p.report.errors["unconfirmed"], p.waiting()) == (1, 1, ([(1, 2)], []))
    assert p.receipts.troubled
    p.clock.advance(WITHIN)
    assert await p.ask(b=True) == ([(3, 3)], []), "an answer counts although it comes late"


async def test_a_receipt_keeps_the_time_of_its_first_record() -> None:
    p = Promised()
    p.add("a", 1, begun=2)
    p.clock.advance(WITHIN - 1)
    p.add("a", 2, begun=8)
    p.clock.advance(1)
    assert await p.ask() == ([], [(1, 2)])


async def test_what_is_lost_of_several_receipts_is_merged_and_counted_by_receipt() -> None:
    p = Promised()
    p.add("a", 1, 2)
    p.add("b", 5)
    p.add("c", 3, 4)
    assert await p.ask(a=False, b=False, c=False) == ([], [(1, 5)])
    assert p.report.errors["unconfirmed"] == 3


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (Retryable("busy", kind="rate_limited"), Retryable, "busy"),
        (Held("no right", fix="give it"), Held, "no right"),
        (RuntimeError("a bug"), Retryable, "the sink failed to confirm: RuntimeError"),
    ],
)
async def test_a_question_without_an_answer_is_said_and_loses_nothing_before_its_time(
    error: Exception, raised: type[Exception], words: str
) -> None:
    p = Promised()
    p.add("a", 1)
    p.sink.answers = error
    with pytest.raises(raised, match=words):
        await p.receipts.ask()
    assert (len(p.receipts), p.report.pending, p.waiting()) == (1, 1, ([], []))
    p.clock.advance(WITHIN)
    assert await p.receipts.ask() == ([], [(1, 1)])


async def test_the_third_broken_promise_in_a_row_makes_an_event_suspected() -> None:
    assert BREAKS == 3
    p = Promised()
    await p.breaks(1, 2, 3, 4)
    assert p.waiting() == ([(1, 4)], [])
    p.receipts.take_unconfirmed(10)
    await p.breaks(2, 3)
    assert p.waiting() == ([(2, 3)], [])
    p.receipts.take_unconfirmed(10)
    await p.breaks(1, 2, 3, 4, 5)
    assert p.waiting() == ([(1, 1), (4, 5)], [(2, 3)])
    p.receipts.take_unconfirmed(10)
    await p.breaks(4)
    assert p.waiting() == ([], [(2, 4)]), "4 was broken three times now"


@pytest.mark.parametrize("how", ["confirmed", "settled otherwise"])
async def test_what_is_settled_begins_anew_and_the_lane_is_well_when_all_of_it_is(how: str) -> None:
    p = Promised()
    for _ in range(BREAKS - 1):
        await p.breaks(1, 2, 3)
    p.receipts.take_unconfirmed(10)

    async def settle(*seqs: int) -> None:
        if how == "confirmed":
            p.add("kept", *seqs)
            await p.ask(kept=True)
        else:
            p.receipts.settled((seq, seq) for seq in seqs)

    await settle(2)
    assert p.receipts.troubled
    await p.breaks(1, 2)
    assert p.waiting() == ([(2, 2)], [(1, 1)])
    await settle(1, 2, 3)
    assert not p.receipts.troubled


async def test_of_what_was_lost_the_send_is_known_in_which_it_was_lost_first() -> None:
    p = Promised()
    p.add("a", 1, 2, begun=4)
    p.add("b", 3, begun=7)
    await p.ask(a=False, b=False)
    since = p.receipts.lost_since
    assert (since([(1, 2)]), since([(1, 3)]), since([(8, 9)])) == (4, 7, 0)
    assert (since([(3, 3)]), since([(9, 9)])) == (6, -1), "of a single one, its own send tells as well"
    p.add("c", 1, 2, begun=9)
    await p.ask(c=False)
    assert since([(1, 2)]) == 4
    p.receipts.settled([(1, 1)])
    assert (since([(1, 1)]), since([(1, 2)]), since([(2, 3)])) == (-1, 4, 7)
    p.add("d", 1, 3, begun=11)
    await p.ask(d=False)
    assert (since([(1, 1)]), since([(3, 3)])) == (10, 6)


async def test_what_is_open_for_half_of_its_time_is_said() -> None:
    p = Promised()
    assert (p.receipts.unproved_for(), p.receipts.newest_open) == (None, 0)
    p.add("a", 1, begun=3)
    p.clock.advance(WITHIN / 2 - 1)
    p.add("b", 2, begun=5)
    assert (p.receipts.unproved_for(), p.receipts.newest_open) == (None, 5)
    p.clock.advance(1)
    assert p.receipts.unproved_for() == WITHIN / 2
    await p.ask(a=True)
    assert (p.receipts.unproved_for(), p.receipts.newest_open) == (None, 5)


async def test_so_many_are_taken_as_are_wanted_and_the_rest_stays_in_order() -> None:
    p = Promised()
    await p.breaks(1, 2, 3, 7, 8, 10)
    assert p.receipts.take_unconfirmed(4) == [(1, 3), (7, 7)]
    assert p.receipts.unconfirmed == [(8, 8), (10, 10)]
    assert p.receipts.take_unconfirmed(1) == [(8, 8)]
    assert p.receipts.take_unconfirmed(5) == [(10, 10)]
    assert p.receipts.take_unconfirmed(5) == []
    assert p.receipts.take_suspected(5) == []


@pytest.mark.parametrize("suspected", [False, True])
async def test_what_could_not_be_read_at_once_is_put_back_from_the_next_number_on(suspected: bool) -> None:
    p = Promised()
    for _ in range(BREAKS if suspected else 1):
        p.receipts.take_unconfirmed(10)
        await p.breaks(1, 2, 3, 5, 6)
    p.receipts.take_unconfirmed(10)
    if suspected:
        assert p.receipts.take_suspected(4) == [(1, 3), (5, 5)]
    p.receipts.requeue([(1, 3), (5, 5)], 2, suspected=suspected)
    back = [(3, 3), (5, 6)] if suspected else [(3, 3), (5, 5)]
    assert p.waiting() == (([], back) if suspected else (back, []))


# ----------------------------------------------------------------------------------- somebody waits for the receipts


async def waits(p: Promised, *tokens: str, stop: Callable[[asyncio.Event], None] = lambda _: None) -> Any:
    stopped = asyncio.Event()
    waiting = asyncio.create_task(p.receipts.confirmed({receipt(token) for token in tokens}, stopped))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    return waiting, stopped


async def test_who_waits_for_receipts_is_told_of_each_and_what_is_lost_is_not_sent_by_others() -> None:
    p = Promised()
    p.add("a", 1)
    p.add("b", 2)
    waiting, _ = await waits(p, "a", "b")
    assert await p.ask(a=True) == ([(1, 1)], [])
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert await p.ask(b=False) == ([], [])
    assert await waiting == {receipt("a"): True, receipt("b"): False}
    assert p.waiting() == ([], [])
    assert p.report.errors["unconfirmed"] == 1
    await p.breaks(2)
    assert p.waiting() == ([(2, 2)], []), "nobody waits any more, so it is lost as any other"


async def test_who_waits_for_receipts_hears_nothing_when_the_lane_stops_and_then_they_are_as_any_others() -> None:
    p = Promised()
    p.add("a", 1)
    p.add("b", 2)
    waiting, stopped = await waits(p, "a", "b")
    await p.ask(a=True)
    stopped.set()
    assert await waiting is None
    assert await p.ask(b=False) == ([], [(2, 2)])


async def test_what_is_known_when_the_lane_stops_is_told() -> None:
    p = Promised()
    p.add("a", 1)
    waiting, stopped = await waits(p, "a")
    await p.ask(a=True)
    stopped.set()
    assert await waiting == {receipt("a"): True}
