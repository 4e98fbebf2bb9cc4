"""What only time shows: the worst of each hour, over restarts, and whether the file is what runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.config.settings import load
from forwarder.daemon.completeness import days_of
from forwarder.daemon.record_watch import FileWatch, WorstHours
from forwarder.net.hide import STARS
from forwarder.observe.record import Day
from forwarder.reconcile.verdict import Line, Verdict
from forwarder.spool.hours import KEPT, PartHour
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import engine, file_sink, lines_of, source

HOUR = 497_222
KEY = "ATCTT3x-not-a-key-of-anybody-000000000000000000000000"


def hour(state: str, lag: float = 0.0, at: int = HOUR) -> PartHour:
    return PartHour("sink", "splunk", at, state, lag)


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        (["idle", "working"], "working"),
        (["held", "retrying", "working"], "held"),
        (["working", "retrying"], "retrying"),
        (["working", "paused", "idle"], "paused"),
        (["working", "stopped", "starting"], "working"),
        (["starting", "stopped"], None),
    ],
)
def test_the_worst_state_of_an_hour_is_kept_and_beginning_and_ending_say_nothing(
    states: list[str], worst: str | None
) -> None:
    hours = WorstHours([])
    for state in states:
        hours.note(hour(state))
    assert [row.state for row in hours.recent(HOUR)] == ([worst] if worst else [])


def test_the_worst_lag_is_kept_whatever_the_state_and_an_hour_goes_on_after_a_restart() -> None:
    hours = WorstHours([hour("retrying", 40.0)])
    hours.note(hour("working", 3.0))
    hours.note(hour("held", 0.0))
    hours.note(hour("working", 90.0))
    assert hours.recent(HOUR) == [hour("held", 90.0)]


def test_what_is_older_than_two_days_or_of_the_future_is_forgotten() -> None:
    hours = WorstHours([hour("idle", at=HOUR + each) for each in (-KEPT, -KEPT + 1, 0, 1)])
    assert [row.hour for row in hours.recent(HOUR)] == [HOUR - KEPT + 1, HOUR]


async def test_only_what_changed_is_written_and_what_could_not_be_written_is_tried_again() -> None:
    kept: list[list[PartHour]] = []

    class Hours:
        broken = True

        async def keep(self, rows: list[PartHour]) -> None:
            if self.broken:
                raise OSError
            kept.append(rows)

    hours, place = WorstHours([]), Hours()
    hours.note(hour("held"))
    with pytest.raises(OSError):
        await hours.keep(place)
    place.broken = False
    await hours.keep(place)
    await hours.keep(place)
    hours.note(hour("working"))
    await hours.keep(place)
    assert kept == [[hour("held")]]


def line(day: str, source: str, sink: str, judgement: Any, missing: int = 0) -> Line:
    return Line(
        day, source, sink, judgement, expected=10, delivered=7, rejected=1, filtered=1, waiting=1, missing=missing
    )


def test_today_is_shown_by_source_and_the_days_before_by_sink_with_the_worst_of_all_sources() -> None:
    now = datetime(2026, 9, 21, 14, tzinfo=UTC)
    lines = [
        line("2026-09-21", "acme", "out", "waiting"),
        line("2026-09-21", "labs", "out", "complete"),
        line("2026-09-20", "acme", "out", "complete"),
        line("2026-09-20", "labs", "out", "gap", missing=3),
        line("2026-09-20", "labs", "far", "not provable"),
        line("2026-09-08", "acme", "out", "complete"),
        line("2026-09-07", "acme", "out", "gap"),
        line("2026-09-22", "acme", "out", "gap"),
        line("", "acme", "out", "gap"),
    ]
    assert days_of(Verdict(int(now.timestamp() * 1000), lines, [])) == [
        Day("2026-09-21", "acme", "out", "waiting", 10, 7, 1, 1, 1, 0),
        Day("2026-09-21", "labs", "out", "complete", 10, 7, 1, 1, 1, 0),
        Day("2026-09-20", "", "out", "gap", 20, 14, 2, 2, 2, 3),
        Day("2026-09-20", "", "far", "not provable", 10, 7, 1, 1, 1, 0),
        Day("2026-09-08", "", "out", "complete", 10, 7, 1, 1, 1, 0),
    ]


def config(folder: Path, **more: object) -> Path:
    path = folder / "config.yaml"
    tree = {
        "spool": {"path": str(folder / "spool.db")},
        "sources": {"acme": {"type": "organization", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "api_key": KEY}},
        "sinks": {
            "out": {
                "type": "file",
                "path": str(folder / "out.ndjson"),
                "format": "raw",
                "privacy": "no_content",
                "include": [{"action": ["user_*"]}],
            }
        },
        **more,
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def test_the_configuration_in_force_is_shown_with_its_places_and_without_a_secret(tmp_path: Path) -> None:
    path = config(tmp_path)
    settings = load(path, {"FORWARDER__LOG__LEVEL": "debug"})
    found = FileWatch(lambda: settings).look()
    rows = {path: (value, where) for path, value, where in found.settings}
    assert found.file == str(path)
    assert rows["sources.acme.org_id"][0] == "a1b2c3d4-0000-1111-2222-333344445555"
    assert "config.yaml" in rows["sources.acme.org_id"][1]
    assert rows["log.level"][0] == "debug"
    assert "FORWARDER__LOG__LEVEL" in rows["log.level"][1]
    assert rows["sources.acme.api_key"][0] == STARS
    assert set(rows) == {
        "spool.path", "sources.acme.type", "sources.acme.org_id", "sources.acme.api_key", "sinks.out.type", "sinks.out.path",
        "sinks.out.format", "sinks.out.privacy.preset", "sinks.out.include", "log.level",
    }  # fmt: skip
    assert rows["sinks.out.include"][0] == '[{"action": ["user_*"]}]'
    assert KEY not in str(found)
    assert (found.differs, found.problem) == ((), "")


def test_a_file_that_is_not_what_runs_any_more_is_named_setting_by_setting(tmp_path: Path) -> None:
    settings = load(config(tmp_path))
    watch = FileWatch(lambda: settings)
    assert watch.look().differs == ()
    config(tmp_path, log={"level": "debug"}, shutdown={"grace": "7s"})
    assert set(FileWatch(lambda: settings).look().differs) == {"log.level", "shutdown.grace"}, (
        "changed since it was read"
    )
    assert set(watch.look().differs) == {"log.level", "shutdown.grace"}
    config(tmp_path, log={"level": "no such level"})
    assert "log.level" in watch.look().problem
    config(tmp_path).unlink()
    assert watch.look().problem
    config(tmp_path)
    assert (watch.look().differs, watch.look().problem) == ((), "")


async def test_the_daemon_keeps_its_hours_over_a_restart_and_the_status_has_them(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(SimulatorConfig(events=20, history="1h")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 20)

            async def noted() -> bool:
                return {row.name for row in (await e.daemon.report()).hours} >= {"acme", "out"}

            await e.until(noted)
            await e.until(lambda: e.daemon._reporter.configuration)
            report = await e.daemon.report()
            assert report.configuration is not None
            assert report.configuration.differs == ()
        async with engine(tmp_path, *parts) as e:

            async def there() -> bool:
                return bool((await e.daemon.report()).hours)

            await e.until(there)
