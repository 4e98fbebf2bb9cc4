"""What a lane's report counts, each number with a right value of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Batch, Delivery, Held, Receipt, Rejection, Retryable
from forwarder.contracts.errors import fix_of
from forwarder.spool.letter import EVERY
from forwarder.testing.lanes import bench, event
from tests.delivery.scripted import ScriptedSink

EVENTS = [event(f"e{n}") for n in range(7)]


class Gate:
    """Answers when it is opened."""

    def __init__(self, *answers: Any) -> None:
        self.open = asyncio.Event()
        self.answers = list(answers)

    async def __call__(self, batch: Batch, _: int) -> Any:
        await self.open.wait()
        return self.answers.pop(0) if self.answers else Delivery.all_accepted(batch)


async def test_while_a_send_is_in_flight_its_events_wait_and_then_none_does(tmp_path: Path):
    async with bench(tmp_path) as b:
        gate, before = Gate(), time.time()
        lane = b.start("s", ScriptedSink(gate))
        await b.fill(*EVENTS[:5])
        await b.until(lambda: lane.report.in_flight == 1)
        report = lane.report
        assert (report.lag, report.state, report.accepted, report.batches) == (5, "working", 0, 0)
        assert before - 1 <= report.oldest_waiting <= time.time()
        assert report.last_accepted == 0.0
        gate.open.set()
        await b.until(lambda: report.state == "idle")
        assert (report.lag, report.oldest_waiting, report.in_flight) == (0, 0.0, 0)
        assert (report.accepted, report.batches, report.bytes) == (5, 1, sum(map(len, EVENTS[:5])))
        assert sum(report.send_buckets) == 1
        assert report.last_accepted >= before


async def test_the_oldest_that_waits_is_the_first_page_that_is_not_settled(tmp_path: Path):
    """The first batch hangs, a later one is through: the oldest is still the first."""
    async with bench(tmp_path) as b:
        gate = Gate()
        first = True

        async def answer(batch: Batch, number: int) -> Any:
            nonlocal first
            if first:
                first = False
                return await gate(batch, number)
            return Delivery.all_accepted(batch)

        lane = b.start("s", ScriptedSink(answer), batch={"events": 3, "wait": 0.01}, window=2)
        await b.fill(*EVENTS[:3])
        await b.until(lambda: lane.report.in_flight == 1)
        oldest = lane.report.oldest_waiting
        await asyncio.sleep(0.02)
        await b.fill(*EVENTS[3:6])
        await b.until(lambda: lane.report.accepted == 3)
        await b.fill(EVENTS[6])
        await b.until(lambda: lane.report.accepted == 4)
        status = (await b.spool.status()).lanes[0]
        assert (lane.report.oldest_waiting, (status.oldest_ms or 0) / 1000) == (oldest, oldest)
        assert status.lag == 3
        gate.open.set()
        await b.until(lambda: lane.report.accepted == 7 and lane.report.state == "idle")
        assert lane.report.oldest_waiting == 0.0
        assert (await b.spool.status()).lanes[0].oldest_ms is None


@pytest.mark.parametrize(("sent", "doubtful"), [(True, 4), (False, 0)])
async def test_what_is_sent_again_and_what_may_have_been_taken(tmp_path: Path, sent: bool, doubtful: int):
    async with bench(tmp_path) as b:
        answers: list[Any] = [Retryable("x", kind="reset", sent=sent), Retryable("x", kind="timeout")]

        def answer(batch: Batch, _: int) -> Any:
            return answers.pop(0) if answers else Delivery(accepted=range(len(batch.records)), duplicates=3)

        lane = b.start("s", ScriptedSink(answer))
        await b.fill(*EVENTS[:4])
        await b.until(lambda: lane.report.accepted == 4)
        report = lane.report
        assert (report.resent, report.doubtful, report.duplicates, report.batches) == (8, doubtful, 3, 1)
        assert dict(report.errors) == {"reset": 1, "timeout": 1}


async def test_a_problem_that_is_over_leaves_nothing_behind_but_its_count(tmp_path: Path):
    async with bench(tmp_path) as b:
        answers: list[Any] = [
            Retryable("refused", kind="connection"),
            Held("It lacks a template.", fix="Run setup.", kind="setup_missing"),
            Retryable("silent", kind="timeout"),
        ]
        seen: list[tuple[str, str, str, float, int]] = []

        def answer(batch: Batch, _: int) -> Any:
            report = lane.report
            seen.append((report.state, report.reason, report.fix, report.trouble_since, report.tries))
            return answers.pop(0) if answers else Delivery.all_accepted(batch)

        lane = b.start("s", ScriptedSink(answer))
        with capture_logs() as lines:
            await b.fill(*EVENTS[:2])
            await b.until(lambda: lane.report.accepted == 2 and lane.report.state == "idle")
        assert [row[:3] for row in seen[1:]] == [
            ("retrying", "refused", fix_of("connection")),
            ("held", "It lacks a template.", "Run setup."),
            ("retrying", "silent", fix_of("timeout")),
        ]
        assert len({row[3] for row in seen[1:]}) == 1, "one trouble, one beginning"
        assert seen[1][3] > 0
        assert [row[4] for row in seen] == [0, 1, 2, 3]
        report = lane.report
        assert (report.reason, report.fix, report.trouble_since, report.tries, report.next_try) == ("", "", 0.0, 0, 0.0)
        assert report.well
        assert report.errors.total() == 3
        assert [line["event"] for line in lines].count("sink_recovered") == 1


async def test_filtered_and_rejected_are_counted_apart_and_none_of_them_waits(tmp_path: Path):
    async with bench(tmp_path) as b:
        out = [{"action": "page_viewed"}]

        def answer(batch: Batch, _: int) -> Delivery:
            return Delivery(accepted=range(1, len(batch.records)), rejected={0: Rejection("no", "not that one")})

        lane = b.start("s", ScriptedSink(answer), exclude=out)
        await b.fill(*EVENTS[:3], event("v1", "page_viewed"), event("v2", "page_viewed"))
        await b.until(lambda: lane.report.state == "idle" and lane.report.accepted == 2)
        report = lane.report
        assert (report.filtered, report.rejected, report.dead_letters, report.lag) == (2, 1, 1, 0)
        assert report.oldest_waiting == 0.0
        (line,) = await b.spool.books()
        assert (line.accepted, line.filtered, line.rejected, line.waiting) == (2, 2, 1, 0)


async def test_a_letter_that_is_retried_waits_since_its_event_was_read(tmp_path: Path):
    async with bench(tmp_path) as b:
        refuse = True

        def answer(batch: Batch, _: int) -> Delivery:
            if refuse:
                return Delivery(rejected={n: Rejection("no", "") for n in range(len(batch.records))})
            return Delivery.all_accepted(batch)

        lane = b.start("s", ScriptedSink(answer))
        await b.fill(EVENTS[0])
        await b.until(lambda: lane.report.rejected == 1)
        await b.stop("s")
        (letter,) = await b.spool.dead_letters("s")
        await b.spool.retry_letters("s", EVERY)
        (row,) = (await b.spool.status()).lanes
        assert (row.lag, row.retried, row.dead_letters, row.oldest_ms) == (1, 1, 0, letter.read_ms)
        refuse = False
        lane = b.start("s", ScriptedSink(answer))
        await b.until(lambda: lane.report.accepted == 1)
        await b.drained("s")
        (row,) = (await b.spool.status()).lanes
        assert (row.lag, row.retried, row.oldest_ms) == (0, 0, None)


async def test_the_next_try_is_a_moment_to_come_and_none_while_it_is_tried(tmp_path: Path):
    async with bench(tmp_path) as b:
        during: list[float] = []

        def answer(batch: Batch, number: int) -> Any:
            during.append(lane.report.next_try)
            return Retryable("x", kind="reset", retry_after=0.3) if number == 1 else Delivery.all_accepted(batch)

        lane = b.start("s", ScriptedSink(answer), retry={"base": 0.001, "max": 5})
        await b.fill(EVENTS[0])
        await b.until(lambda: lane.report.next_try > 0)
        assert 0 < lane.report.next_try - time.time() <= 0.3
        await b.until(lambda: lane.report.accepted == 1)
        assert during == [0.0, 0.0]


class Forgetful(ScriptedSink):
    """Hands out receipts, and confirms only what it is sent for the second time."""

    async def send(self, batch: Batch) -> Delivery:
        await super().send(batch)
        return Delivery(pending={n: Receipt(0, f"{self.sends}") for n in range(len(batch.records))})

    async def confirm(self, receipts: Sequence[Receipt]) -> dict[Receipt, bool]:
        return {receipt: receipt.token != "1" for receipt in receipts}


async def test_the_age_is_that_of_the_acceptance_and_each_event_counts_once(tmp_path: Path):
    async with bench(tmp_path) as b:
        sink = Forgetful()
        lane = b.start("s", sink, exclude=[{"action": "page_viewed"}])
        lane.report.objective = 60.0
        await b.fill(*EVENTS[:5], event("v1", "page_viewed"))
        await b.until(lambda: lane.report.resent == 5)
        await b.until(lambda: lane.report.accepted == 5)
        report = lane.report
        assert (sum(report.age_buckets), report.timely, report.filtered) == (5, 5, 1)
        assert 0 <= report.age_seconds / 5 < 60


async def test_what_is_refused_for_good_was_not_delivered_and_has_no_age(tmp_path: Path):
    async with bench(tmp_path) as b:

        def answer(batch: Batch, _: int) -> Delivery:
            return Delivery(accepted=range(1, len(batch.records)), rejected={0: Rejection("no", "not that one")})

        lane = b.start("s", ScriptedSink(answer))
        await b.fill(*EVENTS[:3])
        await b.until(lambda: lane.report.state == "idle" and lane.report.rejected == 1)
        assert sum(lane.report.age_buckets) == 2
