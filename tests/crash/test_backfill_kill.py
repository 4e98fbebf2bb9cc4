"""`kill -9` while a backfill reads behind live events: it goes on where it was, and each event comes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, file_sink, lines_of, source, truth
from tests.daemon.process import Process, run_command, write_config

EVENTS, KILLS, BATCH = 2000, 4, 20
MOST_IN_DOUBT = 4 * BATCH
"""Events that one life of the lane may have taken and not settled."""

FAULTS: tuple[dict[str, Any], ...] = tuple(
    {"what": what, "every": 1, "share": 0.03} for what in ("server_error", "truncated", "reset_mid")
)


async def test_a_backfill_ends_whole_whenever_the_daemon_is_killed(tmp_path: Path) -> None:
    rng = random.Random(9)
    out = tmp_path / "out" / "events.ndjson"
    async with Simulator(SimulatorConfig(events=EVENTS, history="2d", rate=5, faults=FAULTS)) as sim:
        quick = {"limit": 25, "retry": {"base": "10ms", "max": "100ms"}, "since": "0s"}
        sink = file_sink(out, batch={"events": BATCH, "wait": 0.02}, window=2)
        config = write_config(tmp_path, {"acme": source(sim, **quick)}, {"archive": sink})
        process = Process(config)
        await process.start()
        await process.until(lambda: lines_of(out))  # a live event, so it reads
        await run_command(config, "backfill", "start", "--source", "acme", "--from", "3d", "--no-wait")
        for number in range(1, KILLS + 1):
            asked = number * EVENTS // (KILLS + 2) + rng.randrange(100)
            await process.until(lambda asked=asked: len(lines_of(out)) >= asked)  # type: ignore[misc]
            await process.kill()
            await process.start()

        async def over() -> dict[str, Any]:
            (found,) = json.loads(await run_command(config, "backfill", "list", "--json"))["backfills"]
            return found if found["state"] == "done" else {}

        backfill = await process.until(over, every=0.2)
        assert backfill["events"] >= EVENTS
        assert sim._living is not None
        sim._living.cancel()  # time stands from here on
        await process.until(lambda: truth(sim) <= set(digests_of(out)), every=0.2)
        assert await process.stop() == 0
        assert len(lines_of(out)) - len(truth(sim)) <= KILLS * MOST_IN_DOUBT
