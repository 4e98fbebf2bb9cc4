"""`cursors`: what it shows, and that a dropped cursor leads to a re-read, with the daemon running or not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from forwarder.cli import app
from forwarder.simulator.config import SimulatorConfig
from forwarder.simulator.simulator import Simulator
from tests.engine import digests_of, engine, file_sink, lines_of, source, truth
from tests.polling import ScriptedSource, poller_of, quiet, running, spool_in, until


async def command(*words: str) -> Any:
    """Run a command in a thread, for it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["cursors", *words])


async def test_a_cursor_is_shown_and_dropped_while_the_daemon_runs(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with (
        Simulator(SimulatorConfig(events=60, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim, limit=40)}, {"out": file_sink(out)}) as e,
    ):
        await e.until(lambda: len(lines_of(out)) >= 60)
        listed = await command("list", "-c", config, "--json")
        shown = json.loads(listed.stdout)["cursors"]
        assert {"acme"} == {cursor["source"] for cursor in shown}
        assert "tail" in {cursor["cursor"] for cursor in shown}
        done = await command("drop", "-c", config, "--source", "acme")
        assert (done.exit_code, "is dropped" in done.stdout) == (0, True)
        await e.until(lambda: e.daemon._source_reports["acme"].errors["cursor_lost"] == 1)
        sim.add_events(30)
        await e.until(lambda: len(lines_of(out)) >= len(truth(sim)))
        assert set(digests_of(out).values()) == {1}
        gaps = (await e.daemon.report()).spool.gaps  # type: ignore[union-attr]
        assert [(gap.cause, "dropped by" in gap.detail) for gap in gaps] == [("cursor_lost", True)]
        for words, said in (
            (("--source", "nobody"), "not configured"),
            (("--source", "acme", "--cursor", "backfill"), "it has: "),
        ):
            refused = await command("drop", "-c", config, *words)
            assert refused.exit_code == 2
            assert said in refused.stderr


async def test_a_cursor_dropped_while_no_daemon_runs_is_seen_to_at_the_start(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=60, history="2d")) as sim:
        parts = {"acme": source(sim, limit=40)}, {"out": file_sink(out)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 60)
        done = await command("drop", "-c", config, "--source", "acme")
        assert (done.exit_code, "when it starts" in done.stdout) == (0, True)
        assert "dropped by" in (await command("list", "-c", config)).stdout
        sim.add_events(30)
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= len(truth(sim)))
            assert e.daemon._source_reports["acme"].errors["cursor_lost"] == 1
            assert set(digests_of(out).values()) == {1}
        async with engine(tmp_path, *parts) as e:  # once is enough
            await e.until(lambda: any(r.requests > 0 for r in e.daemon._source_reports.values()))
            assert e.daemon._source_reports["acme"].errors["cursor_lost"] == 0


async def test_a_source_that_is_not_read_just_now_drops_nothing_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    drop = ("drop", "-c", str(tmp_path / "config.yaml"), "--source", "acme")
    async with (
        Simulator(SimulatorConfig(events=60, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim, limit=40)}, {"out": file_sink(out)}) as e,
    ):
        await e.until(lambda: len(lines_of(out)) >= 60)
        poller = e.daemon._pollers.pop("acme")
        refused = await command(*drop)
        assert (refused.exit_code, "does not read the source acme just now" in refused.stderr) == (2, True)
        e.daemon._pollers["acme"] = poller
        assert (await command(*drop)).exit_code == 0


async def test_a_poller_that_does_not_run_takes_no_cursor_for_dropped(tmp_path: Path) -> None:
    source = ScriptedSource(lambda state, _: quiet(state))
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool)
        assert not poller.drop("tail", "by a test")
        async with running(poller) as task:
            await until(lambda: source.asked, task)
            assert poller.drop("tail", "by a test")
            assert poller.drop("tail", "by a test")
            await until(lambda: poller.report.errors["cursor_lost"] == 1, task)
            assert poller.drop("backfill", "by a test")
            poller.stop()
            assert not poller.drop("tail", "by a test")
        assert not poller.drop("tail", "by a test")


@pytest.mark.parametrize("words", [["list"], ["drop", "--source", "acme"]])
def test_without_a_spool_it_says_so(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "config.yaml"
    acme = {"type": "organization", "org_id": "a-1", "api_key": "k" * 20}
    tree = {
        "spool": {"path": str(tmp_path / "spool.db")},
        "sources": {"acme": acme},
        "sinks": {"out": {"type": "file", "path": str(tmp_path / "out")}},
    }
    path.write_text(yaml.safe_dump(tree))
    refused = CliRunner().invoke(app, ["cursors", *words, "-c", str(path)])
    assert refused.exit_code == 3
