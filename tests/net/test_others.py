"""What others used up of the API's limit is counted, and they are never accused of what was ours."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.net.others import SeenLimit
from forwarder.net.retry import RequestBudget
from tests.clocks import FakeClock


class Api:
    """Counts requests in windows of a minute, as one counter for all."""

    def __init__(self, clock: FakeClock, limit: int, *, says_reset: bool = True, says_limit: bool = True) -> None:
        self.clock, self.limit, self.says_reset, self.says_limit = clock, limit, says_reset, says_limit
        self.window, self.used, self.foreign = -1, 0, 0

    def take(self, *, ours: bool = True) -> dict[str, str]:
        window = int(self.clock.now // 60)
        if window != self.window:
            self.window, self.used = window, 0
        self.used += 1
        self.foreign += not ours
        headers = {"x-ratelimit-remaining": str(max(0, self.limit - self.used))}
        if self.says_limit:
            headers["x-ratelimit-limit"] = str(self.limit)
        if self.says_reset:
            headers["x-ratelimit-reset"] = f"{datetime.fromtimestamp((window + 1) * 60, UTC):%Y-%m-%dT%H:%MZ}"
        return headers


def ask(budget: RequestBudget, seen: SeenLimit, api: Api) -> None:
    with budget.request():
        seen.observe(api.take())


@pytest.mark.parametrize("says_reset", [True, False])
def test_what_falls_without_our_spending_is_the_others_part(says_reset: bool) -> None:
    clock = FakeClock(1_790_000_040.0)
    budget, api = RequestBudget(clock, 60), Api(clock, 50, says_reset=says_reset)
    seen = SeenLimit(budget, clock, "acme")
    for minute in range(10):
        for number in range(10):
            ask(budget, seen, api)
            for _ in range(3):
                api.take(ours=False)
            clock.advance(4)
            assert seen.others <= api.foreign
            if number == 9 and minute:
                assert seen.others_part == pytest.approx(27 / 50)
        clock.advance(20)
    assert seen.others >= 10 * 27, "what others do after our last request of a period cannot be seen"
    assert seen.limit == 50


@given(
    seed=st.integers(0, 10**6), sources=st.integers(1, 3), says_reset=st.booleans(), says_limit=st.booleans(),
    own=st.booleans(), failing=st.booleans(),
)  # fmt: skip
def test_others_are_never_accused_of_what_was_ours(seed, sources, says_reset, says_limit, own, failing) -> None:
    """Requests of several sources overlap, come back in any order, or not at all; counted for all or for each alone."""
    rng, clock = random.Random(seed), FakeClock(1_790_000_000.0)
    budget = RequestBudget(clock, 60)
    of = {"says_reset": says_reset, "says_limit": says_limit}
    apis = [Api(clock, 100, **of) for _ in range(sources)] if own else [Api(clock, 100, **of)] * sources
    views = [SeenLimit(budget, clock, str(number)) for number in range(sources)]
    under_way: list[tuple[int, dict[str, str], object]] = []
    for _ in range(300):
        clock.advance(rng.random() * 2)
        if rng.random() < 0.5 and len(under_way) < 2 * sources:
            number = rng.randrange(sources)
            request = budget.request()
            request.__enter__()
            under_way.append((number, apis[number].take(), request))
        elif under_way:
            number, headers, request = under_way.pop(rng.randrange(len(under_way)))
            if not (failing and rng.random() < 0.2):
                views[number].observe(headers)
            request.__exit__(None, None, None)  # type: ignore[attr-defined]
    assert [seen.others for seen in views] == [0] * sources


@pytest.mark.parametrize(
    "reset",
    [lambda now: str(60 - int(now) % 60), lambda now: str(int(now) + 60), lambda now: "?"],
    ids=["fills up", "looks back", "unknown"],
)
def test_an_end_that_moves_on_tells_no_periods_apart(reset) -> None:
    """A limit that fills up again bit by bit, one that looks a minute back, and one that nobody understands."""
    clock = FakeClock()
    budget = RequestBudget(clock, 60)
    seen, used = SeenLimit(budget, clock, "acme"), []
    for _ in range(400):
        used = [*(moment for moment in used if moment > clock.now - 60), clock.now]
        with budget.request():
            headers = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": str(100 - len(used))}
            seen.observe({**headers, "x-ratelimit-reset": reset(clock.now)})
        clock.advance(1.7)
    assert seen.others == 0


def test_an_objection_to_few_requests_is_foreign_and_one_to_many_is_not() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock)
    seen = SeenLimit(budget, clock, "acme")
    with budget.request():
        seen.on_rate_limited({})
    assert seen.foreign == 1, "one request in a minute exceeds no limit"
    clock.advance(300)
    for _ in range(40):
        with budget.request():
            seen.observe({})
        clock.advance(1)
    with budget.request():
        seen.on_rate_limited({})
    assert seen.foreign == 1, "more than ever passed"
    clock.advance(300)
    for _ in range(20):
        with budget.request():
            seen.on_rate_limited({"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0"})
    assert seen.foreign == 21


def test_an_objection_that_comes_to_one_source_alone_holds_no_other() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock, 60)
    one, two = SeenLimit(budget, clock, "one"), SeenLimit(budget, clock, "two")
    one.on_rate_limited({"retry-after": "30"})
    assert budget.blocked() == 30, "it may be about all"
    clock.advance(31)
    two.observe({})
    assert one.on_rate_limited({"retry-after": "30"}) == 30
    assert (budget.blocked(), one.blocked(), two.blocked()) == (0, 30, 0)
    clock.advance(31)
    one.on_rate_limited({"retry-after": "30"})
    assert budget.blocked() == 30, "nobody else was answered since"


@pytest.mark.parametrize("huge", ["1e308", "-1e308", "1e10", "9" * 300, "1e400"])
def test_numbers_that_no_limit_has_are_no_numbers(huge: str) -> None:
    """Two of the greatest are more than a float holds; what counts others outlives every poller."""
    clock = FakeClock()
    budget = RequestBudget(clock, 60)
    seen = SeenLimit(budget, clock, "acme")
    for limit, left in [("100", huge), ("100", "0"), (huge, huge), (huge, "0"), ("100", huge), ("100", "0")]:
        for headers in ({"x-ratelimit-limit": limit, "x-ratelimit-remaining": left}, {"x-ratelimit-remaining": left}):
            for reset in ({}, {"x-ratelimit-reset": huge}, {"retry-after": huge}):
                with budget.request():
                    seen.observe({**headers, **reset})
                seen.on_rate_limited({**headers, **reset})
                clock.advance(61)
                assert seen.limit in {None, 100}
                assert seen.others == 0
                assert (seen.others_part or 0) == 0
                assert budget.remaining in {None, 0}
