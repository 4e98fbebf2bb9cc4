"""The index of an archive is made again and again, by a process of its own, and the daemon says what became of it."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forwarder.admin.kept_places import Place
from forwarder.contracts import SystemClock
from forwarder.daemon.indexing import Indexing
from forwarder.investigate.parts import Index
from forwarder.observe.exposition import Exposition
from forwarder.observe.record import IndexReport
from forwarder.observe.status_json import report_to_dict
from forwarder.testing.waiting import until
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import engine, source
from tests.investigate.evidence import Archive
from tests.investigate.lines import event

pytest.importorskip("duckdb")


def archive_of_yesterday(folder: Path) -> Archive:
    made = Archive(folder)
    stored = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}T10"
    made.put(stored, [event(ident=f"e{number}") for number in range(5)])
    made.digest(stored)
    return made


def indexing(
    places: dict[str, Place], stopping: asyncio.Event, **more: float
) -> tuple[Indexing, dict[str, IndexReport]]:
    reports: dict[str, IndexReport] = {}
    settings = {"every": 3600.0, "memory": 256_000_000, **more}
    made = Indexing(
        places, reports, every=settings["every"], memory=int(settings["memory"]), clock=SystemClock(), stopping=stopping
    )
    return made, reports


async def test_an_index_is_made_and_one_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    archive = await asyncio.to_thread(archive_of_yesterday, tmp_path / "good")
    stopping = asyncio.Event()
    places = {
        "none": Place("archive", (f"--archive={tmp_path / 'nothing'}",)),
        "years": Place("archive", (f"--archive={archive.folder}",)),
    }
    made, reports = indexing(places, stopping)
    assert {name: (one.good, one.reason) for name, one in reports.items()} == {"none": (0, ""), "years": (0, "")}
    task = asyncio.create_task(made.run())
    await until(lambda: reports["years"].good)
    stopping.set()
    await task
    assert (reports["years"].events, reports["years"].failed_parts, reports["years"].reason) == (5, 0, "")
    assert sum(part.rows for part in Index(archive.folder / "index" / "v1").parts().values()) == 5
    assert reports["none"].good == 0
    assert "holds no evidence" in reports["none"].reason


async def test_a_day_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    archive = await asyncio.to_thread(archive_of_yesterday, tmp_path)
    [entries] = archive.entries.values()
    archive.change(entries[0].name, b"not what was stored")
    stopping = asyncio.Event()
    made, reports = indexing({"years": Place("archive", (f"--archive={tmp_path}",))}, stopping)
    task = asyncio.create_task(made.run())
    await until(lambda: reports["years"].good)
    stopping.set()
    await task
    assert (reports["years"].events, reports["years"].failed_parts) == (0, 1)
    assert "day=" in reports["years"].reason


async def test_the_process_is_ended_with_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, begun = tmp_path / "program", tmp_path / "begun"
    program.write_text(f"#!/bin/sh\necho $$ > {begun}.part; mv {begun}.part {begun}; exec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    stopping = asyncio.Event()
    made, reports = indexing({"years": Place("archive")}, stopping)
    task = asyncio.create_task(made.run())
    await until(begun.exists)
    stopping.set()
    await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
    assert (reports["years"].ended, reports["years"].reason) == (0, "")


async def test_the_process_ends_when_nobody_waits_for_it() -> None:
    words = (
        "import time; from forwarder.investigate.for_page import end_with_parent; end_with_parent(); time.sleep(600)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", words, stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 1


async def test_the_status_and_the_metrics_of_a_daemon_say_it(tmp_path: Path) -> None:
    sink = {"type": "archive", "path": str(tmp_path / "archive"), "every": "50ms", "batch": {"wait": 0.02}}
    async with (
        Simulator(SimulatorConfig(events=20, history="1d")) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"years": sink}, index={"every": "10s"}) as running,
    ):

        async def tried() -> bool:
            return any(one.ended for one in (await running.daemon.report()).indexes)

        await running.until(tried)
        report = await running.daemon.report()
    [shown] = report_to_dict(report)["indexes"]
    assert shown["sink"] == "years"
    page = Exposition(lambda: report).render()[0].decode()
    assert 'forwarder_index_age_seconds{sink="years"}' in page
    assert 'forwarder_index_failed_parts{sink="years"} 0' in page
