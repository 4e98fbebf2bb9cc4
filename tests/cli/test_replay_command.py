"""`replay`: events that a sink had are sent to it once more, chosen and made private as it is configured now."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from forwarder.admin.control import socket_path
from forwarder.cli.app import app
from forwarder.cli.commands import replay as command
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.printed import printed_json
from tests.daemon.engine import engine, file_sink, lines_of, source


async def replay(*words: str) -> Any:
    """Run a command in a thread, for it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["replay", *words])


async def listed(config: str) -> list[dict[str, Any]]:
    done = await replay("list", "-c", config, "--json")
    found: list[dict[str, Any]] = printed_json(done.stdout)["replays"]
    return found


def actions_of(path: Path) -> Counter[str]:
    return Counter(json.loads(line)["attributes"]["action"] for line in lines_of(path))


async def test_a_replay_sends_what_was_chosen_once_more_and_shows_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(command, "LINE_EVERY", 0.0)
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with (
        Simulator(SimulatorConfig(events=200, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out, batch={"events": 20, "wait": 0.02})}) as e,
    ):
        await e.until(lambda: len(lines_of(out)) >= 200)
        before = actions_of(out)
        action, count = before.most_common(1)[0]
        await e.until_settled()
        done = await replay("--sink", "out", "--from", "30d", "-c", config)
        assert done.exit_code == 0, done.stdout
        assert "replay 1 has ended: 200 sent, 0 not chosen" in done.stdout
        assert actions_of(out) == Counter({name: 2 * times for name, times in before.items()})
        done = await replay("--sink", "out", "--from", "30d", "--where", f"action={action} source=acme", "-c", config)
        assert f"replay 2 has ended: {count} sent, {200 - count} not chosen" in done.stdout
        assert actions_of(out)[action] == 3 * count
        assert len(lines_of(out)) == 400 + count
        report = await e.daemon.report()
        assert [(line.accepted, line.balance) for line in report.books] == [(200, 0)]
        first, second = await listed(config)
        assert (first["accepted"], first["open"], first["where"], first["balance"]) == (200, False, [], 0)
        assert second["where"] == [{"action": [action], "source": ["acme"]}]
        table = (await replay("list", "-c", config)).stdout
        assert f"action={action} source=acme" in table
        assert "done" in table
        refused = await replay("cancel", "1", "-c", config)
        assert (refused.exit_code, "has ended already" in refused.stderr) == (2, True)
        assert (await replay("cancel", "9", "-c", config)).exit_code == 2


async def test_a_replay_that_is_asked_for_while_no_daemon_runs_begins_with_it_under_the_privacy_of_then(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=40, history="2d")) as sim:
        sources = {"acme": source(sim)}
        async with engine(tmp_path, sources, {"out": file_sink(out, format="ecs")}) as e:
            await e.until(lambda: len(lines_of(out)) >= 40)
        done = await replay("--sink", "out", "--from", "30d", "-c", config)
        assert (done.exit_code, "begins when that starts" in done.stdout) == (0, True)
        assert [each["open"] for each in await listed(config)] == [True]
        plain = [json.loads(line) for line in lines_of(out)]
        named = {event["user"]["name"] for event in plain if event.get("user", {}).get("name")}
        assert named
        async with engine(
            tmp_path, sources, {"out": file_sink(out, format="ecs", privacy={"names": "drop", "addresses": "drop"})}
        ) as e:
            await e.until(lambda: len(lines_of(out)) >= 80)
        again = [json.loads(line) for line in lines_of(out)[40:]]
        assert sorted(event["event"]["id"] for event in again if "id" in event["event"]) == sorted(
            event["event"]["id"] for event in plain if "id" in event["event"]
        )
        assert not {event["user"]["name"] for event in again if event.get("user", {}).get("name")} & named


async def test_a_replay_does_not_begin_while_its_sink_is_paused_and_can_be_cancelled(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with (
        Simulator(SimulatorConfig(events=40, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e,
    ):
        await e.until(lambda: len(lines_of(out)) >= 40)
        await e.until_settled()
        paused = await asyncio.to_thread(CliRunner().invoke, app, ["lanes", "pause", "out", "-c", config])
        assert paused.exit_code == 0
        done = await replay("--sink", "out", "--from", "30d", "--no-wait", "-c", config)
        assert (done.exit_code, "replay list" in done.stdout) == (0, True)
        cancelled = await replay("cancel", "1", "-c", config)
        assert (cancelled.exit_code, "was ended by" in cancelled.stdout) == (0, True)
        assert len(lines_of(out)) == 40
        done = await replay("--sink", "out", "--from", "30d", "--no-wait", "-c", config)
        await asyncio.to_thread(CliRunner().invoke, app, ["lanes", "resume", "out", "-c", config])
        await e.until(lambda: len(lines_of(out)) >= 80)


async def test_a_replay_whose_sink_is_not_configured_any_more_can_be_cancelled(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=40, history="2d")) as sim:
        sources = {"acme": source(sim)}
        async with engine(tmp_path, sources, {"out": file_sink(out), "old": file_sink(tmp_path / "old")}) as e:
            await e.until(lambda: len(lines_of(tmp_path / "old")) >= 40)
        assert (await replay("--sink", "old", "--from", "30d", "-c", config)).exit_code == 0
        async with engine(tmp_path, sources, {"out": file_sink(out)}) as e:
            await e.until(socket_path(tmp_path / "spool.db").exists)  # before that, a command would take the spool
            assert [each["open"] for each in await listed(config)] == [True]
            assert (await replay("cancel", "1", "-c", config)).exit_code == 0
            assert [(each["open"], each["detached"]) for each in await listed(config)] == [(False, 40)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--from", "1d"), "--sink: missing"),
        (("--sink", "uot", "--from", "1d"), "did you mean out?"),
        (("--sink", "out"), "--from: missing"),
        (("--sink", "out", "--from", "soon"), "--from: not a time"),
        (("--sink", "out", "--from", "1d", "--to", "2d"), "not before --to"),
        (("--sink", "out", "--from", "1d", "--where", "acton=x"), "did you mean action?"),
        (("--sink", "out", "--from", "1d", "--where", "action"), "no glob"),
        (("--sink", "out", "--from", "1d", "--where", "'"), "not a filter"),
        (("--sink", "out", "--from", "1d", "--where", ""), "not a filter"),
        (("--sink", "out", "--from", "1d", "--where", "source=acem"), "did you mean acme?"),
        (("--sink", "out", "--from", "1d", "--where", "product=jiraa"), "did you mean jira?"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_names_it(tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        json.dumps(
            {
                "spool": {"path": str(tmp_path / "spool.db")},
                "sources": {"acme": {"type": "organization", "org_id": "a-1", "api_key": "k" * 20}},
                "sinks": {"out": {"type": "file", "path": str(tmp_path / "out")}},
            }
        )
    )
    refused = CliRunner().invoke(app, ["replay", *words, "-c", str(path)])
    assert (refused.exit_code, text in refused.stderr) == (2, True), refused.stderr


def test_without_anything_it_shows_its_help() -> None:
    assert "Send events to a sink once more" in CliRunner().invoke(app, ["replay"]).output
