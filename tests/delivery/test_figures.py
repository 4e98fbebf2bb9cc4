"""Figures of delivery that were chosen by what receivers do, and how much memory a lane may take."""

from __future__ import annotations

from forwarder.delivery import aside, isolation, ready, receipts
from forwarder.delivery.isolation import Case, Evidence
from forwarder.delivery.undelivered import Undelivered


def test_how_often_before_a_conclusion_is_drawn() -> None:
    assert (isolation.ALIKE, isolation.ALONE, isolation.BUSY, isolation.STALE) == (3, 2, 6, 6)
    assert (aside.TRIES, aside.TRIES_BUSY, receipts.BREAKS) == (3, 12, 3)


def test_how_much_is_kept_in_memory() -> None:
    assert (aside.MOST, aside.MOST_BYTES, ready.ON_THE_WAY) == (100, 8_388_608, 8_388_608)
    assert (ready.LEAST_AHEAD, ready.MOST_AHEAD) == (16, 1000)


def test_what_is_not_said_is_nothing() -> None:
    made = Undelivered([], "other", "why")
    assert (made.doubtful, made.suspect, made.busy, made.odd, made.refused) == (False,) * 5
    assert (made.state, made.floor, made.ceiling, made.rejections) == ("retrying", None, None, {})
    evidence = Evidence()
    assert (evidence.newest_open(), evidence.begun, evidence.newest_taken) == (0, 0, 0)
    case = Case([], evidence)
    assert (case.searching, case.failures, case.controlled, bool(case)) == (False, 0, False, False)
