"""Back-off, the headers that ask for patience, and the budget of requests; time is a clock that tests own."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forwarder.contracts import RetryConfig
from forwarder.net.retry import (
    HIGHEST_PER_MINUTE,
    LONGEST_WAIT,
    START_PER_MINUTE,
    Backoff,
    RequestBudget,
    retry_after_seconds,
)
from tests.clocks import FakeClock

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


# --------------------------------------------------------------------------------------------------------- backoff


@given(
    base=st.floats(0.001, 10),
    most=st.floats(0.001, 1000),
    seed=st.integers(0, 9),
    floors=st.lists(st.none() | st.floats(0, 5000), min_size=1, max_size=60),
)
def test_a_wait_lies_between_the_floor_and_a_ceiling_that_doubles(base, most, seed, floors) -> None:
    most = max(base, most)
    backoff = Backoff(RetryConfig(base=base, max=most), random.Random(seed))
    for failures, floor in enumerate(floors):
        wait = backoff.next(floor)
        assert (floor or 0.0) <= wait <= max(floor or 0.0, min(most, base * 2.0**failures))
    assert backoff.failures == len(floors)
    backoff.reset()
    assert backoff.next() <= min(base, most)


def test_the_jitter_is_full() -> None:
    backoff = Backoff(RetryConfig(base=1.0, max=1.0), random.Random(1))
    waits = [backoff.next() for _ in range(500)]
    assert min(waits) < 0.1
    assert max(waits) > 0.9


def test_a_million_failures_do_not_overflow() -> None:
    backoff = Backoff(RetryConfig(base=1.0, max=60.0), random.Random(1))
    backoff.failures = 10**6
    assert backoff.next() <= 60.0


# --------------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "17"}, 17),
        ({"retry-after": " 17 "}, 17),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": format_datetime(at(40), usegmt=True)}, 40),
        ({"retry-after": format_datetime(at(-40), usegmt=True)}, 0),
        ({"retry-after": "99999999"}, LONGEST_WAIT),
        ({"retry-after": "9" * 500}, LONGEST_WAIT),
        ({"x-ratelimit-reset": f"{at(40):%Y-%m-%dT%H:%M:%SZ}"}, 40),
        ({"x-ratelimit-reset": f"{at(40):%Y-%m-%dT%H:%M:%S.000Z}"}, 40),
        ({"x-ratelimit-reset": f"{at(40):%Y-%m-%dT%H:%M:%S}"}, 40),
        ({"x-ratelimit-reset": f"{at(40):%Y-%m-%dT%H:%M:%S}+00:00"}, 40),
        ({"x-ratelimit-reset": "2026-09-21T16:14:20+02:00"}, 60),
        ({"x-ratelimit-reset": "2026-09-21T14:14Z"}, 40),
        ({"x-ratelimit-reset": "2026-09-21T14:13Z"}, 0),
        ({"x-ratelimit-reset": str(int(NOW) + 40)}, 40),
        ({"x-ratelimit-reset": str((int(NOW) + 40) * 1000)}, 40),
        ({"x-ratelimit-reset": str(int(NOW) - 40)}, 0),
        ({"x-ratelimit-reset": format_datetime(at(40), usegmt=True)}, 40),
        ({"x-ratelimit-reset": "2999-01-01T00:00Z"}, LONGEST_WAIT),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": "-30"}, None),
        ({"retry-after": "5, 31557600000000"}, 5),
        ({"retry-after": "31557600000000, 5"}, LONGEST_WAIT),
        ({"retry-after": "soon, 5"}, 5),
        ({"retry-after": f"{format_datetime(at(40), usegmt=True)}, 99"}, 40),
        ({"retry-after": "31557600000000"}, LONGEST_WAIT),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_WAIT),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 GMT"}, 0),
        ({"x-ratelimit-reset": "9999-12-31T23:59Z"}, LONGEST_WAIT),
        ({"x-ratelimit-reset": "0001-01-01T00:00Z"}, 0),
        ({"retry-after": "17", "x-ratelimit-reset": "2999-01-01T00:00Z"}, 17),
        ({"retry-after": "soon", "x-ratelimit-reset": "2026-09-21T14:14Z"}, 40),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "."}, None),
        ({"retry-after": "Mon, 01 Jan 2026 00:00:00 +99999999999999999999"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
    ],
)
def test_every_shape_of_patience(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_seconds(headers, NOW) == pytest.approx(expected)


HEADERS = st.text(max_size=40) | st.text("0123456789-:TZ+., GMTJanMo²", max_size=40)


@given(st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset"]), HEADERS))
@example({"retry-after": "0001-01-01T00:00:00+23:59"})
@example({"x-ratelimit-reset": "9999-12-31T23:59:59-23:59"})
def test_no_header_can_raise_or_silence_for_long(headers: dict[str, str]) -> None:
    wait = retry_after_seconds(headers, NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


# ---------------------------------------------------------------------------------------------------------- budget


def take(budget: RequestBudget, clock: FakeClock, count: int = 1, headers: dict[str, str] | None = None) -> list[float]:
    """Ask `count` times as fast as the budget lets, each answered with these headers; return the waits."""
    waits = []
    for _ in range(count):
        waits.append(budget.reserve())
        clock.advance(waits[-1])
        budget.observe(headers or {})
    return waits


def test_it_begins_at_ten_a_minute_with_a_burst_of_two() -> None:
    budget = RequestBudget(FakeClock())
    assert budget.per_minute == START_PER_MINUTE == 10
    assert [budget.reserve() for _ in range(4)] == [0, 0, 6, 12]


def test_rest_earns_no_more_than_a_burst_of_two() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock, 60)
    clock.advance(3600)
    assert [budget.reserve() for _ in range(4)] == pytest.approx([0, 0, 1, 2])


def test_it_rises_only_while_it_is_what_holds_us_back() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock)
    for _ in range(50):  # quiet: one request in 30 s
        clock.advance(30)
        take(budget, clock)
    assert budget.per_minute == START_PER_MINUTE
    take(budget, clock, 100)  # history to read
    assert budget.per_minute > 50
    take(budget, clock, 5000)
    assert budget.per_minute == HIGHEST_PER_MINUTE


def test_it_falls_on_an_objection_and_does_not_come_back_to_it_soon() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock)
    take(budget, clock, 200)
    peak = budget.per_minute
    assert budget.on_rate_limited({}) == 0
    assert budget.per_minute == pytest.approx(peak * 0.7)
    assert budget.blocked() == pytest.approx(60 / budget.per_minute)
    take(budget, clock, 300)
    assert budget.per_minute == pytest.approx(peak * 0.9, rel=0.02)


def test_the_objections_of_one_minute_are_one() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock)
    for _ in range(10):
        budget.on_rate_limited({})
        clock.advance(5.9)
    assert budget.per_minute == pytest.approx(START_PER_MINUTE * 0.7)
    clock.advance(1)
    budget.on_rate_limited({})
    assert budget.per_minute == pytest.approx(START_PER_MINUTE * 0.49)


def test_objections_without_end_leave_one_a_minute() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock)
    for _ in range(50):
        clock.advance(60)
        budget.on_rate_limited({})
    assert budget.per_minute == 1
    take(budget, clock, 400)
    assert budget.per_minute > 1


def test_it_settles_below_a_limit_that_nobody_tells() -> None:
    """The API lets 60 a minute through and says nothing: few objections, and most of the 60 used."""
    clock = FakeClock()
    budget = RequestBudget(clock)
    window, used, refused, passed = 0.0, 0, 0, 0
    begun = clock.now
    while clock.now < begun + 3600:
        clock.advance(budget.reserve())
        clock.advance(budget.blocked())
        if clock.now // 60 != window:
            window, used = clock.now // 60, 0
        used += 1
        if used > 60:
            refused += 1
            budget.on_rate_limited({})
        else:
            passed += 1
            budget.observe({})
    assert passed > 0.75 * 60 * 60
    assert refused < 0.05 * passed


def test_it_follows_what_the_api_says() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock)
    take(budget, clock, 1, {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "49"})
    assert (budget.per_minute, budget.remaining) == (50, 49)
    take(budget, clock, 1, {"x-ratelimit-limit": "5", "x-ratelimit-remaining": "4"})
    assert (budget.per_minute, budget.remaining) == (5, 4)
    budget.on_rate_limited({"x-ratelimit-limit": "7"})
    assert budget.per_minute == 7
    take(budget, clock, 1, {"x-ratelimit-limit": "1e9"})
    assert (budget.per_minute, budget.remaining) == (HIGHEST_PER_MINUTE, None)


def test_nothing_remaining_blocks_until_the_reset() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock)
    budget.observe({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{at(33):%Y-%m-%dT%H:%M:%SZ}"})
    assert budget.blocked() == pytest.approx(33)
    assert budget.reserve() == pytest.approx(33)
    clock.advance(33)
    assert budget.blocked() == 0


def test_a_fixed_pace_does_not_rise_or_fall_but_obeys() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock, 120)
    take(budget, clock, 300, {"x-ratelimit-limit": "5"})
    assert budget.per_minute == 120
    assert budget.on_rate_limited({"retry-after": "20", "x-ratelimit-limit": "5"}) == 20
    assert (budget.per_minute, budget.blocked()) == (120, 20)
    assert budget.reserve() == 20


def test_a_shorter_objection_does_not_lift_a_longer_one() -> None:
    budget = RequestBudget(FakeClock())
    budget.on_rate_limited({"retry-after": "20"})
    budget.on_rate_limited({"retry-after": "2"})
    assert budget.blocked() == 20


def test_those_who_share_it_queue_behind_an_objection_to_one() -> None:
    clock = FakeClock()
    budget = RequestBudget(clock, 60)
    budget.reserve()
    budget.on_rate_limited({"retry-after": "30"})
    assert [budget.reserve() for _ in range(3)] == [30, 31, 32]


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.dictionaries(
                st.sampled_from(["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"]),
                HEADERS | st.sampled_from(["nan", "inf", "-1", "0", "1e400", "-inf"]),
            ),
        ),
        max_size=20,
    ),
    st.none() | st.floats(1, 1000),
)
def test_no_answer_can_break_it(answers, fixed) -> None:
    clock = FakeClock(NOW)
    budget = RequestBudget(clock, fixed)
    for objected, headers in answers:
        wait = budget.reserve()
        assert 0 <= wait <= LONGEST_WAIT + 120
        clock.advance(wait)
        (budget.on_rate_limited if objected else budget.observe)(headers)
        assert budget.per_minute == fixed if fixed else 1 <= budget.per_minute <= HIGHEST_PER_MINUTE
        assert 0 <= budget.blocked() <= LONGEST_WAIT
        clock.advance(budget.blocked())
