"""`cursors`: what it shows, and that a dropped cursor leads to a re-read, with the daemon running or not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.contracts import Page
from forwarder.polling.plan import BACKFILL, TAIL
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.printed import printed_json
from tests.daemon.engine import digests_of, engine, file_sink, lines_of, source, truth
from tests.polling.pollers import ScriptedSource, page, poller_of, quiet, running, spool_in, spooled, until


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
        shown = printed_json(listed.stdout)["cursors"]
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
        retried = await command("retry-now", "-c", config, "--source", "acme")
        assert (retried.exit_code, "acme is tried now" in retried.stdout) == (0, True)
        assert [(act.verb, act.about) for act in (await e.daemon.report()).acts][-1] == ("tried now", "acme")
        refused = await command("retry-now", "-c", config, "--source", "nobody")
        assert (refused.exit_code, "not configured" in refused.stderr) == (2, True)
        for words, message in (
            (("--source", "nobody"), "not configured"),
            (("--source", "acme", "--cursor", "backfill"), "it has: "),
        ):
            refused = await command("drop", "-c", config, *words)
            assert refused.exit_code == 2
            assert message in refused.stderr


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
    source = ScriptedSource(quiet)
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool)
        assert not await poller.drop("tail", "by a test")
        async with running(poller) as task:
            await until(lambda: source.asked, task)
            assert await poller.drop("tail", "by a test")
            assert await poller.drop("tail", "by a test")
            await until(lambda: poller.report.errors["cursor_lost"] >= 1, task)
            assert await poller.drop("backfill", "by a test")
            poller.stop()
            assert not await poller.drop("tail", "by a test")
        assert not await poller.drop("tail", "by a test")


@pytest.mark.parametrize("name", [TAIL, BACKFILL])
async def test_a_cursor_that_was_dropped_is_lost_also_when_the_daemon_is_killed_before_its_next_turn(
    tmp_path: Path, name: str
) -> None:
    hangs = asyncio.Event()

    class Hanging(ScriptedSource):
        async def fetch(self, state: dict[str, Any]) -> Page:
            hangs.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with spool_in(tmp_path) as spool:
        poller = poller_of(Hanging(quiet), spool, since=86400, every=0.05)
        task = asyncio.create_task(poller.run())
        await hangs.wait()
        assert await poller.drop(name, "dropped by a test")
        task.cancel()
        await asyncio.wait([task])
        assert poller.report.errors["cursor_lost"] == 0
    async with spool_in(tmp_path) as spool:
        poller = poller_of(ScriptedSource(quiet), spool, since=86400, every=0.05)
        async with running(poller) as task:
            await until(lambda: poller.report.errors["cursor_lost"] == 1, task)
        again = poller_of(ScriptedSource(quiet), spool, since=86400, every=0.05)  # once is enough
        async with running(again) as task:
            await until(lambda: again.report.requests > 0, task)
            assert again.report.errors["cursor_lost"] == 0


async def test_a_page_that_comes_while_a_cursor_is_dropped_is_kept_and_the_cursor_lost(tmp_path: Path) -> None:
    asked, goes_on = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedSource):
        async def fetch(self, state: dict[str, Any]) -> Page:
            asked.set()
            await goes_on.wait()
            return page(state, "e1") if not state.get("n") else page(state)

    async with spool_in(tmp_path) as spool:
        poller = poller_of(Slow(quiet), spool, every=0.05)
        async with running(poller) as task:
            await asked.wait()
            assert await poller.drop(TAIL, "dropped by a test")
            goes_on.set()
            await until(lambda: poller.report.errors["cursor_lost"] == 1 and poller.report.spooled == 1, task)
        assert await spooled(spool) == ["e1"]
        rows = (await spool.status()).sources[0].cursors.values()
        assert not any("dropped" in row.state for row in rows)


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
