"""`lanes`: what people see and do, with the daemon running or not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from forwarder.cli.app import app
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.printed import printed_json
from tests.daemon.engine import Engine, digests_of, engine, file_sink, lines_of, source, truth


async def lanes(*words: str) -> Any:
    """Run a command in a thread, for it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["lanes", *words])


async def shown(config: str) -> dict[str, Any]:
    listed = await lanes("list", "-c", config, "--json")
    return {lane["sink"]: lane for lane in printed_json(listed.stdout)["lanes"]}


def lane_state(e: Engine, name: str = "out") -> str:
    report = e.daemon._lane_reports.get(name)
    return report.state if report is not None else "not built yet"


async def test_a_paused_sink_waits_over_a_restart_is_no_fault_and_gets_everything_when_it_is_resumed(
    tmp_path: Path,
) -> None:
    out, other = tmp_path / "out.ndjson", tmp_path / "other.ndjson"
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=60, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out), "other": file_sink(other)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 60 and len(lines_of(other)) >= 60)
            done = await lanes("pause", "out", "-c", config)
            assert (done.exit_code, "out is paused" in done.stdout) == (0, True)
            assert "paused already, by " in (await lanes("pause", "out", "-c", config)).stdout
            await e.until(lambda: lane_state(e) == "paused")
            sim.add_events(30)
            await e.until(lambda: len(lines_of(other)) >= 90)
            refused = await lanes("retry-now", "out", "-c", config)
            assert (refused.exit_code, "lanes resume out" in refused.stderr) == (2, True)
        assert len(lines_of(out)) == 60
        assert "paused" in (await lanes("list", "-c", config)).stdout
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: lane_state(e) == "paused")

            async def waits() -> bool:
                lane = (await shown(config))["out"]
                return bool(lane["waiting"] == 30 and lane["state"] == "paused" and lane["paused"].startswith("by "))

            await e.until(waits)
            report = await e.daemon.report()
            assert report.degraded == []
            assert len(lines_of(out)) == 60
            resumed = await lanes("resume", "out", "-c", config)
            assert (resumed.exit_code, "out goes on; it was paused by " in resumed.stdout) == (0, True)
            await e.until(lambda: len(lines_of(out)) >= 90)
            assert (set(digests_of(out)), set(digests_of(out).values())) == (truth(sim), {1})
            assert "was not paused" in (await lanes("resume", "out", "-c", config)).stdout
            assert "is tried now" in (await lanes("retry-now", "out", "-c", config)).stdout


async def test_a_sink_is_paused_and_resumed_while_no_daemon_runs(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=40, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 40)
        assert (await lanes("pause", "out", "-c", config)).exit_code == 0
        sim.add_events(10)
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: lane_state(e) == "paused")
        assert "when the daemon starts" in (await lanes("resume", "out", "-c", config)).stdout
        assert "when the daemon starts" in (await lanes("retry-now", "out", "-c", config)).stdout
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 50)


@pytest.mark.parametrize("running", [True, False])
async def test_a_sink_is_detached_from_what_waits_after_it_was_said_how_much(tmp_path: Path, running: bool) -> None:
    config = str(tmp_path / "config.yaml")
    nowhere = tmp_path / "not there" / "out.ndjson"
    async with Simulator(SimulatorConfig(events=40, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(nowhere)}
        nowhere.parent.write_text("a file where its folder should be")

        async def act(e: Engine | None) -> None:
            asked = await lanes("detach", "out", "-c", config)
            assert (asked.exit_code, "40 events wait" in asked.stdout, "--yes" in asked.stdout) == (4, True, True)
            done = await lanes("detach", "out", "-c", config, "--yes")
            assert (done.exit_code, "40 events detached" in done.stdout) == (0, True)
            assert "nothing waits for out" in (await lanes("detach", "out", "-c", config, "--yes")).stdout

        async with engine(tmp_path, *parts) as e:

            async def waits() -> bool:
                report = await e.daemon.report()
                return bool(report.lanes) and report.lanes[0].lag == 40 and not report.lanes[0].well

            await e.until(waits)
            if running:
                await act(e)
        if not running:
            await act(None)
        nowhere.parent.unlink()
        nowhere.parent.mkdir()
        sim.add_events(10)
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(nowhere)) >= 10)
            report = await e.daemon.report()
            assert report.spool is not None
            assert [(gap.cause, gap.lane, gap.events) for gap in report.spool.gaps] == [("detached", "out", 40)]
            assert {line.balance for line in report.books} == {0}
            assert sum(line.detached for line in report.books) == 40
        assert len(lines_of(nowhere)) == 10


async def test_a_sink_that_is_not_configured_any_more_is_forgotten_with_what_waits(tmp_path: Path) -> None:
    out, old = tmp_path / "out.ndjson", tmp_path / "old.ndjson"
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=40, history="2d")) as sim:
        sources = {"acme": source(sim)}
        async with engine(tmp_path, sources, {"out": file_sink(out), "old": file_sink(old)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 40 and len(lines_of(old)) >= 40)
            refused = await lanes("forget", "old", "-c", config, "--yes")
            assert (refused.exit_code, "configured" in refused.stderr) == (2, True)
        sim.add_events(10)
        async with engine(tmp_path, sources, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 50)
            lane = (await shown(config))["old"]
            assert (lane["waiting"], lane["configured"], lane["forgotten"] is None) == (10, False, False)
            assert "not configured" in (await lanes("list", "-c", config)).stdout
            for words in (("pause", "old"), ("retry-now", "old")):
                assert (await lanes(*words, "-c", config)).exit_code == 2
            asked = await lanes("forget", "old", "-c", config)
            assert (asked.exit_code, "10 events wait" in asked.stdout) == (4, True)
            done = await lanes("forget", "old", "-c", config, "--yes")
            assert (done.exit_code, "10 events waited" in done.stdout) == (0, True)
            assert list(await shown(config)) == ["out"]
            report = await e.daemon.report()
            assert report.spool is not None
            assert [(gap.cause, gap.lane, gap.events) for gap in report.spool.gaps] == [("lane_forgotten", "old", 10)]


@pytest.mark.parametrize("verb", ["pause", "resume", "retry-now", "detach", "forget"])
def test_a_sink_that_nobody_knows_is_an_error_that_says_where_to_look(tmp_path: Path, verb: str) -> None:
    path = tmp_path / "config.yaml"
    acme = {"type": "organization", "org_id": "a-1", "api_key": "k" * 20}
    tree = {
        "spool": {"path": str(tmp_path / "spool.db")},
        "sources": {"acme": acme},
        "sinks": {"out": {"type": "file", "path": str(tmp_path / "out")}},
    }
    path.write_text(yaml.safe_dump(tree))
    refused = CliRunner().invoke(app, ["lanes", verb, "nobody", "-c", str(path)])
    assert refused.exit_code == 3, "there is no spool yet"
