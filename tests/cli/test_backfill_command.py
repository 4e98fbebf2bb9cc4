"""`backfill`: a stretch of history is read by a cursor of its own, for all or for one sink, with the daemon or before it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from forwarder.admin.backfills import BackfillShown
from forwarder.cli.app import app
from forwarder.cli.commands import backfill as command
from forwarder.polling.backfill import Order
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.printed import printed_json
from tests.daemon.engine import Engine, digests_of, engine, file_sink, lines_of, source, truth

NONE_BEFORE = {"since": "0s"}


async def backfill(*words: str) -> Any:
    """Run a command in a thread, for it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["backfill", *words])


async def listed(config: str) -> list[dict[str, Any]]:
    done = await backfill("list", "-c", config, "--json")
    found: list[dict[str, Any]] = printed_json(done.stdout)["backfills"]
    return found


async def reads(e: Engine, requests: int = 1) -> None:
    """Wait until the source acme was asked so often."""
    await e.until(lambda: any(report.requests >= requests for report in e.daemon._source_reports.values()))


async def test_history_is_read_for_all_sinks_and_once_more_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOOK_EVERY", 0.05)
    out, new = tmp_path / "out.ndjson", tmp_path / "new.ndjson"
    config = str(tmp_path / "config.yaml")
    sinks = {"out": file_sink(out), "new": file_sink(new)}
    async with (
        Simulator(SimulatorConfig(events=120, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim, limit=20, **NONE_BEFORE)}, sinks) as e,
    ):
        await reads(e)
        done = await backfill("start", "-c", config, "--source", "acme", "--from", "3d")
        assert done.exit_code == 0, done.output
        assert "backfill 1 is done" in done.stdout
        await e.until(lambda: set(digests_of(out)) == set(digests_of(new)) == truth(sim))
        assert set(digests_of(out).values()) == {1}
        ahead = datetime.fromtimestamp(time.time() + 1800, UTC).isoformat()  # as a log tells whose clock is
        words = ("--source", "acme", "--sink", "new", "--from", "3d", "--to", ahead)
        done = await backfill("start", "-c", config, *words)
        assert (done.exit_code, "for new" in done.stdout) == (0, True)
        await e.until(lambda: set(digests_of(new).values()) == {2})
        assert set(digests_of(out).values()) == {1}
        first, second = await listed(config)
        assert (first["state"], first["sink"], second["sink"]) == ("done", None, "new")
        assert first["share"] == 1.0
        assert first["events"] >= len(lines_of(out))
        refused = await backfill("cancel", "1", "-c", config)
        assert (refused.exit_code, "is over already" in refused.stderr) == (2, True)


async def test_one_that_is_asked_for_while_no_daemon_runs_is_paused_resumed_and_read_when_it_starts(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=120, history="2d")) as sim:
        parts = {"acme": source(sim, limit=20, **NONE_BEFORE)}, {"out": file_sink(out)}
        async with engine(tmp_path, *parts) as e:
            await reads(e)
        started = await backfill("start", "-c", config, "--source", "acme", "--from", "3d")
        assert (started.exit_code, "when that starts" in started.stdout) == (0, True)
        assert (await backfill("pause", "1", "-c", config)).exit_code == 0
        refused = await backfill("pause", "1", "-c", config)
        assert (refused.exit_code, "is paused" in refused.stderr) == (2, True)
        async with engine(tmp_path, *parts) as e:
            await reads(e, 5)
            assert [each["state"] for each in await listed(config)] == ["paused"]
            assert set(e.daemon._source_reports["acme"].cursors) <= {"tail", "trail"}
            assert (await backfill("resume", "1", "-c", config)).exit_code == 0
            await e.until(lambda: set(digests_of(out)) == truth(sim))
            assert set(digests_of(out).values()) == {1}
        assert [each["state"] for each in await listed(config)] == ["done"]


async def test_what_cannot_be_read_is_refused_and_why(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    log = tmp_path / "log" / "auditlog"
    log.mkdir(parents=True)
    files = {"type": "jira_datacenter", "site": "jira.example.com", "nodes": {"one": str(log)}}
    async with Simulator(SimulatorConfig(events=1, history="1h")) as sim:
        sources = {"acme": source(sim, **NONE_BEFORE), "files": files}
        async with engine(tmp_path, sources, {"out": file_sink(out)}) as e:
            await reads(e)
            for words, said in (
                (("--source", "nobody", "--from", "2d"), "the sources are"),
                (("--source", "acme", "--from", "400d"), "180 days"),
                (("--source", "acme", "--from", "1815-12-10"), "before 1970"),
                (("--source", "acme", "--from", "99999999999999999d"), ""),
                (("--source", "acme", "--from", "nan"), "not a time"),
                (("--source", "", "--from", "2d"), "the sources are"),
                (("--source", "acme", "--from", "1d", "--to", "2d"), "not before --to"),
                (("--source", "acme", "--from", "1d", "--to", "2999-01-01"), "in the future"),
                (("--source", "acme", "--from", "yesterday"), "not a time"),
                (("--source", "acme", "--from", "2d", "--sink", "nobody"), "not configured"),
                (("--source", "files", "--from", "2d"), "reads files"),
            ):
                refused = await backfill("start", "-c", config, *words)
                assert (refused.exit_code, said in refused.stderr) == (2, True), (words, refused.output)
            assert await listed(config) == []
            done = await backfill("start", "-c", config, "--source", "acme", "--from", "180d", "--no-wait")
            assert done.exit_code == 0, "all that is kept"
            assert (await backfill("resume", "7", "-c", config)).exit_code == 2


@pytest.mark.parametrize("is_terminal", [True, False])
async def test_how_far_it_comes_is_shown_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    monkeypatch.setattr(command, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(command, "LINE_EVERY", 0.0)
    monkeypatch.setattr(command.sys.stdout, "isatty", lambda: is_terminal)
    order = Order(0, 1000, asked_ms=1)
    looks = [
        BackfillShown(3, "acme", order, 0),
        BackfillShown(3, "acme", msgspec.structs.replace(order, read=500, paused="by jane"), 500, begun=True),
        BackfillShown(3, "acme", msgspec.structs.replace(order, read=900, ended_ms=2), 1000),
    ]

    class Found:
        running = True

        async def ask(self, *_: Any) -> Any:
            return [looks.pop(0)]

    shown = await command._follow(Found(), 3)
    assert (shown.order.read, looks) == (900, [])
    if not is_terminal:
        first, second = capsys.readouterr().out.splitlines()
        assert first.startswith("backfill 3: 0 %, 0 events, 0/s, just begun")
        assert second.startswith("backfill 3: 50 %, 500 events, ")
        assert second.endswith("left; paused by jane")
