"""Which window is read again next: every one once by each pass, none too soon, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forwarder.polling import recheck
from forwarder.polling.recheck import DAY, HOUR

PASSES = recheck.passes_of((7200, 86_400, 7 * 86_400))
NOON = 1_790_000_000_000 // DAY * DAY + 12 * HOUR


def read(state: recheck.State, now_ms: int) -> tuple[recheck.State, list[recheck.Window]]:
    """Read everything that is due."""
    state, windows = recheck.fitted(state, PASSES, now_ms), []
    while (window := recheck.due(state, PASSES, now_ms)) is not None:
        windows.append(window)
        state = recheck.closed(recheck.opened(state, window, now_ms, {"walk": {}}), PASSES)
    return state, windows


def test_the_soonest_passes_read_by_hour_and_the_last_by_day() -> None:
    assert [(each.after, each.width) for each in PASSES] == [(2 * HOUR, HOUR), (DAY, HOUR), (7 * DAY, DAY)]


def test_a_window_is_read_when_it_is_closed_and_the_delay_is_over() -> None:
    state = recheck.begin(PASSES, NOON + 600_000)
    assert read(state, NOON + 3 * HOUR - 1)[1] == []
    state, windows = read(state, NOON + 3 * HOUR)
    assert windows == [recheck.Window(0, NOON + 600_000, NOON + HOUR)]
    assert state["passes"][0] == {"to": NOON + HOUR}


def test_a_window_that_is_read_late_enough_for_several_passes_counts_for_all() -> None:
    state, windows = read(recheck.begin(PASSES, NOON), NOON + 30 * DAY)
    hours = [window for window in windows if window.number == 0]
    assert windows[: len(hours)] == hours  # the first pass goes first
    assert hours[-1].until == NOON + 30 * DAY - 2 * HOUR
    assert len(windows) == len(hours)
    assert [front["to"] for front in state["passes"]] == [
        NOON + 30 * DAY - 2 * HOUR,
        NOON + 29 * DAY,
        NOON + 23 * DAY,
    ]


def test_a_new_pass_begins_with_what_it_would_read_today() -> None:
    state, _ = read(recheck.begin(PASSES[:1], NOON), NOON + 100 * DAY)
    fitted = recheck.fitted({**state, "passes": state["passes"][:1]}, PASSES, NOON + 100 * DAY)
    assert [front["to"] for front in fitted["passes"][1:]] == [NOON + 99 * DAY, NOON + 93 * DAY]


def test_a_window_of_which_a_part_was_not_read_counts_for_its_pass_only() -> None:
    state = recheck.begin(PASSES, NOON)
    window = recheck.due(state, PASSES, NOON + 9 * DAY)
    assert window is not None
    state = recheck.closed(recheck.opened(state, window, NOON + 9 * DAY, {}), PASSES, is_whole=False)
    assert [front["to"] for front in state["passes"]] == [NOON + HOUR, NOON, NOON]


def test_what_can_be_read_no_more_is_passed_over_at_once() -> None:
    state = recheck.begin(PASSES, NOON)
    window = recheck.due(state, PASSES, NOON + 9 * DAY)
    assert window is not None
    assert recheck.passed_over(state, window, PASSES[0], NOON + 10 * HOUR, NOON + 5 * HOUR + 1)[1] == NOON + 3 * HOUR
    state, end = recheck.passed_over(state, window, PASSES[0], NOON + 10 * HOUR + 1, NOON + 9 * DAY)
    assert end == NOON + 11 * HOUR
    assert state["passes"][0] == {"to": end}


@given(st.lists(st.tuples(st.integers(1, 3 * DAY), st.sampled_from([0, 0, 0, 4 * DAY, -DAY])), max_size=12))
def test_whatever_the_clock_does_no_pass_leaves_a_window_out(steps: list[tuple[int, int]]) -> None:
    now = NOON
    state = recheck.begin(PASSES, now)
    for wait, ahead in steps:
        now += wait
        state, _ = read(state, now + ahead)
    state, _ = read(state, now + 20 * DAY)
    for each, front in zip(PASSES, state["passes"], strict=True):
        assert front["to"] > now + 20 * DAY - each.after - 2 * each.width  # it goes on, wherever the clock was
        assert front["to"] <= now + 20 * DAY - each.after


@given(st.integers(0, 5 * DAY), st.integers(1, 12 * HOUR))
def test_after_a_clock_that_was_ahead_all_is_read_when_it_is_really_due(ahead: int, lasted: int) -> None:
    state, _ = read(recheck.begin(PASSES, NOON), NOON + 20 * DAY)
    state, _ = read(state, NOON + 20 * DAY + lasted + ahead)
    back = NOON + 20 * DAY + lasted + 1
    fitted = recheck.fitted(state, PASSES, back)
    for each, front in zip(PASSES, fitted["passes"], strict=True):
        assert front["to"] <= max(back - each.after, NOON)
