"""Shares of places in levels: what is promised to each, and that nothing a step does not use is kept from the others."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from forwarder.net.fair import FairOrder, Line, Path, Step

TOP, LOW = Step("top", 3), Step("low", 1, 1)


def path(*steps: Step) -> Path:
    return steps


def places(order: FairOrder, wanting: list[Path], count: int) -> Counter[str]:
    got: Counter[str] = Counter()
    for _ in range(count):
        first = order.first(wanting)
        order.charge(first, 0.0, 1.0)
        got[first[-1].name] += 1
    return got


@given(
    weights=st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 9), min_size=1, max_size=6),
    rested=st.integers(0, 500),
)
def test_whatever_was_before_each_gets_its_weight_of_the_places_from_now_on(weights, rested) -> None:
    order, steps = FairOrder(), [Step(name, weight) for name, weight in weights.items()]
    places(order, [path(steps[0])], rested)  # the others rested, or came later: neither is a debt
    whole = sum(weights.values())
    got = places(order, [path(step) for step in steps], 20 * whole)
    assert all(abs(got[name] - 20 * weight) <= len(weights) for name, weight in weights.items())


def test_a_level_shares_what_the_level_above_leaves() -> None:
    order = FairOrder()
    wanting = [path(TOP, Step("t")), path(LOW, Step("x", 2), Step("x1")), path(LOW, Step("x", 2), Step("x2")),
               path(LOW, Step("y", 1), Step("y1"))]  # fmt: skip
    assert places(order, wanting, 240) == {"t": 180, "x1": 20, "x2": 20, "y1": 20}
    assert places(order, wanting[1:], 60) == {"x1": 20, "x2": 20, "y1": 20}
    assert places(order, wanting[3:], 60) == {"y1": 60}
    got = places(order, wanting, 240)
    assert all(abs(got[name] - count) <= 2 for name, count in {"t": 180, "x1": 20, "x2": 20, "y1": 20}.items())


def test_what_gets_a_part_at_most_waits_for_its_time_and_its_siblings_do_not() -> None:
    order, part = FairOrder(), path(LOW, Step("part", 1, 0, 0.1), Step("a"))
    other = path(LOW, Step("part", 1, 0, 0.1), Step("b"))
    assert order.wait(part, 100.0) == 0
    order.charge(part, 100.0, 1.0)
    assert (order.wait(part, 100.0), order.wait(other, 104.0)) == (10.0, 6.0)
    assert order.wait(path(LOW, Step("whole"), Step("c")), 100.0) == 0
    assert order.wait(part, 110.0) == 0


async def test_who_waits_is_asked_when_the_place_comes() -> None:
    line, one, two = Line(), path(LOW, Step("one")), path(TOP, Step("two"))
    assert line.first() is None
    wants: list[Path] = []
    with line.joined(lambda: [one]), line.joined(lambda: wants):
        assert line.first() == one
        line.order.charge(one, 0.0, 1.0)
        wants.append(two)
        assert line.first() == two
    assert line.first() is None


def test_who_came_and_went_is_forgotten_once_the_others_had_as_much() -> None:
    order, stays = FairOrder(), path(LOW, Step("stays"))
    for number in range(1000):
        order.charge(path(LOW, Step(f"n{number}")), 0.0, 1.0)
    for _ in range(3):
        order.charge(stays, 0.0, 1.0)
    assert sum(len(level.tags) for level in order._levels.values()) == 2
