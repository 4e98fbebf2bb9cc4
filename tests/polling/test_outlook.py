"""How long a walk takes yet is told by its own pace, and not before it has one."""

from __future__ import annotations

import pytest

from forwarder.polling.outlook import APART, LOOKS, Outlook
from tests.clocks import FakeClock

END = 10_000_000


def test_it_is_known_once_the_walk_went_on_for_a_while() -> None:
    clock = FakeClock()
    made = Outlook(clock)
    assert made.seconds_left("backfill", END, END) == 0
    assert made.seconds_left("backfill", 0, END) is None
    clock.advance(APART - 1)
    assert made.seconds_left("backfill", 1_000_000, END) is None
    clock.advance(6)
    assert made.seconds_left("backfill", 2_000_000, END) == pytest.approx(80)
    assert made.seconds_left("heal", 2_000_000, END) is None, "each by its own"


def test_the_pace_is_that_of_the_last_minutes_and_a_walk_that_begins_again_has_none() -> None:
    clock, at = FakeClock(), 0
    made = Outlook(clock)
    for number in range(3 * LOOKS):
        at += 1_000 if number < 2 * LOOKS else 10_000
        made.seconds_left("backfill", at, END)
        clock.advance(APART)
    assert made.seconds_left("backfill", at, END) == pytest.approx((END - at) / 10_000 * APART, rel=0.1)
    assert made.seconds_left("backfill", 5, END) is None
    made.keep({"heal"})
    assert made._looks == {}


def test_one_that_stands_still_has_no_end_in_sight() -> None:
    clock = FakeClock()
    made = Outlook(clock)
    for _ in range(10):
        assert made.seconds_left("backfill", 7, END) is None
        clock.advance(APART)
