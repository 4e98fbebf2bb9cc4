"""The lane keeps every promise of the contract, whatever a sink answers; the spool underneath is the real one."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from forwarder.admin.advice import advice_for
from forwarder.contracts import (
    AuditEvent,
    AuthFailed,
    Batch,
    Delivery,
    FieldsConfig,
    Held,
    PayloadTooLarge,
    Receipt,
    Record,
    Rejection,
    Retryable,
    SinkConfig,
    SystemClock,
    UnexpectedPayload,
)
from forwarder.delivery import settlement
from forwarder.delivery.receipts import OpenReceipts
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.raw import RawFormat
from forwarder.observe.reports import LaneReport
from forwarder.registry import build_format
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.spool.contract import Exchange, Settlement
from forwarder.testing.lanes import ORIGIN, bench, event
from tests.delivery.scripted import ScriptedSink


def refuse_all_but(*good: str) -> Callable[[Batch, int], Delivery]:
    """Refuse every event for good but these, by their ids."""

    def answer(batch: Batch, _: int) -> Delivery:
        taken = [n for n, record in enumerate(batch.records) if record.raw.split(b'"')[3].decode() in good]
        rejected = {n: Rejection("no") for n in range(len(batch.records)) if n not in taken}
        return Delivery(accepted=taken, rejected=rejected)

    return answer


async def test_everything_arrives_in_order_and_the_books_balance(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink()
        lane = b.start("one", sink)
        for page in range(4):
            await b.fill(*(event(f"p{page}-{i}") for i in range(7)))
        await b.drained("one")
        assert Counter(sink.seen) == Counter(b.names)
        assert lane.report.accepted == 28
        assert max(map(len, sink.batches)) <= 10
        await b.balanced()


async def test_what_a_sink_leaves_unnamed_or_keeps_is_sent_again(tmp_path: Path) -> None:
    def half(batch: Batch, _: int) -> Delivery:
        n = len(batch.records)
        return Delivery(accepted=range(0, n, 2), kept=[1] if n > 1 else [])

    async with bench(tmp_path) as b:
        sink = ScriptedSink(half)
        b.start("one", sink, window=1)
        await b.fill(*(event(f"e{i}") for i in range(9)))
        await b.drained("one")
        assert set(sink.seen) == set(b.names)
        assert sink.batches[1] == [2, 4, 6, 8]
        await b.balanced()


@pytest.mark.parametrize(
    "answer",
    [
        Delivery(accepted=[0, 0]),
        Delivery(accepted=[0], kept=[0]),
        Delivery(accepted=range(99)),
        Delivery(accepted=[-1]),
        Delivery(pending={0: Receipt(0, "x")}),
        None,
    ],
)
async def test_an_answer_that_contradicts_itself_settles_nothing(tmp_path: Path, answer: Delivery | None) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, n: answer if n == 1 else Delivery.all_accepted(batch))
        lane = b.start("one", sink)
        await b.fill(event("a"), event("b"))
        await b.drained("one")
        assert sink.seen == ["a", "b", "a", "b"]
        assert lane.report.doubtful == 2
        await b.balanced()


async def test_a_rejected_record_becomes_a_dead_letter_and_the_rest_goes_on(tmp_path: Path) -> None:
    def reject(batch: Batch, _: int) -> Delivery:
        bad = {i: Rejection("mapping_conflict", "no") for i, r in enumerate(batch.records) if b"bad" in r.raw}
        return Delivery(accepted=[i for i in range(len(batch.records)) if i not in bad], rejected=bad)

    async with bench(tmp_path) as b:
        b.start("one", ScriptedSink(reject))
        await b.fill(event("a"), event("bad-1"), event("c"))
        await b.drained("one")
        (letter,) = await b.spool.dead_letters("one")
        assert (letter.seq, letter.reason, letter.detail, letter.raw) == (2, "mapping_conflict", "no", event("bad-1"))
        await b.balanced()


async def test_too_large_halves_down_to_the_one(tmp_path: Path) -> None:
    def narrow(batch: Batch, _: int) -> Delivery:
        if len(batch.records) > 1 or b"big" in batch.records[0].raw:
            raise PayloadTooLarge("413")
        return Delivery.all_accepted(batch)

    async with bench(tmp_path) as b:
        sink = ScriptedSink(narrow)
        lane = b.start("one", sink, window=1)
        await b.fill(*(event(f"e{i}") for i in range(7)), event("big"))
        await b.drained("one")
        assert lane.report.accepted == 7
        assert [letter.reason for letter in await b.spool.dead_letters("one")] == ["too_large"]
        assert [seqs for seqs in sink.batches if len(seqs) == 1] == [[i] for i in range(1, 9)]
        await b.balanced()


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (AuthFailed("refused", fix="new key"), "held"),
        (Held("no template", fix="setup", kind="setup_missing"), "held"),
        (Retryable("503", kind="server_error"), "retrying"),
        (RuntimeError("a fault of the sink"), "retrying"),
        (asyncio.CancelledError(), "retrying"),  # of something inside the sink
    ],
)
async def test_trouble_is_told_and_outlived(tmp_path: Path, error: BaseException, state: str) -> None:
    fixed = asyncio.Event()
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, _: Delivery.all_accepted(batch) if fixed.is_set() else error)
        lane = b.start("one", sink)
        await b.fill(event("a"))
        await b.until(lambda: lane.report.state == state)
        assert lane.report.reason
        assert not lane.report.well
        fixed.set()
        await b.drained("one")
        await b.until(lambda: lane.report.well)
        assert await b.spool.dead_letters("one") == []
        await b.balanced()


async def test_a_doubt_is_durable_before_the_second_send(tmp_path: Path) -> None:
    doubts: list[int] = []

    async with bench(tmp_path) as b:

        async def answer(batch: Batch) -> Delivery:
            rows = await b.doubts("one")
            doubts.append(len(rows))
            if len(doubts) == 1:
                raise Retryable("no answer", kind="timeout", sent=True)
            return Delivery.all_accepted(batch)

        lane = b.start("one", ScriptedSink(lambda batch, _: answer(batch)))
        await b.fill(event("a"), event("b"))
        await b.drained("one")
        assert doubts == [0, 1]
        assert lane.report.doubtful == 2


async def test_a_dead_sink_leaves_the_others_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        dead, well = ScriptedSink(lambda *_: Retryable("gone", kind="connection")), ScriptedSink()
        b.start("dead", dead)
        b.start("well", well)
        for page in range(5):
            await b.fill(*(event(f"p{page}-{i}") for i in range(10)))
        await b.drained("well")
        assert Counter(well.seen) == Counter(b.names)
        lines = {line.sink: line for line in await b.spool.books()}
        assert (lines["dead"].waiting, lines["dead"].accepted) == (50, 0)
        await b.balanced()


async def test_up_to_window_sends_run_at_once_one_in_a_slot(tmp_path: Path) -> None:
    gate = asyncio.Event()
    slots: list[int] = []

    async def slow(batch: Batch) -> Delivery:
        slots.append(batch.slot)
        await gate.wait()
        return Delivery.all_accepted(batch)

    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, _: slow(batch))
        b.start("one", sink, window=3)
        await b.fill(*(event(f"e{i}") for i in range(50)))
        await b.until(lambda: sink.running == 3)
        assert sorted(slots) == [0, 1, 2]
        gate.set()
        await b.drained("one")
        assert sink.most_running == 3
        await b.balanced()


async def test_out_of_order_settlement_survives_a_stop(tmp_path: Path) -> None:
    """The first batch is never answered; the second is accepted; after a restart only the first is sent again."""
    stuck = asyncio.Event()

    async def answer(batch: Batch) -> Delivery:
        if batch.records[0].seq == 1:
            await stuck.wait()
        return Delivery.all_accepted(batch)

    async with bench(tmp_path) as b:
        first = ScriptedSink(lambda batch, _: answer(batch))
        lane = b.start("one", first)
        await b.fill(*(event(f"e{i}") for i in range(20)))
        await b.until(lambda: lane.report.accepted == 10)
        task = b.lanes.pop("one")[1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        second = ScriptedSink()
        lane = b.start("one", second)
        await b.drained("one")
        assert second.seen == [f"e{i}" for i in range(10)]
        assert lane.report.doubtful == 10
        await b.balanced()


async def test_a_lane_that_is_cut_off_while_it_settles_settles_the_rest_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        exchange, begun, go_on = b.spool.exchange, asyncio.Event(), asyncio.Event()

        async def slow(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
            done = await exchange(lane, settlement, after=after, events=events)
            if settlement.ranges and not go_on.is_set():
                begun.set()
                await go_on.wait()
            return done

        b.spool.exchange = slow  # type: ignore[method-assign]
        lane = b.start("one", ScriptedSink(), batch={"events": 5, "wait": 0})
        await b.fill(*(event(f"e{i}") for i in range(10)))
        await begun.wait()
        await b.until(lambda: lane.report.accepted == 10)
        task = b.lanes.pop("one")[1]
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        (line,) = await b.spool.books()
        assert (line.accepted, line.waiting) == (10, 0)
        await b.balanced()


async def test_a_stop_while_the_spool_cannot_write_is_patient_and_ends(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        exchange, leave, tries = b.spool.exchange, b.spool.leave_lane, 0

        async def full(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
            nonlocal tries
            if not settlement:
                return await exchange(lane, settlement, after=after, events=events)
            tries += 1
            raise Held("full", fix="make room", kind="disk_full")

        async def full_too(lane: int, settlement: Settlement) -> None:
            raise Held("full", fix="make room", kind="disk_full")

        b.spool.exchange, b.spool.leave_lane = full, full_too  # type: ignore[method-assign]
        lane = b.start("one", ScriptedSink())
        await b.fill(event("a"))
        await b.until(lambda: lane.report.state == "held")
        task = b.lanes.pop("one")[1]
        lane.stop()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert tries <= 3
        task.cancel()  # the grace time is over
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lane.report.state == "stopped"
        b.spool.exchange, b.spool.leave_lane = exchange, leave  # type: ignore[method-assign]
        lane = b.start("one", ScriptedSink())
        await b.drained("one")
        assert lane.report.doubtful == 1
        await b.balanced()


class ConfirmingSink(ScriptedSink):
    """Hands out one receipt a batch."""

    def __init__(self, verdict: dict[str, bool | None]) -> None:
        super().__init__(self._promise)
        self.verdict = verdict
        self.asked = 0

    def _promise(self, batch: Batch, n: int) -> Delivery:
        return Delivery(pending={i: Receipt(batch.slot, str(n)) for i in range(len(batch.records))})

    async def confirm(self, receipts: list[Receipt]) -> dict[Receipt, bool]:
        self.asked += 1
        found = {r: self.verdict.get(r.token, True) for r in receipts}
        return {r: answer for r, answer in found.items() if answer is not None}


@pytest.mark.parametrize("verdict", [{"1": False}, {"1": None}])
async def test_a_promise_that_is_broken_or_never_kept_is_sent_again(tmp_path: Path, verdict: dict) -> None:
    async with bench(tmp_path) as b:
        sink = ConfirmingSink(verdict)
        lane = b.start("one", sink, confirm_within=0.1)
        await b.fill(*(event(f"e{i}") for i in range(5)))
        await b.drained("one")
        assert sink.seen == b.names * 2
        assert lane.report.errors["unconfirmed"] == 1
        assert len(await b.doubts("one")) == 1
        await b.balanced()


async def test_nothing_is_settled_before_it_is_confirmed(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ConfirmingSink({str(n): None for n in range(99)})
        lane = b.start("one", sink)
        await b.fill(*(event(f"e{i}") for i in range(5)))
        await b.until(lambda: sink.asked >= 2 and lane.report.pending == 1)
        (line,) = await b.spool.books()
        assert (line.accepted, line.waiting) == (0, 5)
        sink.verdict.clear()
        await b.drained("one")
        assert sink.seen == b.names


async def test_too_many_promises_stop_the_sending(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ConfirmingSink({str(n): None for n in range(99)})
        lane = b.start("one", sink, max_pending=2, window=1, batch={"events": 1, "wait": 0})
        await b.fill(*(event(f"e{i}") for i in range(6)))
        await b.until(lambda: lane.report.pending == 2 and sink.asked >= 2)
        assert sink.sends == 2
        sink.verdict.clear()
        await b.drained("one")
        assert Counter(sink.seen) == Counter(b.names)


async def test_the_limit_of_dead_letters_holds_the_lane(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(refuse_all_but("good"))
        lane = b.start("one", sink, max_dead_letters=3, window=1)
        await b.fill(*(event(f"e{i}") for i in range(8)), event("good"))
        await b.until(lambda: lane.report.state == "held")
        assert "dead letters" in lane.report.reason
        await b.stop("one")
        assert len(await b.spool.dead_letters("one")) == 3
        (line,) = await b.spool.books()
        assert (line.accepted, line.rejected, line.waiting) == (1, 3, 5)
        await b.balanced()


async def test_a_lane_held_by_dead_letters_settles_what_the_sink_has_and_keeps_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it is the feeder that waits: events without meaning become dead letters before anything is sent."""
    monkeypatch.setattr(settlement, "RETRY_WRITE", 0.02)
    async with bench(tmp_path) as b:
        sink = ScriptedSink()
        lane = b.start("one", sink, max_dead_letters=2, exclude=[{"action": "x"}], batch={"events": 5, "wait": 0})
        odd = (f'{{"id":"odd{i}","attributes":{{"action":["x"]}}}}'.encode() for i in range(8))
        await b.fill(*(event(f"e{i}") for i in range(5)), *odd)
        await b.until(lambda: lane.report.errors["other"] >= 5)  # it looked several times
        (line,) = await b.spool.books()
        assert (line.accepted, line.rejected, line.waiting) == (5, 2, 6)
        assert len(await b.spool.dead_letters("one")) == 2
        assert lane.report.dead_letters == 2


async def test_a_flood_of_dead_letters_is_one_line_of_the_log(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(refuse_all_but("good"))
        with capture_logs() as logs:
            b.start("one", sink, batch={"events": 400, "wait": 0.1})
            await b.fill(*(event(f"e{i}") for i in range(300)), event("good"))
            await b.drained("one")
        lines = [line for line in logs if line["event"] == "events_became_dead_letters"]
        assert [(line["count"], line["last_reason"]) for line in lines] == [(1, "no")]
        assert len(logs) < 10


async def test_filters_count_what_they_keep_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink()
        b.start("one", sink, include=[{"action": "jira_*"}], exclude=[{"action": ["*_viewed"]}])
        await b.fill(
            event("a", "jira_issue_created"),
            event("b", "jira_issue_viewed"),
            event("c", "user_login"),
            event("d", "JIRA_issue_deleted"),
        )
        await b.drained("one")
        assert sink.seen == ["a", "d"]
        (line,) = await b.spool.books()
        assert (line.accepted, line.filtered) == (2, 2)
        await b.balanced()


async def test_an_event_in_the_way_of_a_new_field_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink()
        b.start("raw", sink, render=build_format("raw", fields=FieldsConfig(add={"type": "prod"})))
        await b.fill(b'{"id":"odd","type":"events","attributes":{}}')
        await b.drained("raw")
        (letter,) = await b.spool.dead_letters("raw")
        assert letter.reason == "field_in_use"
        assert "Choose another name" in advice_for(letter.reason, None)
        await b.balanced()


async def test_an_event_without_meaning_is_a_dead_letter_only_where_meaning_is_needed(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        plain, choosy = ScriptedSink(), ScriptedSink()
        b.start("plain", plain)
        b.start("choosy", choosy, exclude=[{"action": "x"}])
        await b.fill(b'{"id":"odd","attributes":{"action":["not","text"]}}', event("fine"))
        await b.drained("plain")
        await b.drained("choosy")
        assert plain.seen == ["odd", "fine"]
        assert choosy.seen == ["fine"]
        (letter,) = await b.spool.dead_letters("choosy")
        assert letter.reason == "not_understood"
        await b.balanced()


async def test_a_clean_stop_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.start("one", ScriptedSink())
        await b.fill(*(event(f"e{i}") for i in range(25)))
        await b.drained("one")
        await b.stop("one")
        lane = await b.spool.open_lane("one", "scripted", start=None, on_full="pause")
        assert (lane.position, lane.doubtful) == (25, ())
        done = await b.spool.exchange(lane.number, Settlement(), after=lane.position, events=10)
        assert done.chunks == []


async def test_the_batch_limit_in_bytes_ends_a_batch(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink()
        size = len(event("e0"))
        b.start("one", sink, batch={"events": 100, "bytes": size * 3, "wait": 0.01})
        await b.fill(*(event(f"e{i}") for i in range(9)))
        await b.drained("one")
        assert [len(seqs) for seqs in sink.batches] == [3, 3, 3]


async def test_large_events_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def slow(batch: Batch) -> Delivery:
        await gate.wait()
        return Delivery.all_accepted(batch)

    async with bench(tmp_path) as b:
        large = b',"x":"' + b"a" * 1_000_000 + b'"}'
        for page in range(10):
            await b.fill(*(event(f"p{page}-{i}")[:-1] + large for i in range(5)))
        lane = b.start("one", ScriptedSink(lambda batch, _: slow(batch)), batch={"events": 1000, "bytes": 1_000_000})
        await b.until(lambda: lane.report.in_flight == 2 and not (lane._more and lane._wanted()))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert lane._ready.bytes <= 9 * 2**20  # what one exchange gives, and an event
        gate.set()
        await b.drained("one")


async def test_a_thousand_broken_promises_are_read_again_in_small_parts(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ConfirmingSink({str(n): None for n in range(1, 61)})
        lane = b.start("one", sink, batch={"events": 50, "wait": 0}, confirm_within=0.5)
        for page in range(10):
            await b.fill(*(event(f"p{page}-{i}") for i in range(300)))
        most = 0

        def all_confirmed() -> bool:
            nonlocal most
            most = max(most, len(lane._ready))
            return lane.report.accepted == 3000

        await b.until(all_confirmed)
        assert most <= 100
        await b.drained("one")
        assert Counter(sink.seen).keys() == set(b.names)
        assert [span for span in await b.doubts("one") if span[0] < 1 or span[1] > 3000] == []
        await b.balanced()


async def test_broken_promises_of_large_events_are_read_again_in_small_parts(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ConfirmingSink({str(n): None for n in range(1, 25)})
        large = b',"x":"' + b"a" * 1_000_000 + b'"}'
        for page in range(4):
            await b.fill(*(event(f"p{page}-{i}")[:-1] + large for i in range(6)))
        lane = b.start("one", sink, batch={"events": 1000, "bytes": 1_000_000, "wait": 0})
        await b.until(lambda: sink.sends == 24)
        sink.verdict.update({str(n): False for n in range(1, 25)})
        most = 0

        def all_confirmed() -> bool:
            nonlocal most
            most = max(most, lane._ready.bytes)
            return lane.report.accepted == 24

        await b.until(all_confirmed)
        assert most <= 10 * 2**20
        assert Counter(sink.seen) == Counter(b.names * 2)
        await b.drained("one")
        await b.balanced()


def test_a_promise_for_many_records_is_small() -> None:
    receipts = OpenReceipts(
        ConfirmingSink({}), SinkConfig(type="x"), clock=SystemClock(), report=LaneReport("one", "x")
    )
    tracemalloc.start()
    for seq in range(1, 100_001):
        record = Record(seq, ORIGIN, f"{seq:032x}", b"", source=1)
        receipts.add(Receipt(0, str((seq - 1) // 1000)), record)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(receipts) == 100
    assert held < 1_000_000


async def test_a_page_costs_a_lane_two_exchanges(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        exchange, calls = b.spool.exchange, 0

        async def counted(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
            nonlocal calls
            calls += 1
            return await exchange(lane, settlement, after=after, events=events)

        b.spool.exchange = counted  # type: ignore[method-assign]
        b.start("one", ScriptedSink(), batch={"events": 10, "wait": 0})
        await b.fill(event("first"))
        await b.drained("one")
        calls = 0
        for page in range(10):
            await b.fill(event(f"p{page}"))
            await b.drained("one")
        assert calls <= 22


async def test_a_page_that_comes_while_the_lane_asks_is_not_overheard(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        exchange, filled = b.spool.exchange, False

        async def slow(lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
            nonlocal filled
            done = await exchange(lane, settlement, after=after, events=events)
            if events and not done.chunks and not filled:
                filled = True
                await b.fill(event("a"))  # rings
            return done

        b.spool.exchange = slow  # type: ignore[method-assign]
        lane = b.start("one", ScriptedSink())
        await b.until(lambda: filled)
        for _ in range(200):
            if lane.report.accepted:
                break
            await asyncio.sleep(0.01)
        assert lane.report.accepted == 1
        await b.drained("one")


async def test_a_feed_that_nobody_knows_holds_the_lane_and_loses_nothing(tmp_path: Path) -> None:
    known = asyncio.Event()

    class Stranger(OrganizationNormalizer):
        def normalize(self, records):
            if not known.is_set():
                raise Held("nobody knows this feed.", fix="Install its package.", kind="setup_missing")
            return super().normalize(records)

    async with bench(tmp_path) as b:
        sink = ScriptedSink()
        lane = b.start("one", sink, needs=Stranger(), exclude=[{"action": "nothing"}])
        await b.fill(event("a"), event("b"))
        await b.until(lambda: lane.report.state == "held")
        assert lane.report.fix == "Install its package."
        await b.stop("one")
        known.set()
        b.start("one", sink, exclude=[{"action": "nothing"}])
        await b.drained("one")
        assert sink.seen == ["a", "b"]
        await b.balanced()


class _WantsEvent(ScriptedSink):
    wants_event = True


async def test_a_sink_that_likes_meaning_gets_it_where_there_is_one_and_the_rest_all_the_same(tmp_path: Path) -> None:
    seen: dict[str, str | None] = {}

    def note(batch: Batch, _: int) -> Delivery:
        for record in batch.records:
            seen[record.raw.split(b'"')[3].decode()] = record.event.action if record.event is not None else None
        return Delivery.all_accepted(batch)

    class Picky(OrganizationNormalizer):
        def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
            found = super().normalize(records)
            return [UnexpectedPayload("no") if b'"odd"' in r.raw else e for r, e in zip(records, found, strict=True)]

    async with bench(tmp_path) as b:
        lane = b.start("one", _WantsEvent(note), Picky())
        await b.fill(event("plain"), event("odd"))
        await b.drained("one")
        assert seen == {"plain": "user_login", "odd": None}
        assert lane.report.dead_letters == 0
        await b.balanced()


@pytest.mark.parametrize(("sink", "kept"), [(ScriptedSink, False), (_WantsEvent, True)])
async def test_meaning_that_only_the_format_needs_is_let_go(
    tmp_path: Path, sink: type[ScriptedSink], kept: bool
) -> None:
    seen: list[tuple[bool, bool]] = []

    def note(batch: Batch, _: int) -> Delivery:
        seen.extend((b'"action":"user_login"' in record.body, record.event is not None) for record in batch.records)
        return Delivery.all_accepted(batch)

    async with bench(tmp_path) as b:
        b.start("one", sink(note), render=EcsFormat())
        await b.fill(event("a"), event("b"))
        await b.drained("one")
        assert seen == [(True, kept)] * 2
        await b.balanced()


class _Short(RawFormat):
    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        if b'"never"' in record.raw:
            return UnexpectedPayload("its id alone is longer")
        return b"x" * (limit + 1) if b'"too long still"' in record.raw else b"{}"


@pytest.mark.parametrize(("render", "arrive"), [(RawFormat(), ["ok"]), (_Short(), ["ok", "cut"])])
async def test_a_body_longer_than_the_sink_carries_is_shrunk_or_a_dead_letter(
    tmp_path: Path, render: RawFormat, arrive: list[str]
) -> None:
    longest = len(event("ok"))

    class Narrow(ScriptedSink):
        max_body = longest

    bodies: list[bytes] = []

    def note(batch: Batch, _: int) -> Delivery:
        bodies.extend(record.body for record in batch.records)
        return Delivery.all_accepted(batch)

    async with bench(tmp_path) as b:
        sink = Narrow(note)
        lane = b.start("one", sink, render=render)
        await b.fill(*(event(name) for name in ("ok", "cut", "never", "too long still")))
        await b.drained("one")
        assert sink.seen == arrive
        assert max(map(len, bodies)) <= longest
        letters = await b.spool.dead_letters("one")
        assert {letter.reason for letter in letters} == {"too_large"}
        assert lane.report.rejected == len(letters) == 4 - len(arrive)
        await b.balanced()


async def test_a_sink_that_asks_to_slow_down_gets_its_rest_and_nothing_waits_for_it_to_be_settled(
    tmp_path: Path,
) -> None:
    def slow(batch: Batch, n: int) -> Delivery:
        return Delivery(accepted=range(len(batch.records)), retry_after=3600 if n == 1 else None)

    async with bench(tmp_path) as b:
        sink = ScriptedSink(slow)
        lane = b.start("one", sink, window=1, retry={"base": 0.001, "max": 3600})
        await b.fill(event("a"))
        await b.until(lambda: lane.report.accepted == 1)
        await b.drained("one")
        await b.fill(event("b"))
        await b.until(lambda: lane.report.in_flight == 1)
        assert sink.seen == ["a"]
        await b.stop("one")  # does not wait for the hour
        assert sink.sends == 1


async def test_no_wish_for_a_pause_silences_a_lane_beyond_its_own_longest_wait(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        busy = Retryable("busy", kind="rate_limited", retry_after=10.0**13)
        sink = ScriptedSink(lambda batch, n: busy if n == 1 else Delivery.all_accepted(batch))
        b.start("one", sink, retry={"base": 0.001, "max": 0.01})
        await b.fill(event("a"))
        await b.drained("one")
        assert sink.sends == 2


async def test_the_report_says_since_when_how_often_and_when_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda *_: Retryable("gone", kind="connection"))
        lane = b.start("one", sink, retry={"base": 0.001, "max": 0.01})
        await b.fill(event("a"))
        await b.until(lambda: lane.report.state == "retrying")
        since = lane.report.trouble_since
        sink.answer = lambda *_: Held("full", fix="make room")
        await b.until(lambda: lane.report.state == "held" and lane.report.tries >= 3)
        assert lane.report.trouble_since == since > 0, "another reason is the same trouble"
        await b.until(lambda: lane.report.next_try > 0)
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        await b.until(lambda: lane.report.well)
        assert (lane.report.trouble_since, lane.report.tries, lane.report.next_try) == (0.0, 0, 0.0)
