"""`try`: what each sink would get of an event; the words of a lane, and nothing is sent or written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from forwarder.cli.app import app
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.letters import HOSTILE, hostile_event, on_terminal
from tests.daemon.engine import engine, file_sink, lines_of, source

EVENT = (
    b'{"id":"e1","type":"events","attributes":{"time":"2026-01-31T12:00:00Z","action":"user_granted_role",'
    b'"actor":{"id":"712020:a","name":"Ann Lee","email":"ann@example.com"},"context":[],"container":[]},'
    b'"message":{"content":"Ann Lee granted a role","format":"simple"}}'
)
ACME = {"type": "organization", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "api_key": "planted-secret-value"}


def folder_of(folder: Path, sinks: dict[str, Any], event: bytes = EVENT, **sources: Any) -> Path:
    tree = {"spool": {"path": str(folder / "spool.db")}, "sources": sources or {"acme": ACME}, "sinks": sinks}
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    (folder / "event.json").write_bytes(event)
    return folder


def tried(folder: Path, *words: str, stdin: bytes | None = None) -> Any:
    words = words if "--event" in words else ("--event", str(folder / "event.json"), *words)
    return CliRunner().invoke(app, ["try", "-c", str(folder / "config.yaml"), *words], input=stdin)


def outcomes(folder: Path, *words: str, stdin: bytes | None = None) -> dict[str, dict[str, Any]]:
    done = tried(folder, "--json", *words, stdin=stdin)
    assert done.exit_code in {0, 4}, done.output
    return {one["sink"]: one for one in json.loads(done.stdout)["sinks"]}


def sink(folder: Path, name: str = "out", **more: Any) -> dict[str, Any]:
    return {"type": "file", "path": str(folder / f"{name}.ndjson"), "format": "raw", **more}


def test_each_sink_shows_what_it_would_get_under_the_id_it_would_have(tmp_path: Path) -> None:
    sinks = {name: sink(tmp_path, name, format=name) for name in ("raw", "ecs", "cef", "ocsf", "leef")}
    found = outcomes(folder_of(tmp_path, sinks))
    assert found["raw"]["body"].encode() == EVENT
    assert json.loads(found["ecs"]["body"])["user"]["id"] == "712020:a"
    assert found["cef"]["body"].startswith("CEF:0|")
    assert len({one["document_id"] for one in found.values()}) == 1
    assert found["ecs"]["document_id"] == json.loads(found["ecs"]["body"])["event"]["id"] or found["ecs"]["document_id"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "event.json"]


async def test_the_body_and_the_id_are_those_that_a_daemon_delivers(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(SimulatorConfig(events=1, history="1d")) as sim:
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out, format="ecs", original=True)}) as e:
            await e.until(lambda: len(lines_of(out)) == 1)
        [line] = [json.loads(line) for line in lines_of(out)]
        (tmp_path / "event.json").write_text(line["event"]["original"])
        [found] = (await asyncio.to_thread(outcomes, tmp_path)).values()  # it has a loop of its own
    body = json.loads(found["body"])
    for changes in (line, body):  # what tells when, and by whom, it was read
        changes["event"] = {
            name: value for name, value in changes["event"].items() if name not in {"created", "ingested"}
        }
        changes.pop("tags", None)
        for name in ("late", "marks"):
            changes["atlassian"]["audit"].pop(name, None)
    assert body == line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"exclude": [{"action": "other"}, {"action": "user_*"}]},
            'rule 2 of exclude matches it: {"action": "user_*"}',
        ),
        ({"include": [{"product": "jira"}]}, 'no rule of include matches it: {"product": "jira"}'),
        ({"include": [{"source": "acme"}], "exclude": [{"source": "acme"}]}, "rule 1 of exclude matches"),
        ({"include": [{"actor": "nobody*"}, {"site": "x"}]}, '{"actor": "nobody*"}; {"site": "x"}'),
        ({"late": {"events": "hold_back", "after": "1h"}}, "late.events is hold_back"),
    ],
)
def test_the_rule_that_filters_it_is_named(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    folder_of(tmp_path, {"out": sink(tmp_path, **settings), "other": sink(tmp_path, "other")})
    done = tried(tmp_path)
    assert done.exit_code == 0
    assert words in done.stdout
    assert "sink other (file, format raw): gets" in done.stdout
    assert outcomes(tmp_path)["out"]["outcome"] == "filtered"


def test_what_privacy_and_redaction_take_out_is_not_shown(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        {"all": sink(tmp_path, "all"), "less": sink(tmp_path, "less", privacy="no_persons")},
        acme={**ACME, "redact": "no_content"},
    )
    found = outcomes(folder)
    assert "ann@example.com" in found["all"]["body"]
    assert "ann@example.com" not in found["less"]["body"]
    assert "granted a role" not in found["all"]["body"]


def test_what_cannot_be_sent_is_a_dead_letter_with_its_reason_and_another_exit_code(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"ecs": sink(tmp_path, "ecs", format="ecs"), "raw": sink(tmp_path, "raw")}, b'["no"]')
    done = tried(folder)
    assert done.exit_code == 4
    assert "it is a dead letter" in done.stdout


def test_hostile_events_are_inert_on_a_terminal_and_whole_in_json(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, {"raw": sink(tmp_path), "cef": sink(tmp_path, "cef", format="cef")}, hostile_event("h")
    )
    for words in ((), ("--json",)):
        _, shown = on_terminal(folder, "try", "--event", "event.json", *words)
        assert all(char.isprintable() or char in "\r\n" for char in shown), repr(shown)
    assert json.loads(outcomes(folder)["raw"]["body"])["text"] == HOSTILE


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (b'{"data":[' + EVENT + b"," + EVENT.replace(b"e1", b"e2") + b'],"links":{}}', True),
        (b"[" + EVENT + b"]", True),
        (EVENT + b"\n" + EVENT.replace(b"e1", b"e2") + b"\n", True),
        (b"\xef\xbb\xbf  " + EVENT + b"\r\n", True),
    ],
)
def test_the_first_event_of_a_page_of_an_array_or_of_lines_is_tried(
    tmp_path: Path, content: bytes, first: bool
) -> None:
    folder = folder_of(tmp_path, {"out": sink(tmp_path)}, content)
    assert (outcomes(folder)["out"]["body"].encode() == EVENT) is first
    assert outcomes(folder, "--event", "-", stdin=content)["out"]["body"].encode() == EVENT


@pytest.mark.parametrize("content", [b"", b" \n", None])
def test_a_file_that_is_missing_or_empty_is_an_error_in_words(tmp_path: Path, content: bytes | None) -> None:
    folder = folder_of(tmp_path, {"out": sink(tmp_path)}, content or b"")
    if content is None:
        (folder / "event.json").unlink()
    done = tried(folder)
    assert done.exit_code == 2
    assert "event.json" in done.stderr


def test_an_event_that_several_sources_could_have_asks_whose_it_is(tmp_path: Path) -> None:
    other = {**ACME, "org_id": "b1b2c3d4-0000-1111-2222-333344445555"}
    folder = folder_of(tmp_path, {"out": sink(tmp_path)}, acme=ACME, other=other)
    done = tried(folder)
    assert done.exit_code == 2
    assert "acme, other" in done.stderr
    assert outcomes(folder, "--source", "other")["out"]["outcome"] == "sent"
    assert tried(folder, "--source", "nobody").exit_code == 2
    assert tried(folder, "--source", "acme", "--sink", "nobody").exit_code == 2


def test_a_record_of_jira_is_known_among_sources_of_other_kinds(tmp_path: Path) -> None:
    record = b'{"id":7,"summary":"User added to group","created":"2026-01-31T12:00:00.000+0000","category":"group management"}'
    jira = {"type": "jira", "site": "acme.atlassian.net", "email": "ann@example.com", "token": "planted-secret-value"}
    folder = folder_of(tmp_path, {"out": sink(tmp_path, format="ecs")}, record, acme=ACME, tracker=jira)
    done = tried(folder, "--json")
    assert (done.exit_code, json.loads(done.stdout)["source"]) == (0, "tracker"), done.output
