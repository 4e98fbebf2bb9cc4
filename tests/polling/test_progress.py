"""What a walk remembers of where it was: enough to read the newest stretch again, and no more."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts import Page
from forwarder.polling import progress
from forwarder.polling.progress import CHECKPOINTS_PER_REREAD, MOST_SKEW_MS

NOW = 1_790_000_000_000
TRAILING, REREAD = 600_000, 300_000
SPACING = TRAILING // CHECKPOINTS_PER_REREAD


def page(newest: int | None, at: int = 0, *, done: bool = False) -> Page:
    return Page(bodies=(), keys=(), digests=(), minutes=(), next={"at": at}, newest=newest, done=done)


def advance(row: dict[str, Any], newest: int | None, now: int, at: int = 0, *, done: bool = False) -> dict[str, Any]:
    return progress.advance(row, page(newest, at, done=done), now, TRAILING, REREAD)


def test_a_row_begins_where_the_walk_does() -> None:
    row = progress.begin({"at": 0}, NOW)
    begun = {"walk": {"at": 0}, "from": NOW, "high": NOW, "reached": NOW}
    assert row == {**begun, "marks": [[NOW, {"at": 0}]], "recent": [[NOW, NOW]]}
    assert progress.checkpoint_before(row, NOW - 1) == (NOW, {"at": 0})


def test_advance_changes_no_row() -> None:
    row = progress.begin({"at": 0}, NOW)
    before = copy.deepcopy(row)
    for n in range(5):
        after = advance(row, NOW + n * SPACING, NOW + n * SPACING, n)
        assert row == before
        row, before = after, copy.deepcopy(after)


def test_high_never_falls_and_a_page_without_times_leaves_it() -> None:
    row = progress.begin({}, NOW)
    row = advance(row, NOW + 5, NOW + 5)
    assert advance(row, NOW - 5, NOW + 5)["high"] == NOW + 5
    assert advance(row, None, NOW + 5)["high"] == NOW + 5


def test_an_event_from_the_future_is_no_measure() -> None:
    row = progress.begin({}, NOW)
    assert advance(row, NOW + MOST_SKEW_MS, NOW)["high"] == NOW + MOST_SKEW_MS
    assert advance(row, NOW + MOST_SKEW_MS + 1, NOW)["high"] == NOW
    assert advance(row, 253_402_300_799_999, NOW)["high"] == NOW


def test_near_is_noted_once_when_the_present_is_reached() -> None:
    row = progress.begin({}, NOW - 10 * TRAILING)
    row = advance(row, NOW - 5 * TRAILING, NOW)
    assert "near" not in row
    row = advance(row, NOW - TRAILING, NOW)
    assert row["near"] == NOW - TRAILING, "as far as was read: the clock may be ahead"
    assert advance(row, NOW, NOW + 7)["near"] == NOW - TRAILING
    assert advance(progress.begin({}, NOW - 10 * TRAILING), None, NOW, done=True)["near"] == NOW - 10 * TRAILING
    assert advance(progress.begin({}, NOW - TRAILING), NOW + 9, NOW)["near"] == NOW


@given(st.lists(st.tuples(st.integers(0, 3 * SPACING), st.integers(-10_000, 10_000)), max_size=80))
def test_marks_are_few_in_order_and_reach_back_far_enough(steps: list[tuple[int, int]]) -> None:
    now = NOW
    row = progress.begin({"at": -1}, now - TRAILING)
    passed = [(row["high"], row["walk"])]
    for at, (elapsed, skew) in enumerate(steps):
        now += elapsed
        row = advance(row, now + skew, now, at)
        passed.append((row["high"], row["walk"]))
        highs = [high for high, _ in row["marks"]]
        assert highs == sorted(highs)
        assert len(highs) <= 3 * CHECKPOINTS_PER_REREAD + 2 * REREAD // SPACING + 2
        # Every mark is a place the walk was at, with everything up to its high already behind it.
        assert all((high, walk) in passed for high, walk in row["marks"])
        # Whenever the trail was begun lately, the place to begin the next one is still known.
        begun = now - REREAD
        wanted = begun - TRAILING
        high, _ = progress.checkpoint_before(row, wanted)
        assert high <= max(wanted, passed[0][0])


def test_the_newest_mark_at_or_before_the_moment_is_taken() -> None:
    row = progress.begin({"at": 0}, NOW)
    for n in range(1, 6):
        row = advance(row, NOW + n * SPACING, NOW + n * SPACING, n)
    highs = [high for high, _ in row["marks"]]
    for earlier, later in pairwise(highs):
        assert progress.checkpoint_before(row, later - 1)[0] == earlier
        assert progress.checkpoint_before(row, later)[0] == later
    assert progress.checkpoint_before(row, NOW - 10**9)[0] == highs[0]


def test_after_a_long_silence_the_place_where_the_next_reread_begins_is_still_known() -> None:
    """What became visible behind the walk just before the silence is found by that read, and by nothing else."""
    rows = {keep: progress.begin({"at": 0}, NOW) for keep in (None, NOW + SPACING)}
    silence = 24 * 3600 * 1000
    highs = [NOW + n * SPACING for n in range(4)] + [NOW + silence + n * SPACING for n in range(400)]
    for at, high in enumerate(highs):
        for keep, row in rows.items():
            rows[keep] = progress.advance(row, page(high, at), NOW + 2 * silence, TRAILING, REREAD, keep)
    assert progress.checkpoint_before(rows[NOW + SPACING], NOW + SPACING)[0] <= NOW + SPACING
    assert progress.checkpoint_before(rows[None], NOW + SPACING)[0] > NOW + SPACING
    assert len(rows[NOW + SPACING]["marks"]) <= len(rows[None]["marks"]) + 1


@pytest.mark.parametrize(("behind", "ahead"), [(24 * 3_600_000, 0), (0, 24 * 3_600_000)], ids=["history", "the clock"])
def test_old_marks_are_forgotten_by_what_was_read_and_by_the_clock_whichever_is_earlier(
    behind: int, ahead: int
) -> None:
    high = NOW - behind + ahead
    old = min(NOW, high) - 2 * (TRAILING + REREAD)
    marks = [[old - 9, {"n": 0}], [old, {"n": 1}], [old + 1, {"n": 2}], [high - SPACING, {"n": 3}]]
    row = {"walk": {"n": 4}, "from": 0, "high": high, "reached": high, "marks": marks}
    assert advance(row, None, NOW)["marks"] == [*marks[1:], [high, {"n": 4}]]
    near = {**row, "marks": [*marks[:3], [high - SPACING + 1, {"n": 3}]]}
    assert advance(near, None, NOW)["marks"] == near["marks"]


def test_a_walk_by_time_remembers_where_it_went_on_so_and_its_bound_moves_with_what_was_asked() -> None:
    row = progress.begin({}, NOW - TRAILING)
    first = progress.advance(row, by_time(NOW - 9), NOW, TRAILING, REREAD)
    assert (first["by_time"], first["from"]) == (NOW - TRAILING, NOW - 9)
    again = progress.advance(first, by_time(NOW - 99), NOW, TRAILING, REREAD)
    assert (again["by_time"], again["from"]) == (NOW - TRAILING, NOW - 9)
    assert "by_time" not in advance(row, NOW, NOW)


def by_time(since: int) -> Page:
    return Page(bodies=(), keys=(), digests=(), minutes=(), next={}, newest=NOW, since=since, by_time=True)
