"""What a heartbeat is in each format, and that it is told from every event of an audit log there."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.contracts import Record
from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.contracts.identity import EventKeys
from forwarder.records.heartbeats import HeartbeatNormalizer
from tests.events import READ_MS
from tests.golden.cases import hold, rendered

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in (HERE / "heartbeat").glob("*/in.json"))


def record_of(name: str) -> Record:
    body = (HERE / "heartbeat" / name / "in.json").read_bytes().rstrip(b"\n")
    return Record(
        1, HEARTBEATS, EventKeys(HEARTBEATS.feed, HEARTBEATS.scope).derived(body).hex(), body, read_ms=READ_MS
    )


@pytest.mark.parametrize("name", CASES)
def test_case(name, request, capsys):
    hold(HERE / "heartbeat" / name, rendered(record_of(name), HeartbeatNormalizer()), request, capsys)


@pytest.mark.parametrize("name", [name for name in CASES if name != "cut_short"])
def test_the_feed_tells_it_from_audit_events_in_every_format(name):
    made = rendered(record_of(name), HeartbeatNormalizer())
    for file, mark in {
        "ecs.json": '"feed": "heartbeat"',
        "ocsf.json": '"log_name": "heartbeat"',
        "cef.txt": " deviceFacility=heartbeat ",
        "leef.txt": "^feed=heartbeat^",
        "sd.txt": ' feed="heartbeat" ',
    }.items():
        assert mark in made[file], file


def test_the_constants_are_frozen():
    assert (HEARTBEATS.feed, HEARTBEATS.identity) == ("heartbeat", "heartbeat:audit-forwarder")
    assert EventKeys(HEARTBEATS.feed, HEARTBEATS.scope).key("0f0e0d0c").hex() == "0816cf8a665ef43248233e9fe6fe6727"
