"""How old events are when a sink has them."""

from __future__ import annotations

import pytest

from forwarder.contracts import Origin
from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.delivery.ages import DeliveryAges, objective_of
from forwarder.observe.reports import AGE_BUCKETS, LaneReport
from forwarder.spool.contract import Chunk
from tests.clocks import FakeClock

ORIGIN = Origin("acme", "organization", "o-1")


class Lane:
    """Ages, by a clock that stands still, and what the report says."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.report = LaneReport("one", "scripted", objective=60.0)
        self.ages = DeliveryAges(self.report, self.clock)

    def take(self, first: int, last: int, age: float, reader: str = "tail", origin: Origin = ORIGIN) -> None:
        read_ms = round((self.clock.time() - age) * 1000)
        bodies = [b"{}"] * (last - first + 1)
        self.ages.take(Chunk(1, origin, first, bodies, bytes(16 * len(bodies)), read_ms, reader=reader))

    @property
    def counts(self) -> dict[str, int]:
        """Counts by the upper bound of their bucket, without empty ones."""
        bounds = [*map(str, AGE_BUCKETS), "more"]
        return {bound: count for bound, count in zip(bounds, self.report.age_buckets, strict=True) if count}


def test_a_stretch_is_counted_at_once_and_once() -> None:
    lane = Lane()
    lane.take(1, 500, age=3)
    lane.ages.count([(1, 200), (401, 500)])
    lane.ages.count([(201, 400)])
    assert lane.counts == {"5.0": 500}
    assert lane.report.age_seconds == pytest.approx(1500)
    assert lane.report.timely == 500


def test_each_event_has_the_age_of_its_own_page() -> None:
    lane = Lane()
    lane.take(1, 10, age=4000)
    lane.take(11, 20, age=60)
    lane.take(21, 30, age=0.5)
    lane.ages.count([(9, 23)])
    assert lane.counts == {"14400.0": 2, "60.0": 10, "1.0": 3}
    assert lane.report.timely == 13


def test_a_bound_belongs_to_its_bucket_and_what_is_older_than_all_is_counted() -> None:
    lane = Lane()
    lane.take(1, 1, age=60)
    lane.take(2, 2, age=86_400 * 30)
    lane.ages.count([(1, 2)])
    assert lane.counts == {"60.0": 1, "more": 1}


@pytest.mark.parametrize(
    ("reader", "counted"),
    [
        *[(reader, 5) for reader in ("tail", "tail/site-1", "webhook", "reread", "")],
        *[(reader, 0) for reader in ("backfill", "backfill:march", "heal", "reconcile", "import", "replay")],
    ],
)
def test_what_is_late_by_what_it_is_is_not_counted(reader: str, counted: int) -> None:
    lane = Lane()
    lane.take(1, 5, age=1, reader=reader)
    lane.ages.count([(1, 5)])
    assert sum(lane.report.age_buckets) == counted


def test_heartbeats_are_no_events_of_an_audit_log() -> None:
    lane = Lane()
    lane.take(1, 5, age=1, reader="heartbeat", origin=HEARTBEATS)
    lane.ages.count([(1, 5)])
    assert lane.counts == {}


def test_what_is_settled_is_forgotten_and_a_letter_of_before_is_not_counted() -> None:
    lane = Lane()
    assert lane.ages.forget(0) == 0.0
    lane.take(11, 20, age=9)
    lane.take(21, 30, age=6)
    assert lane.ages.forget(15) == pytest.approx(lane.clock.time() - 9)
    assert lane.ages.forget(20) == pytest.approx(lane.clock.time() - 6)
    lane.ages.count([(3, 3), (12, 12)])
    assert lane.counts == {}
    lane.ages.count([(21, 30)])
    assert lane.counts == {"15.0": 10}
    assert lane.ages.forget(30) == 0.0


def test_a_clock_that_went_back_makes_nothing_negative() -> None:
    lane = Lane()
    lane.take(1, 5, age=-3600)
    lane.ages.count([(1, 5)])
    assert (lane.counts, lane.report.age_seconds) == ({"1.0": 5}, 0.0)


@pytest.mark.parametrize(
    ("every", "gathers_for", "seconds"),
    [([30.0], 0.0, 60.0), ([30.0, 300.0], 0.0, 600.0), ([0.05], 0.0, 60.0), ([], 0.0, 60.0), ([30.0], 300.0, 360.0)],
)
def test_the_objective_is_two_polls_of_the_slowest_source_and_what_the_sink_gathers(
    every: list[float], gathers_for: float, seconds: float
) -> None:
    assert objective_of(every, gathers_for) == seconds
