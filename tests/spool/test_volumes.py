"""How much an hour brings is learned from the events' own times, over restarts, and stays small."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forwarder.spool.volume import LEAST_WEEKS, SETTLED_MS, WEEK, WEEKS, Volume, hour_of, volume
from tests.clocks import FakeClock
from tests.spool.spools import Harness, opened, page_of

HOUR = 3600.0


def at(clock: FakeClock, hours_ago: float = 0.0) -> str:
    return f"{datetime.fromtimestamp(clock.time(), UTC) - timedelta(hours=hours_ago):%Y-%m-%dT%H:%M}"


async def learned(harness: Harness) -> Volume:
    found = (await harness.spool.status()).sources[0].volume
    assert found is not None
    return found


async def an_hour_with(harness: Harness, name: str, events: int) -> None:
    """Let events happen in this hour, then go on until it may be looked at."""
    if events:
        await harness.put(*((f"{name}-{number}", "", at(harness.clock)) for number in range(events)))
    harness.clock.advance(HOUR + SETTLED_MS / 1000)


async def test_an_hour_is_compared_with_the_same_one_of_the_weeks_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        harness.clock.now = 1_790_000_000.0 // HOUR * HOUR
        for week, events in enumerate((50, 40, 60, 45)):
            await an_hour_with(harness, f"w{week}", events)
            await harness.put((f"noise{week}", "", at(harness.clock)))  # of another hour
            found = await learned(harness)
            assert (found.events, found.weeks) == (events, week)
            harness.clock.advance(WEEK * HOUR - HOUR - SETTLED_MS / 1000)
        await an_hour_with(harness, "quiet", 3)
        found = await learned(harness)
        assert (found.events, found.least, found.expected, found.weeks, found.is_least) == (3, 40, 47.5, 4, True)
        await harness.reopen()
        assert await learned(harness) == found
        await harness.put(*((f"late{number}", "", at(harness.clock, 1.2)) for number in range(40)))
        assert not (await learned(harness)).is_least  # more of it came, and it is no longer so


async def test_what_comes_again_or_for_one_sink_only_counts_once_or_not_at_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        harness.clock.now = 1_790_000_000.0 // HOUR * HOUR
        minute = at(harness.clock)
        await harness.put(("a", "", minute), ("b", "", minute))
        await harness.put(("a", "", minute), ("b", "", minute))
        await harness.put(("c", "", minute), audience="splunk")
        harness.clock.advance(HOUR + SETTLED_MS / 1000)
        assert (await learned(harness)).events == 2


async def test_no_time_that_anybody_writes_fills_the_table(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        odd = [
            "",
            "soon",
            "2026-13-40T99:99",
            "9999-12-31T23:59",
            "0001-01-01T00:00",
            "2026-09-21 13:00",
            "\uff12\uff10\uff12\uff16-09-21T13",
        ]
        await harness.put(*((f"odd{number}", "", minute) for number, minute in enumerate(odd)))
        for hours in range(0, 3 * WEEKS * WEEK, 7):
            await harness.put(
                (f"h{hours}", "", at(harness.clock, hours)), (f"f{hours}", "", at(harness.clock, -hours - 1))
            )
        for week in range(30):
            harness.clock.advance(WEEK * HOUR)
            await harness.put(*((f"w{week}-{hour}", "", at(harness.clock, hour)) for hour in range(WEEK)))
        assert (await learned(harness)).weeks == WEEKS
        await harness.spool.close()
        copied = shutil.copy(harness.config.path, tmp_path / "copied.db")
        with closing(sqlite3.connect(copied)) as con:
            (rows,) = con.execute("SELECT count(*) FROM hours").fetchone()
        assert 0 < rows <= (WEEKS + 1) * WEEK
        await harness.reopen()


@pytest.mark.parametrize("minute", ["", "2026-01-31", "2026-01-31T", "2026-01-31T24", "20260131T10", "x" * 100_000])
def test_what_is_no_time_is_no_hour(minute: str) -> None:
    assert hour_of(minute) is None


def test_nothing_is_said_before_there_is_a_habit() -> None:
    hour = 500_000
    before = {hour - WEEK * week: 100 for week in range(1, WEEKS + 1)}
    for weeks in range(WEEKS + 3):
        found = volume(hour, hour - WEEK * weeks, before)
        assert found.weeks == min(weeks, WEEKS)
        assert found.is_least == (weeks >= LEAST_WEEKS)
    assert not volume(hour, 0, {**before, hour: 100}).is_least  # as little as ever is not less
    assert not volume(hour, 0, {}).is_least  # nothing, as always


async def test_whether_people_are_seen_is_known_over_restarts(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        for page, expected in (
            (page_of("a", "b"), (0, False)),
            (page_of("c", user_activity=False), (1, False)),
            (page_of("c", user_activity=False), (1, False)),
            (page_of("d", "e", user_activity=True), (3, True)),
            (page_of("f", user_activity=False), (4, True)),
        ):
            await harness.put(page=page)
            await harness.reopen()
            row = (await harness.spool.status()).sources[0]
            assert (row.classified, row.user_activity) == expected
