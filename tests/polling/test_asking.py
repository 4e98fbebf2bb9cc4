"""Asking within the budget: a wait that the API asks for is said when it is long."""

from __future__ import annotations

import asyncio

import pytest

from forwarder.net.retry import LONGEST_WAIT, RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.asking import LONG, Asker
from forwarder.polling.plan import BACKFILL, TAIL
from forwarder.testing.waiting import until
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource


def asker_of(clock: FakeClock, budget: RequestBudget) -> tuple[Asker, SourceReport]:
    report = SourceReport("acme", "organization")
    report.turn("working", clock.time())
    return Asker(ScriptedSource(lambda _: []), budget, clock, report), report


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "3000-01-01T00:00Z"},
        {"x-ratelimit-remaining": "0", "retry-after": "999999999"},
        {"x-ratelimit-remaining": "-5", "retry-after": "61"},
    ],
)
@pytest.mark.parametrize("objects", [False, True])
async def test_a_long_wait_is_a_state_with_its_end(headers: dict[str, str], objects: bool) -> None:
    clock = FakeClock()
    budget = RequestBudget(clock, 6000)
    (budget.on_rate_limited if objects else budget.observe)(headers)
    asker, report = asker_of(clock, budget)
    waiting = asyncio.create_task(asker.may_ask(TAIL))
    await until(lambda: report.state == "retrying")
    assert "limit" in report.reason
    assert report.fix
    assert LONG < report.next_try - clock.time() <= LONGEST_WAIT
    asker.stop()
    assert await waiting is False


async def test_the_usual_wait_is_none_of_anybodys_business() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock, 6000)
    budget.observe({"x-ratelimit-remaining": "0", "retry-after": "60"})
    asker, report = asker_of(clock, budget)
    waiting = asyncio.create_task(asker.may_ask(TAIL))
    await asyncio.sleep(0)
    asker.stop()
    assert await waiting is False
    assert (report.state, report.next_try) == ("working", 0.0)


async def test_a_walk_leaves_a_place_for_the_tail_which_takes_it_at_once() -> None:
    """The clock stands still: no place comes but the two that are free."""
    clock = FakeClock()
    asker, report = asker_of(clock, RequestBudget(clock, 60))
    wants, wake = [BACKFILL], asyncio.Event()
    assert await asker.turn(lambda: wants) == BACKFILL
    waiting = asyncio.create_task(asker.turn(lambda: wants, wake=wake, tail_due=lambda: 3600.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    wants.append(TAIL)
    wake.set()
    assert await waiting is None
    assert await asker.turn(lambda: wants) == TAIL
    assert report.requests_by_reader == {"backfill": 1, "tail": 1}


async def test_a_tail_that_is_due_by_time_alone_takes_it_as_well() -> None:
    clock = FakeClock()
    asker, _ = asker_of(clock, RequestBudget(clock, 60))
    wants = [BACKFILL]
    assert await asker.turn(lambda: wants) == BACKFILL

    def due() -> float:
        wants[:] = [TAIL]
        return 0.01

    assert await asker.turn(lambda: wants, tail_due=due) == TAIL


async def test_a_walk_takes_the_last_place_where_the_tail_had_its_part() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock, 60)
    asker, _ = asker_of(clock, budget)
    turns = []
    while len(turns) < 40:
        turns.append(await asker.turn(lambda: [BACKFILL, TAIL]))
        clock.advance(budget.wait())
    assert turns.count(BACKFILL) == 10
