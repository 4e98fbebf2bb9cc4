"""One event of 4 MB that is made to be slow, in a running daemon: it arrives, marked, and probes are answered meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from forwarder.sources.organization.context import MOST_ENTRIES
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import file_sink, lines_of, source
from tests.daemon.process import Process, write_config
from tests.sources.organization.heavy import SETTING, entries, event

MEGABYTE = 2**20


async def test_a_heavy_event_arrives_and_probes_are_answered(tmp_path: Path) -> None:
    heavy = entries("context", "settings", SETTING)(4 * MEGABYTE)
    too_much = event(b',"context":[%s]' % b",".join([b"{}"] * 500_000)).replace(b'"heavy"', b'"much"')
    raw, ecs = tmp_path / "raw.ndjson", tmp_path / "ecs.ndjson"
    sinks = {"raw": file_sink(raw), "ecs": file_sink(ecs, format="ecs")}
    async with (
        Simulator(SimulatorConfig(events=20, history="2d")) as sim,
        Process(write_config(tmp_path, {"acme": source(sim)}, sinks)) as process,
    ):
        await process.start()
        await process.until(lambda: len(lines_of(raw)) >= 20)
        sim.add_raw(heavy, "~1")
        sim.add_raw(too_much, "~2")
        sim.add_events(2)
        answers = []
        while len(lines_of(raw)) < 24 or len(lines_of(ecs)) < 23:
            answers.append((await process.get("/livez"))[0])
            await asyncio.sleep(0.02)
        assert set(answers) == {200}
        assert await process.stop() == 0
        assert heavy in lines_of(raw)
        assert too_much in lines_of(raw)
        [found] = [line for line in lines_of(ecs) if b'"truncated"' in line]
        audit = json.loads(found)["atlassian"]["audit"]
        assert len(audit["changes"]) <= MOST_ENTRIES
        assert len(audit["context"]) > MOST_ENTRIES, "what was not read stays in the raw part"

        await process.start()  # neither is worked on again
        sim.add_events(1)
        await process.until(lambda: len(lines_of(raw)) >= 25 and len(lines_of(ecs)) >= 24)
        status = await process.until_status(lambda found: not any(line["waiting"] for line in found["books"]))
        assert {line["sink"]: line["rejected"] for line in status["books"]} == {"raw": 0, "ecs": 1}
        assert all(line["balance"] == 0 for line in status["books"])
        assert await process.stop() == 0
