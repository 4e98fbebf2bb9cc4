"""Asking within the budget: a wait that the API asks for is said when it is long."""

from __future__ import annotations

import asyncio

import pytest

from forwarder.net.retry import LONGEST_WAIT, RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.asking import LONG, Asker
from forwarder.polling.plan import TAIL
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
