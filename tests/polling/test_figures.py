"""Figures of polling that were chosen by what APIs do: how often a fault must come before it is believed, and how far one looks."""

from __future__ import annotations

from forwarder.polling import plan, poller, progress, reading, recurrence, shares, tips, trial, windows

DAY = 86_400_000


def test_how_often_before_a_conclusion_is_drawn() -> None:
    assert (poller.MOST_LOSSES, poller.MOST_RECURRENCES, shares.TAIL_SHARE) == (7, 4, 3)
    assert (recurrence.SURE, recurrence.MOST_STANDING) == (3, 100)
    assert (tips.DOUBTED_FIRST, tips.DOUBTED_EVERY, tips.CATCHES_UP) == (2, 20, 100)
    assert trial._DOUBTED_AGAIN == 4
    # with a cursor the third and the fifth: a fault of every second or third request does not meet just these
    assert trial._ORDER == (False, False, True, False, True)


def test_how_far_one_looks() -> None:
    assert (windows.FIRST_WIDTH, windows.NARROWEST, windows.WIDEST) == (3_600_000, 1, 400 * DAY)
    assert (windows.LEAST_CUT, windows.MOST_PAGES, windows.MOST_PASSES) == (10, 1000, 12)
    assert (progress.CHECKPOINTS_PER_REREAD, progress.MOST_SKEW_MS) == (4, 3_600_000)
    assert reading._NARROW_ENOUGH == 60_000


def test_what_is_worst() -> None:
    assert sorted(plan._SEVERITY, key=plan._SEVERITY.__getitem__) == ["", "retrying", "held"]
    assert plan._SEVERITY[""] == 0
