"""The re-read of the newest is as long as the budget carries: whole where it can, shortened where it would not end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from forwarder.polling import progress
from forwarder.polling.rereads import ENOUGH, LONGEST, Rereads
from tests.clocks import FakeClock
from tests.polling.pollers import page

NOW = 1_790_000_000_000


def course(pages: int, between: float, *, rounds: int = 40, trailing: float = 600, every: float = 300) -> Rereads:
    """Let re-reads follow each other: a second of the log has so many pages, each of which comes so long after another."""
    clock = FakeClock()
    made, begun = Rereads(clock, LONGEST, "acme"), clock.now
    for _ in range(rounds):
        now = int(clock.now * 1000)
        since = made.begin(int((begun - trailing) * 1000), now)
        begun = clock.now
        for left in reversed(range(max(1, round((now - since) / 1000 * pages / 1000)))):
            clock.advance(between)
            made.read(ended=not left)
        clock.advance(max(0.0, begun + every - clock.now))
    return made


@pytest.mark.parametrize("between", [0.1, 1.2, 2.4])
def test_what_the_budget_carries_is_read_as_configured(between: float) -> None:
    made = course(100, between)  # a page in ten seconds: 90 pages each five minutes
    assert (made.stretch, made.left_out) == (pytest.approx(900), 0)
    assert made.period == pytest.approx(300)


def test_what_takes_longer_than_its_period_begins_later_and_is_still_whole() -> None:
    made = course(278, 2.4)  # 139 events a second at 500 a page; two of three places: two seconds of three for a second
    assert made.left_out == 0
    assert made.period == pytest.approx(1200, rel=0.05)  # 2/3 (period + 600)
    assert made.stretch == pytest.approx(1800, rel=0.05)


@given(pages=st.integers(300, 3000), between=st.floats(4.0, 60.0))
def test_what_would_never_end_is_shortened_to_what_can_be_carried(pages: int, between: float) -> None:
    made = course(pages, between, rounds=12)
    assert made.left_out > 0
    assert made.period <= LONGEST * 1.1 + between
    assert made.stretch <= LONGEST / (pages * between / 1000) * 1.1 + 1000 / pages


def test_an_outage_meanwhile_is_no_measure_of_the_pace() -> None:
    clock = FakeClock()
    made = Rereads(clock, LONGEST, "acme")
    made.begin(NOW - 900_000, NOW)
    for number in range(20):
        clock.advance(5 * 3600 if number == 7 else 1.0)
        made.read(ended=number == 19)
    assert made.begin(NOW - 6 * 3_600_000, NOW) == NOW - 6 * 3_600_000
    for _ in range(ENOUGH - 1):  # too few pages to know
        clock.advance(3600)
        made.read(ended=True)
    assert made.begin(NOW - 6 * 3_600_000, NOW) == NOW - 6 * 3_600_000


def test_that_it_is_shortened_is_logged_once_and_that_it_is_whole_again() -> None:
    with capture_logs() as logs:
        made = course(1000, 10.0, rounds=6)
        assert made.left_out > 0
        clock, made._cost = made._clock, 0.0
        made.begin(int(clock.time() * 1000) - 900_000, int(clock.time() * 1000))
    assert [line["event"] for line in logs] == ["reread_shortened", "reread_is_whole_again"]


def test_a_shortened_one_begins_at_a_checkpoint_and_the_row_stays_small() -> None:
    row = progress.begin({"n": 0}, NOW)
    for number in range(1, 2000):
        now = NOW + number * 10_000
        read = page({"n": number}, "e", newest=now)
        row = progress.advance(row, read, now, 600_000, 7_200_000, apart_ms=900_000)
    assert len(row["marks"]) < 24
    since = now - 7_200_000
    high, _ = progress.checkpoint_after(row, since)
    assert since <= high <= since + 910_000
    assert progress.checkpoint_after(row, now + 1) == tuple(row["marks"][-1])
