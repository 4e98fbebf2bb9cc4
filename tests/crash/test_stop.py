"""An end in order: SIGTERM drains and ends with 0 whatever the other sides do, and the next start re-sends nothing."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.config import SimulatorConfig
from simulator.http_types import Request, Response
from simulator.receivers.bulk import BulkReceiver
from simulator.receivers.rules import Rule
from simulator.simulator import Simulator
from tests.crash.far_end import Kept, digest, look_into, whole_lines
from tests.daemon.engine import file_sink, lines_of, source, truth
from tests.daemon.process import Process, write_config

HOUR = 3600


class GatedReceiver(BulkReceiver):
    """Answers bulk requests when the gate is open; the others wait for it."""

    def __init__(self) -> None:
        super().__init__(auto_create=True)
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = 0

    async def _handle(self, request: Request) -> Response:
        if request.path.endswith("_bulk") and not self.gate.is_set():
            self.held += 1
            await self.gate.wait()
        return await super()._handle(request)


def elastic(url: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "elasticsearch",
        "url": url,
        "unmanaged": True,
        "batch": {"events": 50, "wait": 0.02},
        "retry": {"base": "10ms", "max": "100ms"},
        **more,
    }


@asynccontextmanager
async def world(
    folder: Path, url: str, *, events: int = 1500, fresh: bool = False, **more: Any
) -> AsyncIterator[tuple[Simulator, Process]]:
    async with Simulator(SimulatorConfig(events=events, history="2d")) as sim:
        out = file_sink(folder / "out.ndjson")
        config = write_config(folder, {"acme": source(sim)}, {"elastic": elastic(url), "out": out}, **more)
        async with Process(config, fresh=fresh) as process:
            yield sim, process


async def until_all_is_there(process: Process, sim: Simulator, receiver: BulkReceiver, out: Path) -> None:
    wanted = truth(sim)
    await process.until(
        lambda: len(receiver.stream().ids()) >= len(wanted) and wanted <= set(map(digest, lines_of(out)))
    )
    await process.until_status(lambda found: not any(line["waiting"] for line in found["books"]))


def contents_of(receiver: BulkReceiver, kept: Kept) -> set[str]:
    """Return the digests of the events that a receiver has, by what the spool knows of their documents."""
    return {digest(kept.bodies[kept.documents[document_id]]) for document_id in receiver.stream().ids()}


async def assert_in_order(folder: Path, process: Process) -> None:
    """Nothing was cut short: no lane ran out of time, and no restart has anything to doubt."""
    assert process.logged("grace_time_is_over") == []
    assert process.logged("task_failed") == []
    assert process.logged("close_failed") == []
    assert process.logged("stopped")
    kept = await look_into(folder / "state" / "spool.db")
    assert [doubt for doubts in kept.doubts.values() for doubt in doubts if doubt.cause == "restart"] == []
    assert [line.balance for line in kept.books] == [0, 0]


async def test_a_drain_waits_for_what_is_in_flight_and_answers_probes(tmp_path: Path) -> None:
    receiver = GatedReceiver()
    async with receiver, world(tmp_path, receiver.url) as (sim, process):
        receiver.gate.clear()
        await process.start()
        await process.until(lambda: receiver.held == 2)  # the window
        assert (await process.get("/readyz"))[0] == 200
        process.signal(signal.SIGTERM)
        await process.until_logged("stopping")
        await process.until_got("/readyz", b"draining")  # probes may see a report of the last second
        for path, code in (("/readyz", 503), ("/livez", 200), ("/status", 200), ("/metrics", 200)):
            assert (await process.get(path))[0] == code, path
        process.signal(signal.SIGTERM)  # a second one changes nothing
        process.signal(signal.SIGINT)
        assert (await process.get("/livez"))[0] == 200
        receiver.gate.set()
        assert await process.wait() == 0
        assert len(process.logged("stopping")) == 1
        await assert_in_order(tmp_path, process)
        before = len(receiver.stream())
        assert 100 <= before < 1500, "what was in flight should have arrived, and no more should have been taken"

        sim.add_events(50)
        await process.start()
        await until_all_is_there(process, sim, receiver, tmp_path / "out.ndjson")
        assert await process.stop() == 0
        await assert_in_order(tmp_path, process)
        assert receiver.refused == [], "something was sent again"
        lines = Counter(map(digest, whole_lines(tmp_path / "out.ndjson")))
        assert set(lines) == truth(sim)
        assert max(lines.values()) == 1


async def test_the_grace_time_ends_a_drain_and_what_was_cut_is_in_doubt(tmp_path: Path) -> None:
    receiver = GatedReceiver()
    async with receiver, world(tmp_path, receiver.url, shutdown={"grace": "1s"}) as (sim, process):
        receiver.gate.clear()
        await process.start()
        await process.until(lambda: receiver.held == 2)
        assert await process.stop() == 0
        (late,) = process.logged("grace_time_is_over")
        assert late["forwarder"]["still_running"] == ["sink elastic"]
        receiver.gate.set()
        await process.start()
        await until_all_is_there(process, sim, receiver, tmp_path / "out.ndjson")
        assert await process.stop() == 0
        kept = await look_into(tmp_path / "state" / "spool.db")
        assert len(kept.in_doubt("elastic")) >= 100
        assert kept.in_doubt("out") == set(), "the other sink was cut short too"
        doubled = {document_id for document_id, status in receiver.refused if status == 409}
        assert {kept.documents[document_id] for document_id in doubled} <= kept.in_doubt("elastic")
        assert contents_of(receiver, kept) == truth(sim)


async def test_a_dead_sink_does_not_keep_the_process(tmp_path: Path, dead_port: int) -> None:
    async with world(tmp_path, f"http://127.0.0.1:{dead_port}") as (sim, process):
        await process.start()
        wanted = truth(sim)
        await process.until(lambda: wanted <= set(map(digest, lines_of(tmp_path / "out.ndjson"))))
        await process.until_logged("sink_degraded")
        assert await process.stop() == 0
        await assert_in_order(tmp_path, process)
        async with BulkReceiver(auto_create=True, port=dead_port) as receiver:
            await process.start()
            await until_all_is_there(process, sim, receiver, tmp_path / "out.ndjson")
            assert await process.stop() == 0
            assert receiver.refused == []
            assert contents_of(receiver, await look_into(tmp_path / "state" / "spool.db")) == wanted
        assert Counter(map(digest, lines_of(tmp_path / "out.ndjson"))) == Counter(wanted)


@pytest.mark.parametrize("side", ["api", "sink"])
async def test_a_wait_of_an_hour_does_not_keep_the_process(tmp_path: Path, side: str) -> None:
    async with BulkReceiver(auto_create=True) as receiver, world(tmp_path, receiver.url) as (sim, process):
        if side == "api":
            sim.faults.add("rate_limit", after_requests=1, every=1, shape="retry_after", wait=HOUR)
        else:
            receiver.rules = [Rule(times=None, answer=Response(429, {"retry-after": str(HOUR)}))]
        await process.start()
        await process.until_logged("source_degraded" if side == "api" else "sink_degraded")
        assert await process.stop() == 0
        await assert_in_order(tmp_path, process)
        sim.faults.clear()
        receiver.rules = []
        await process.start()
        await until_all_is_there(process, sim, receiver, tmp_path / "out.ndjson")
        assert await process.stop() == 0
        assert receiver.refused == []


async def test_an_api_that_hangs_does_not_eat_the_time_of_the_lanes(tmp_path: Path) -> None:
    async with (
        BulkReceiver(auto_create=True) as receiver,
        world(tmp_path, receiver.url, shutdown={"grace": "3s"}) as (sim, process),
    ):
        await process.start()
        await process.until(lambda: len(receiver.stream()) > 0)
        sim.faults.add("stall", every=1, bytes=10, wait=HOUR)
        await process.until(lambda: sim.faults.fired("stall") >= 1)
        assert await process.stop() == 0
        await assert_in_order(tmp_path, process)


async def test_a_full_spool_does_not_keep_the_process(tmp_path: Path, dead_port: int) -> None:
    spool = {"path": str(tmp_path / "state" / "spool.db"), "max_bytes": "1MiB", "retain": 0}
    async with world(tmp_path, f"http://127.0.0.1:{dead_port}", events=14_000, spool=spool) as (sim, process):
        await process.start()
        await process.until_status(lambda found: found["sources"][0]["state"] == "paused")
        assert await process.stop() == 0
        await assert_in_order(tmp_path, process)
        async with BulkReceiver(auto_create=True, port=dead_port) as receiver:
            await process.start()
            await until_all_is_there(process, sim, receiver, tmp_path / "out.ndjson")
            assert await process.stop() == 0
            assert receiver.refused == []
            assert len(receiver.stream()) == len(truth(sim))


async def test_sighup_reads_the_log_level_and_nothing_stops(tmp_path: Path) -> None:
    def level(text: str) -> None:
        tree = yaml.safe_load(process.config.read_text())
        process.config.write_text(yaml.safe_dump({**tree, "log": {"level": text, "format": "json"}}))

    async with BulkReceiver(auto_create=True) as receiver, world(tmp_path, receiver.url) as (sim, process):
        await process.start()
        await process.until_logged("started")
        level("debug")
        process.signal(signal.SIGHUP)
        entry = await process.until_logged("configuration_reloaded")
        assert entry["forwarder"]["log_level"] == "debug"
        good = process.config.read_text()
        process.config.write_text("sinks: {elastic: {type: no_such_thing}}")
        process.signal(signal.SIGHUP)
        await process.until_logged("configuration_not_reloaded")
        process.config.write_text(good)
        of_before = (await process.until_status(lambda _: True))["config_digest"]
        level("error")
        process.signal(signal.SIGHUP)
        await process.until_status(lambda found: found["config_digest"] != of_before)  # no line says so at this level
        sim.add_events(20)
        await until_all_is_there(process, sim, receiver, tmp_path / "out.ndjson")
        assert await process.stop() == 0
        assert process.logged("stopping") == [], "the level did not change"


@pytest.mark.early
async def test_sigterm_at_any_moment_of_the_start(tmp_path: Path) -> None:
    """Before the program can hear it, the signal ends it as any program, and then nothing was begun."""
    spool = tmp_path / "state" / "spool.db"
    async with BulkReceiver(auto_create=True) as receiver, world(tmp_path, receiver.url, fresh=True) as (sim, process):
        clock = asyncio.get_running_loop().time
        begun = clock()
        await process.start()
        await process.until_logged("started")
        length = clock() - begun
        assert await process.stop() == 0
        spool.unlink()
        for tenths in range(12):
            was_there = spool.exists()
            await process.start()
            await asyncio.sleep(length * tenths / 10)
            code = await process.stop()
            assert code == 0 or (code == -signal.SIGTERM and spool.exists() == was_there), process.text
            assert process.logged("task_failed") == []
        (tmp_path / "out.ndjson").unlink(missing_ok=True)
        spool.unlink(missing_ok=True)
        receiver.streams.clear()
        await process.start()
        await until_all_is_there(process, sim, receiver, tmp_path / "out.ndjson")
        assert await process.stop() == 0
        await assert_in_order(tmp_path, process)
        assert receiver.refused == []
