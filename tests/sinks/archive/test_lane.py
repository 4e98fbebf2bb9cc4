"""The archive behind the real lane and the real spool."""

from __future__ import annotations

from pathlib import Path

from forwarder.contracts import Held, SystemClock
from forwarder.testing.lanes import bench, event
from tests.sinks.archive.archives import MovedClock, archive_sink, numbers, objects

EVENTS = 25


async def test_a_lane_that_stops_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = archive_sink(tmp_path, MovedClock(), every="1h", confirm_within="1d")  # by itself it stores nothing
        lane = b.start("archive", sink, confirm_within=3600)
        await b.fill(*(event(f"e{n}") for n in range(EVENTS)))
        await b.until(lambda: lane.report.pending > 0 and lane.report.in_flight == 0 and lane.report.batches == 3)
        assert objects(tmp_path) == []
        await b.stop("archive")
        assert lane.report.accepted == EVENTS
        assert await b.doubts("archive") == []
        await sink.close()
        again = b.start("archive", archive_sink(tmp_path), confirm_within=3600)
        await b.drained("archive")
        assert again.report.batches == 0
        await b.stop("archive")
    assert numbers(tmp_path) == dict.fromkeys(range(1, EVENTS + 1), 1)


async def test_an_event_that_nobody_confirmed_in_time_comes_again_and_stays_one(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = archive_sink(tmp_path, MovedClock(), every="1h", confirm_within="1d")
        lane = b.start("archive", sink, confirm_within=0.1)
        await b.fill(*(event(f"e{n}") for n in range(EVENTS)))
        await b.until(lambda: lane.report.resent >= EVENTS)
        await sink.finish()
        await b.drained("archive")
        assert lane.report.dead_letters == 0
        await b.stop("archive")
        await sink.close()
    assert numbers(tmp_path) == dict.fromkeys(range(1, EVENTS + 1), 1)


async def test_an_archive_that_is_away_for_long_makes_no_dead_letter(tmp_path: Path) -> None:
    """Longer than receipts are waited for, several times, and longer than an event that fails alone is tried."""
    async with bench(tmp_path) as b:
        sink = archive_sink(tmp_path, SystemClock(), every="10ms", confirm_within="1d")
        create = sink._store.create

        async def full(name: str, data: bytes) -> None:
            raise Held("The disk is full.", fix="Make room.", kind="disk_full")

        sink._store.create = full  # type: ignore[method-assign]
        lane = b.start("archive", sink, confirm_within=0.05, patience=0.05)
        await b.fill(*(event(f"e{n}") for n in range(EVENTS)))
        await b.until(lambda: lane.report.state == "held" and lane.report.tries >= 10)
        assert lane.report.fix == "Make room."
        sink._store.create = create  # type: ignore[method-assign]
        await b.fill(event("later"))
        await b.drained("archive")
        assert lane.report.dead_letters == 0
        await b.stop("archive")
        await sink.close()
    assert numbers(tmp_path) == dict.fromkeys(range(1, EVENTS + 2), 1)


async def test_an_archive_that_goes_away_with_open_receipts_makes_no_dead_letter(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = archive_sink(tmp_path, SystemClock(), every="50ms", confirm_within="1d")
        lane = b.start("archive", sink, confirm_within=0.2, patience=0.05)
        create, tried = sink._store.create, 0

        async def full(name: str, data: bytes) -> None:
            nonlocal tried
            tried += 1
            raise Held("The disk is full.", fix="Make room.", kind="disk_full")

        await b.fill(*(event(f"e{n}") for n in range(EVENTS)))
        await b.until(lambda: lane.report.pending > 0)
        sink._store.create = full  # type: ignore[method-assign]
        await b.until(lambda: lane.report.state == "held" and tried >= 5)
        sink._store.create = create  # type: ignore[method-assign]
        await b.drained("archive")
        assert lane.report.dead_letters == 0
        await b.stop("archive")
        await sink.close()
    assert numbers(tmp_path) == dict.fromkeys(range(1, EVENTS + 1), 1)
