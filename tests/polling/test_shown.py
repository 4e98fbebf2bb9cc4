"""What a person sees of a source: the worst of its cursors, what was counted, and how a strange source is asked."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import CursorLost, Held, Retryable, RetryConfig
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.asking import Asker
from forwarder.polling.complaints import Complaint
from forwarder.polling.plan import BACKFILL, TAIL, Plan
from forwarder.polling.shares import READERS
from forwarder.polling.shown import Shown
from forwarder.spool.contract import Committed
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, page, poller_of, spool_in, spooled, step


class Harness:
    """A report, and what writes into it."""

    def __init__(self, per_minute: float = 60.0) -> None:
        self.clock = FakeClock()
        self.report = SourceReport("acme", "scripted")
        self.plan = Plan(RetryConfig(), random.Random(1))
        self.budget = RequestBudget(self.clock, per_minute)
        self.shown = Shown(self.report, self.plan, self.budget, self.clock)


@pytest.mark.parametrize(
    ("walks", "at_tip", "state"),
    [
        (["tail"], True, "idle"),
        (["tail"], False, "working"),
        (["tail", "backfill"], True, "working"),
        (["tail", "backfill"], False, "working"),
    ],
)
def test_a_source_that_is_well_is_idle_only_at_the_tip_with_nothing_else_to_read(
    walks: list[str], at_tip: bool, state: str
) -> None:
    d = Harness()
    d.shown.worst(walks, at_tip=at_tip)
    assert (d.report.state, d.report.reason, d.report.cursors) == (state, "", tuple(walks))


def test_the_worst_cursor_is_shown_and_named_unless_it_is_the_tail() -> None:
    d = Harness()
    walks = ["tail", "heal", "backfill"]
    with capture_logs() as logs:
        d.shown.complain("heal", Complaint("retrying", "slow", "wait", "timeout"))
        d.shown.complain("heal", Complaint("retrying", "slow", "wait", "timeout"))
    assert [(line["event"], line["cursor"], line["state"], line["reason"], line["fix"]) for line in logs] == [
        ("source_degraded", "heal", "retrying", "slow", "wait")
    ]
    assert d.report.errors == Counter(timeout=2)
    d.shown.worst(walks, at_tip=True)
    assert (d.report.state, d.report.reason, d.report.fix) == ("retrying", "slow (cursor heal)", "wait")
    d.shown.complain("tail", Complaint("held", "no key", "new key"))
    d.shown.worst(walks, at_tip=True)
    assert (d.report.state, d.report.reason, d.report.fix) == ("held", "no key", "new key")
    assert d.report.errors.total() == 2, "what has no kind is no error"


def test_a_page_is_counted_as_the_spool_took_it_and_late_events_only_where_any_was_new() -> None:
    d = Harness()
    made = page({}, "a", "b", "c", late=2)
    d.shown.count("tail", made, Committed(2, 1, 1, 9, {}, (), 1), 5_000)
    d.shown.count("trail", made, Committed(1, 2, 0, 9, {}, (), 0), 4_000)
    d.shown.count("tail", made, Committed(0, 3, 0, 9, {}, (), 0), 6_500)
    d.shown.count("tail", page({}), Committed(0, 0, 0, 9, {}, (), 0), 1)
    r = d.report
    assert (r.pages, r.events, r.spooled, r.repeats, r.revisions, r.derived_ids) == (3, 9, 3, 6, 1, 1)
    assert (r.late_beyond_overlap, r.late_found, r.newest_event) == (4, 1, 6.5)


def test_a_good_answer_and_what_is_left_of_the_budget_are_shown() -> None:
    d = Harness()
    d.shown.answered()
    assert d.report.last_good_poll == d.clock.time()
    d.shown.worst(["tail"], at_tip=False)
    assert (d.report.requests_per_minute, d.report.budget_remaining) == (d.budget.per_minute, -1.0)


# -------------------------------------------------------------------------------------------------------------- asking


def asker(answer: Any, per_minute: float = 1e9) -> tuple[Asker, SourceReport]:
    clock, report = FakeClock(), SourceReport("acme", "scripted")
    return Asker(ScriptedSource(answer), RequestBudget(clock, per_minute), clock, report), report


@pytest.mark.parametrize(
    "error",
    [Retryable("x", kind="timeout"), Held("x", fix="y"), CursorLost("x")],
    ids=lambda error: type(error).__name__,
)
async def test_errors_of_the_contract_go_through_as_they_are(error: Exception) -> None:
    made, report = asker(lambda _: error)
    with capture_logs() as logs, pytest.raises(type(error)) as caught:
        await made.ask("tail", {})
    assert caught.value is error
    assert (report.requests, logs) == (1, [])


async def test_a_strange_error_is_one_of_the_source_and_logged_once_while_it_is_shown() -> None:
    made, report = asker(lambda _: ZeroDivisionError("secret"))
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(Retryable, match="the source failed with ZeroDivisionError") as caught:
                await made.ask("tail", {})
            assert "secret" not in str(caught.value)
        report.reason = str(caught.value)
        with pytest.raises(Retryable):
            await made.ask("tail", {})
    assert [line["event"] for line in logs] == ["source_failed"] * 2
    assert report.requests == 3


async def test_nothing_is_asked_any_more_once_it_stopped() -> None:
    made, report = asker(page)
    assert (await made.ask("tail", {})) is not None
    waiting = asyncio.create_task(made.pause(3600))
    await asyncio.sleep(0)
    made.stop()
    await waiting
    assert await made.may_ask("tail") is False
    assert await made.ask("tail", {}) is None
    assert report.requests == 1


def test_the_tip_is_reached_by_answers_and_not_by_failures() -> None:
    d = Harness()
    d.shown.answered()
    d.shown.worst(["tail"], at_tip=False)
    assert d.report.tip_reached == 0
    d.shown.worst(["tail"], at_tip=True)
    reached = d.clock.time()
    assert d.report.tip_reached == reached
    d.clock.advance(60)
    d.shown.complain("tail", Complaint("retrying", "slow", "wait", "timeout"))
    d.shown.answered()  # by another cursor
    d.shown.worst(["tail", "heal"], at_tip=True)
    assert d.report.tip_reached == reached


# ------------------------------------------------------------------------------------------------------------ the walks


async def test_shares_and_the_end_of_history_are_shown_and_gone_with_it(tmp_path: Path) -> None:
    clock = FakeClock()
    start = int(clock.now * 1000) - 86_400_000

    def answer(state: dict[str, Any]) -> Any:
        if state["walk"] != 2 or state.get("n", 0) >= 40:
            return page(state)
        number = state.get("n", 0)
        return page(state, f"e{number}", newest=start + number * 2_000_000, more=True)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=86400)
        await poller._open()
        report = poller.report
        assert report.requests_by_reader == dict.fromkeys(READERS, 0)
        for _ in range(30):
            await step(poller, BACKFILL)
            poller._show()
            clock.advance(10)
        (tail, history) = report.readers
        assert (tail.cursor, tail.share, history.share) == (TAIL, 0.0, 1.0)
        assert (history.reader, history.least_share) == ("backfill", 0.125)
        assert history.log_seconds_left == pytest.approx(86_400 - 29 * 2_000, abs=5)  # tails begin a while before now
        assert report.history_left == history.seconds_left == pytest.approx((86_400 - 58_000) / 200, rel=0.05)
        while BACKFILL in poller._rows:
            await step(poller, BACKFILL)
        poller._show()
        assert (report.history_left, [each.cursor for each in report.readers]) == (None, [TAIL])
        assert report.requests_by_reader["backfill"] > 40
        copy = report.snapshot()
        await step(poller, TAIL)
        assert copy.requests_by_reader["tail"] < report.requests_by_reader["tail"]


async def test_a_page_is_durable_before_anything_is_shown_of_the_budget(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        budget = RequestBudget(clock, 1e9)
        source = ScriptedSource(lambda state: page(state, "a"))
        poller = poller_of(source, spool, clock, budget)
        await poller._open()

        class Strange:
            others_part = None

            @property
            def limit(self) -> float:
                msg = "no such number"
                raise OverflowError(msg)

            def blocked(self) -> float:
                return 0.0

        budget.seen["acme"] = Strange()  # type: ignore[assignment]
        with pytest.raises(OverflowError):
            await step(poller, TAIL)
        assert await spooled(spool) == ["a"]
