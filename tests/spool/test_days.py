"""The days of a page's events: what is one, how they are written and read, and those of a part of a page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.spool import days

RUNS = st.lists(st.tuples(st.sampled_from(["2026-01-30", "2026-01-31", ""]), st.integers(1, 5)), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("minute", "day"),
    [
        ("2026-01-31T23:59", "2026-01-31"),
        ("2026-01-31", "2026-01-31"),
        ("1990-01-01T00:00", "1990-01-01"),
        ("1989-12-31T23:59", ""),
        ("2099-12-31T23:59", "2099-12-31"),
        ("2100-01-01T00:00", ""),
        ("2026-02-30T00:00", ""),
        ("2026-W05-1T00:00", ""),
        ("20260131T23:59", ""),
        ("20260131", ""),
        ("", ""),
        ("?7f", ""),
    ],
)
def test_a_day_is_a_date_as_the_log_writes_it_or_none(minute: str, day: str) -> None:
    assert days.of_minutes([minute]) == [(day, 1)]


def test_events_of_one_day_that_follow_each_other_are_one_run() -> None:
    minutes = ["2026-01-30T23:58", "2026-01-30T23:59", "", "2026-01-31T00:00", "2026-01-30T10:00"]
    assert days.of_minutes(minutes) == [("2026-01-30", 2), ("", 1), ("2026-01-31", 1), ("2026-01-30", 1)]
    assert days.of_minutes([]) == []


@given(RUNS)
def test_what_is_written_is_read(runs: list[tuple[str, int]]) -> None:
    events = sum(count for _, count in runs)
    assert days.read(days.written(runs), events) == runs
    if len(runs) > 1:
        for wrong in (events - 1, events + 1):
            with pytest.raises(ValueError, match="do not add up"):
                days.read(days.written(runs), wrong)


@pytest.mark.parametrize(
    "text", ["2026-01-30*0 2026-01-31*5", "2026-01-30*-1 2026-01-31*6", "2026-01-30*x 2026-01-31*1"]
)
def test_runs_that_no_page_has_are_damage(text: str) -> None:
    with pytest.raises(ValueError, match=r"add up|invalid literal"):
        days.read(text, 5)


@given(RUNS, st.integers(0, 30), st.integers(0, 30))
def test_the_days_of_a_part_are_those_of_its_events(runs: list[tuple[str, int]], start: int, end: int) -> None:
    each = [day for day, count in runs for _ in range(count)]
    found = list(days.between(runs, start, end))
    assert [day for day, count in found for _ in range(count)] == each[start:end]
    assert all(count > 0 for _, count in found)
