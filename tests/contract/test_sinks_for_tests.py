"""The two test sinks: deterministic by their seed, and able to do everything that they promise to do."""

from __future__ import annotations

from contextlib import suppress

from forwarder.contracts import Confirms, Delivery, ForwarderError, Held, Receipt, Retryable
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from tests.contract.sinks_for_tests import LateSink, PartialSink


async def _late(seed: int, **config: object) -> tuple[LateSink, list[tuple[int, dict[Receipt, bool]]]]:
    sink = LateSink(LateSink.Config.model_validate({"seed": seed, **config}), context(slots=2))
    open_receipts: list[Receipt] = []
    for number in range(40):
        delivery = await sink.send(batch_of(b"a", b"b", b"c", first=number * 3 + 1, slot=number % 2))
        open_receipts.extend(dict.fromkeys(delivery.pending.values()))
    polls = []
    for poll in range(10):
        answers = dict(await sink.confirm(open_receipts))
        open_receipts = [receipt for receipt in open_receipts if receipt not in answers]
        polls.append((poll, answers))
    assert open_receipts, "some are never answered"
    return sink, polls


async def test_late_confirms_late_out_of_order_with_noes_and_never() -> None:
    sink, polls = await _late(1)
    assert isinstance(sink, Confirms)
    answered = [(poll, int(receipt.token), yes) for poll, answers in polls for receipt, yes in answers.items()]
    assert {yes for _, _, yes in answered} == {True, False}
    assert [token for _, token, _ in answered] != sorted(token for _, token, _ in answered), "in order after all"
    assert max(poll for poll, _, _ in answered) > 0
    assert sink.ledger.lies == set()
    assert set(sink.ledger.landed) > sink.ledger.accepted, "some landed without a word"
    assert sink.ledger.lost.isdisjoint(sink.ledger.landed)


async def test_late_is_the_same_for_the_same_seed() -> None:
    first, second, other = await _late(1), await _late(1), await _late(2)
    assert first[1] == second[1]
    assert first[1] != other[1]


async def test_late_may_give_a_receipt_for_each_record_and_accept_some_at_once() -> None:
    sink = LateSink(LateSink.Config(per="record", mixed=True), context())
    delivery = await sink.send(batch_of(*[b"x"] * 50))
    assert delivery.accepted
    assert len(set(delivery.pending.values())) == len(delivery.pending) == 50 - len(delivery.accepted)


async def test_late_knows_nothing_of_receipts_from_another_life() -> None:
    assert await LateSink(LateSink.Config(), context()).confirm([Receipt(0, "77")]) == {}


async def test_partial_does_everything_and_never_lies() -> None:
    sink = PartialSink(PartialSink.Config(seed=3, raises=0.4), context())
    batch = batch_of(*[b"x"] * 100)
    answers: list[Delivery] = []
    for _ in range(100):
        with suppress(ForwarderError):
            answers.append(await sink.send(batch))
    assert set(sink.ledger.raised) == set(PartialSink.ERRORS)
    for answer in answers:
        named = [*answer.accepted, *answer.rejected, *answer.kept]
        assert len(named) == len(set(named)) < 100
    assert {answer.doubtful for answer in answers} == {True, False}
    assert len({tuple(answer.rejected) for answer in answers}) == 1, "the same records are refused every time"
    assert sink.ledger.lies == set()
    assert sink.ledger.rejected.isdisjoint(sink.ledger.landed)


async def test_partial_never_calls_one_record_too_large() -> None:
    sink = PartialSink(PartialSink.Config(raises=1), context())
    for _ in range(20):
        with suppress(Retryable, Held):
            await sink.send(batch_of(b"x"))
