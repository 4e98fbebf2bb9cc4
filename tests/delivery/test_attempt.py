"""One send: what the sink decided is noted and counted, and what is left is said with its reason."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.contracts import Batch, Delivery, PayloadTooLarge, Rejection, SinkConfig
from forwarder.delivery.attempt import Attempts, _stand_out
from forwarder.delivery.isolation import Evidence
from forwarder.delivery.receipts import OpenReceipts
from forwarder.delivery.undelivered import Undelivered
from tests.clocks import FakeClock
from tests.delivery.test_settlement import Harness, records


class Scripted:
    """A sink that gives one answer."""

    def __init__(self, answer: Any, clock: FakeClock) -> None:
        self.answer, self.clock = answer, clock
        self.batches: list[Batch] = []

    async def send(self, batch: Batch) -> Any:
        self.batches.append(batch)
        self.clock.advance(2.5)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Sends:
    """Attempts over a settler that nobody writes."""

    def __init__(self, answer: Any, *, has_receipts: bool = False) -> None:
        self.harness = Harness()
        self.evidence = Evidence()
        self.sink = Scripted(answer, self.harness.clock)
        report, clock = self.harness.report, self.harness.clock
        asks: Any = SimpleNamespace(confirm=None)
        made = OpenReceipts(asks, SinkConfig(type="scripted"), clock=clock, report=report) if has_receipts else None
        self.receipts, sink = made, self.sink
        self.attempts = Attempts(
            sink,  # type: ignore[arg-type]
            settler=self.harness.settler,
            receipts=made,
            evidence=self.evidence,
            report=report,
            clock=clock,
            stopped=asyncio.Event(),
        )

    async def left(self, count: int = 4) -> Undelivered:
        with pytest.raises(Undelivered) as caught:
            await self.attempts.send(0, records(*range(1, count + 1)), awaited=False)
        return caught.value


def numbers(trouble: Undelivered) -> list[int]:
    return [record.seq for record in trouble.left]


async def test_what_was_taken_is_counted_with_its_time_and_the_rest_is_asked_for() -> None:
    s = Sends(Delivery(accepted=range(4), duplicates=2, retry_after=7.0))
    assert await s.attempts.send(3, records(1, 2, 3, 4), awaited=False) == 7.0
    report, (batch,) = s.harness.report, s.sink.batches
    assert (batch.slot, report.batches, report.bytes, report.duplicates) == (3, 1, batch.size, 2)
    assert (report.send_seconds, report.accepted, s.evidence.newest_taken) == (2.5, 4, 1)
    s = Sends(Delivery(accepted=range(4)))
    assert await s.attempts.send(0, records(1, 2, 3, 4), awaited=False) == 0.0


@pytest.mark.parametrize(
    ("accepted", "kept", "left", "odd"),
    [([0, 1], [2, 3], [3, 4], False), ([0, 3], [1, 2], [2, 3], True), ([0, 1, 2], [3], [4], True), ([], [0, 1, 2, 3], [1, 2, 3, 4], False)],
)  # fmt: skip
async def test_what_was_kept_is_left_and_stands_out_where_others_behind_it_were_taken(
    accepted: list[int], kept: list[int], left: list[int], odd: bool
) -> None:
    s = Sends(Delivery(accepted=accepted, kept=kept, reason="busy", fix="wait", retry_after=3.0, suspect=odd))
    trouble = await s.left()
    assert (numbers(trouble), trouble.odd, trouble.kind, trouble.reason) == (left, odd, "partial", "busy")
    assert (trouble.fix, trouble.floor, trouble.busy, trouble.suspect) == ("wait", 3.0, not odd, odd)
    assert s.evidence.newest_taken == (1 if accepted else 0)
    assert s.harness.report.accepted == len(accepted)


async def test_what_no_one_names_is_left() -> None:
    trouble = await Sends(Delivery(accepted=[1, 3])).left()
    assert (numbers(trouble), trouble.reason) == ([1, 3], "the sink kept a part of the batch")


async def test_a_refusal_is_believed_where_anything_else_was_taken() -> None:
    s = Sends(Delivery(accepted=[0], rejected={1: Rejection("no", "why"), 2: Rejection("no", "")}, kept=[3]))
    assert numbers(await s.left()) == [4]
    assert (s.harness.report.rejected, s.harness.report.accepted) == (2, 1)
    s = Sends(Delivery(rejected={1: Rejection("no", "why"), 2: Rejection("no", "")}, kept=[0, 3]))
    trouble = await s.left()
    assert (numbers(trouble), trouble.kind, trouble.reason) == ([1, 2, 3, 4], "refused", "no (why)")
    assert (trouble.suspect, sorted(trouble.rejections), s.harness.report.rejected) == (True, [2, 3], 0)
    s = Sends(Delivery(rejected={0: Rejection("no", "")}))
    assert (await s.left(1)).reason == "no"


@pytest.mark.parametrize(
    "answer",
    [
        Delivery(accepted=[0, 0, 1, 2, 3]),
        Delivery(accepted=[0, 1, 2, 3], kept=[3]),
        Delivery(accepted=[0, 1, 2, 4]),
        Delivery(accepted=[-1, 0, 1]),
        Delivery(accepted=[0], pending={1: "r"}),
        Delivery(accepted=range(5)),
    ],
)
async def test_an_answer_that_contradicts_itself_decides_nothing(answer: Delivery) -> None:
    s = Sends(answer)
    trouble = await s.left()
    assert (numbers(trouble), trouble.kind, trouble.doubtful) == ([1, 2, 3, 4], "other", True)
    assert (s.harness.report.accepted, s.evidence.newest_taken, bool(s.harness.settler)) == (0, 0, False)


async def test_what_is_promised_is_not_left() -> None:
    s = Sends(Delivery(pending={0: "r", 1: "r", 3: "s"}, accepted=[2]), has_receipts=True)
    assert await s.attempts.send(0, records(1, 2, 3, 4), awaited=False) == 0.0
    assert s.receipts is not None
    assert (len(s.receipts), s.harness.report.accepted) == (2, 1)


@pytest.mark.parametrize("count", [1, 2])
async def test_a_batch_that_is_too_large_is_for_the_case_and_one_event_is_at_fault(count: int) -> None:
    s = Sends(PayloadTooLarge("10 MB"))
    if count > 1:
        with pytest.raises(PayloadTooLarge):
            await s.attempts.send(0, records(1, 2), awaited=False)
        return
    trouble = await s.left(1)
    assert (trouble.kind, trouble.suspect, trouble.refused) == ("too_large", True, True)
    assert trouble.rejections[1] == Rejection("too_large", "10 MB")


@pytest.mark.parametrize("fault", [KeyError("x"), asyncio.CancelledError(), None])
async def test_a_fault_of_the_sink_may_have_sent_all_of_it(fault: Any) -> None:
    trouble = await Sends(fault).left()
    assert (numbers(trouble), trouble.doubtful, trouble.suspect, trouble.kind) == ([1, 2, 3, 4], True, True, "other")


@pytest.mark.parametrize(
    ("left", "taken", "odd"),
    [([], [1], False), ([1], [], False), ([2], [0, 1], True), ([0, 1], [2], True), ([1, 2], [0], False), ([0, 3], [2], False)],
)  # fmt: skip
def test_what_stands_out(left: list[int], taken: list[int], odd: bool) -> None:
    assert _stand_out(left, taken) is odd
