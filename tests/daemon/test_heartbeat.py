"""Heartbeats go the way of every event, count what the books hold, and are no part of what is complete."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.observe.summary import summary
from simulator.config import RateLimits, SimulatorConfig
from simulator.simulator import Simulator
from sinks.file.sink import FileSink
from tests.daemon.engine import Engine, engine, file_sink, source

EVENTS = 60
EVERY = {"heartbeat": {"every": "1s"}}


def beats_in(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [line for line in lines if line.get("type") == "heartbeat"]


def counted(beats: list[dict[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for beat in beats:
        found.update(beat["events"])
    return found


async def settled(e: Engine) -> Any:
    """Return a report in which every event of the log is settled, and no heartbeat waits."""
    while True:
        report = await e.daemon.report()
        is_read = bool(report.audit_books) and all(line.spooled == EVENTS for line in report.audit_books)
        if is_read and not any(line.waiting for line in report.books):
            return report
        e.watch()
        await asyncio.sleep(0.05)


async def test_they_come_through_filters_and_privacy_to_each_sink_and_their_sum_is_what_the_books_hold(
    tmp_path: Path,
) -> None:
    out, picky, ecs = (tmp_path / name for name in ("out.ndjson", "picky.ndjson", "ecs.ndjson"))
    sinks = {
        "out": file_sink(out),
        "picky": file_sink(picky, include=[{"action": "no_such_action_ever"}], privacy="no_content"),
        "ecs": file_sink(ecs, format="ecs", exclude=[{"source": "acme"}]),
    }
    config = SimulatorConfig(events=EVENTS, history="2d", limits=RateLimits(stream=0, events=0))
    async with Simulator(config) as sim:
        for life in (1, 2):
            async with engine(tmp_path, {"acme": source(sim)}, sinks, **EVERY) as e:
                await e.until(lambda: e.daemon._reporter.heart.written)
                assert e.daemon._reporter.heart.every == 1
                await settled(e)
                before = len(beats_in(out))
                await e.until(lambda before=before: len(beats_in(out)) >= before + 2)  # type: ignore[misc]
                report = await settled(e)
                assert all(line.balance == 0 for line in report.books)
                assert {line.source for line in report.books} == {"acme", HEARTBEATS.source}
                assert summary(report)["sinks"]["out"]["accepted"] == EVENTS
                assert [row.name for row in report.sources] == ["acme"]
            for path, sink in ((out, "out"), (picky, "picky")):
                found = beats_in(path)
                assert {(beat["audit_source"], beat["audit_sink"]) for beat in found} == {("acme", sink)}
                assert len({beat["id"] for beat in found}) == len(found)
                assert [beat["since"] for beat in found] == [None, *(beat["time"] for beat in found[:-1])], life
            assert counted(beats_in(out)) == {
                "spooled": EVENTS,
                "accepted": EVENTS,
                "rejected": 0,
                "filtered": 0,
                "detached": 0,
            }
            assert counted(beats_in(picky))["filtered"] == EVENTS
        documents = [json.loads(line) for line in ecs.read_bytes().splitlines()]
        assert documents
        assert {document["atlassian"]["audit"]["feed"] for document in documents} == {"heartbeat"}


async def test_without_the_setting_there_is_none(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    config = SimulatorConfig(events=EVENTS, history="2d", limits=RateLimits(stream=0, events=0))
    async with Simulator(config) as sim, engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e:
        report = await settled(e)
        assert {line.source for line in report.books} == {"acme"}


async def test_they_carry_the_newest_digest_of_each_archive_which_learns_whose_events_it_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: dict[str, str | None] = {"archive": None, "plain": None}
    spools: list[str] = []
    monkeypatch.setattr(FileSink, "belongs_to", lambda _, spool: spools.append(spool), raising=False)
    monkeypatch.setattr(FileSink, "head", property(lambda sink: heads[sink.target_name]), raising=False)
    monkeypatch.setattr(FileSink, "target_name", property(lambda sink: Path(sink.target).stem), raising=False)
    sinks = {name: file_sink(tmp_path / f"{name}.ndjson") for name in heads}
    out = tmp_path / "plain.ndjson"
    config = SimulatorConfig(events=EVENTS, history="2d", limits=RateLimits(stream=0, events=0))
    async with Simulator(config) as sim:
        for _ in (1, 2):
            heads["archive"] = None
            async with engine(tmp_path, {"acme": source(sim)}, sinks, **EVERY) as e:
                before = len(beats_in(out))
                await e.until(lambda before=before: len(beats_in(out)) > before)  # type: ignore[misc]
                heads["archive"] = "ab" * 32
                await e.until(lambda: beats_in(out)[-1].get("archive_heads") == {"archive": "ab" * 32})
    assert "archive_heads" not in beats_in(out)[0]
    [spool] = set(spools)
    assert len(spools) == 4
    assert re.fullmatch("[0-9a-f]{32}", spool)
