"""The searches that alarm on silence name fields that our encoders write, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from forwarder.config.settings import HeartbeatConfig
from forwarder.contracts import Record
from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.raw import RawFormat
from forwarder.records.heartbeats import Heartbeat, HeartbeatNormalizer, page_of
from sinks.splunk_hec.envelope import Wrapper
from sinks.splunk_hec.settings import SplunkHecConfig

PAGE = (Path(__file__).parents[2] / "docs" / "heartbeat.md").read_text(encoding="utf-8")
COUNTS = {"spooled": 3, "accepted": 2, "rejected": 0, "filtered": 1, "detached": 0}
BEAT = Heartbeat("id-1", "2026-01-31T10:05:00.000Z", "acme", "siem", "idle", 300.0, None, COUNTS)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def record() -> Record:
    page = page_of([BEAT])
    made = Record(1, HEARTBEATS, page.keys[0].hex(), page.bodies[0], read_ms=1_790_000_000_000)
    [event] = HeartbeatNormalizer().normalize([made])
    assert not isinstance(event, Exception)
    made.event = event
    return made


def at(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree[name]
    return tree


def test_the_setting_is_as_it_is_written() -> None:
    [block] = blocks("yaml")
    assert HeartbeatConfig(**yaml.safe_load(block)["heartbeat"]).every == 300.0


def test_splunk_finds_them() -> None:
    made = record()
    [body] = RawFormat().render([made])
    assert isinstance(body, bytes)
    made.body = body
    envelope = json.loads(
        Wrapper(SplunkHecConfig(url="https://127.0.0.1:1", token="t"), "raw", is_json=True).wrap(made)
    )
    assert envelope["sourcetype"] == "atlassian:audit"
    assert envelope["time"] == 1769853900.0
    first, none = blocks("spl")
    for search in (first, none):
        for field, value in re.findall(r'(\w+)="?([\w:]+)"?', search.splitlines()[0]):
            if field not in {"index", "earliest"}:
                assert {**envelope["event"], **envelope}[field] == value
    grouped = re.search(r"latest\((\w+)\).* BY (\w+) (\w+)", first)
    assert grouped is not None
    assert [envelope["event"][field] for field in grouped.groups()] == [300.0, "acme", "siem"]


def test_elasticsearch_finds_them() -> None:
    [body] = EcsFormat().render([record()])
    assert isinstance(body, bytes)
    document = json.loads(body)
    for search in blocks("esql"):
        for field, value in re.findall(r'([\w.]+) == "(\w+)"', search):
            assert at(document, field) == value
    grouped = re.search(r"BY ([\w.]+), ([\w.]+)", blocks("esql")[0])
    assert grouped is not None
    assert [at(document, field) for field in grouped.groups()] == ["acme", "siem"]
    assert document["@timestamp"] == BEAT.time
