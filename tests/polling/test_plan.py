"""Which cursors may be asked, and what a person is shown when several cursors are in trouble."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from forwarder.contracts import Retryable, RetryConfig
from forwarder.polling.plan import BACKFILL, HEAL, RECONCILE, REREAD, SLOW, TAIL, Plan
from forwarder.polling.trial import is_due
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, attempt, page, poller_of, spool_in

MORE = "backfill:more"
NAMES = [TAIL, HEAL, REREAD, RECONCILE, BACKFILL, MORE]


def plan() -> Plan:
    return Plan(RetryConfig(), random.Random(1))


def test_a_bell_brings_forward_what_is_due_and_no_back_off() -> None:
    made = plan()
    made[TAIL].due, made[TAIL].blocked = 500.0, 200.0
    made[TAIL].due = 0.0
    assert (made.ready([TAIL], 100.0), made.soonest([TAIL], 100.0)) == ([], (TAIL, 100.0))
    assert made.ready([TAIL], 200.0) == [TAIL]


def test_what_is_blocked_lets_the_others_pass() -> None:
    made = plan()
    made[HEAL].blocked, made[TAIL].blocked = 500.0, 400.0
    assert made.ready(NAMES, 100.0) == [REREAD, RECONCILE, BACKFILL, MORE]
    for name in (REREAD, RECONCILE, MORE):
        made[name].due = 600.0
    made[BACKFILL].blocked = 300.0
    assert (made.ready(NAMES, 100.0), made.soonest(NAMES, 100.0)) == ([], (BACKFILL, 200.0))
    assert made.soonest([], 100.0)[1] == float("inf")


def test_a_walk_that_is_slow_steps_back_for_as_long_and_only_where_another_may_be_asked() -> None:
    made = plan()
    made.took(BACKFILL, 30.0, 100.0)
    made.took(TAIL, 30.0, 100.0)
    assert made.ready([TAIL, HEAL, BACKFILL], 101.0) == [TAIL, HEAL]
    assert made.ready([TAIL, BACKFILL], 101.0) == [TAIL, BACKFILL]
    made[HEAL].blocked = 120.0
    assert made.ready([HEAL, BACKFILL], 101.0) == [BACKFILL]
    made[HEAL].blocked = 0.0
    assert made.ready([HEAL, BACKFILL], 130.0) == [HEAL, BACKFILL]
    made.took(BACKFILL, SLOW, 200.0)
    assert made.ready([HEAL, BACKFILL], 200.0) == [HEAL, BACKFILL], "what is usual keeps its share"


def test_the_worst_is_shown_and_the_tail_among_equals() -> None:
    made = plan()
    assert made.worst(NAMES) is None
    made[BACKFILL].complain("retrying", "b")
    assert made.worst(NAMES) == (BACKFILL, made[BACKFILL])
    made[TAIL].complain("retrying", "t")
    assert made.worst(NAMES) == (TAIL, made[TAIL])
    made[BACKFILL].complain("held", "b")
    assert made.worst(NAMES) == (BACKFILL, made[BACKFILL])
    assert made.worst([TAIL]) == (TAIL, made[TAIL])  # a walk that is over is no one's trouble
    made.end(BACKFILL)
    assert made.worst(NAMES) == (TAIL, made[TAIL])
    made[TAIL].recover()
    assert made.worst(NAMES) is None


@pytest.mark.parametrize(
    ("kind", "doubted"),
    [
        ("not_found", [2, 8, 16, 24]),
        ("auth", [2, 8, 16, 24]),
        ("server_error", [5, 20]),
        ("rate_limited", [10]),
        ("connection", [5, 20]),
        ("timeout", [3, 12, 24]),
        ("tls", []),
        ("no_cursor", []),
        ("too_large", []),
    ],
)
def test_a_cursor_is_doubted_by_the_kind_and_number_of_failures(kind: str, doubted: list[int]) -> None:
    due = [number for number in range(1, 25) if is_due(kind, number, lost_before=False)]  # type: ignore[arg-type]
    assert due == doubted
    at_once = [number for number in range(1, 25) if is_due(kind, number, lost_before=True)]  # type: ignore[arg-type]
    assert at_once == (list(range(1, 25)) if doubted else [])


async def test_a_good_answer_ends_the_back_off_of_its_cursor(tmp_path: Path) -> None:
    clock = FakeClock()
    bad = [True]
    source = ScriptedSource(lambda state: Retryable("made up", kind="connection") if bad else page(state))
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(source, spool, clock)
        await poller._open()
        for _ in range(8):
            await attempt(poller, TAIL)
        assert poller._plan[TAIL].backoff.failures == 8
        bad.clear()
        await attempt(poller, TAIL)
        assert (poller._plan[TAIL].backoff.failures, poller._plan[TAIL].failures) == (0, 0)


def test_how_many_failures_of_each_kind_make_a_cursor_doubted() -> None:
    """A refusal soon, what may pass by itself later, and what says nothing of a cursor never."""

    def first(kind: str, *, lost_before: bool) -> int | None:
        numbers = range(1, 99)
        return next((n for n in numbers if is_due(kind, n, lost_before=lost_before)), None)  # type: ignore[arg-type]

    refusals = ("bad_request", "unexpected_status", "not_found", "forbidden", "auth", "redirect", "login_page", "other")
    expected = {
        **dict.fromkeys(refusals, 2), "timeout": 3, "rate_limited": 10,
        **dict.fromkeys(("server_error", "reset", "truncated", "not_json", "connection"), 5),
        **dict.fromkeys(("too_large", "no_cursor", "tls", "disk_full", "loop"), None),
    }  # fmt: skip
    assert {kind: first(kind, lost_before=False) for kind in expected} == expected
    assert {kind: first(kind, lost_before=True) for kind in expected} == {
        kind: number and 1 for kind, number in expected.items()
    }
