"""`kill -9` while a replay is sent: it goes on, everything comes at least once more, and what came twice is on record."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, file_sink, lines_of, source, truth
from tests.daemon.process import Process, run_command, write_config

EVENTS, KILLS = 3000, 4


def settled(status: dict[str, Any]) -> bool:
    return sum(line["accepted"] for line in status["books"]) >= EVENTS


def doubtful_of(spool: Path) -> int:
    """Return how many events a replay may have doubled, from the file of a spool that nobody uses."""
    with contextlib.closing(sqlite3.connect(spool)) as con:
        found = con.execute(
            "SELECT coalesce(sum(d.last - d.first + 1), 0) FROM doubts d JOIN replays r ON r.lane = d.lane"
        ).fetchone()
        return int(found[0])


async def test_a_replay_ends_whole_whenever_the_daemon_is_killed(tmp_path: Path) -> None:
    rng = random.Random(5)
    out, spool = tmp_path / "out" / "events.ndjson", tmp_path / "state" / "spool.db"
    async with Simulator(SimulatorConfig(events=EVENTS, history="2d")) as sim:
        sink = file_sink(out, batch={"events": 10, "wait": 0.01})
        config = write_config(tmp_path, {"acme": source(sim)}, {"archive": sink})
        process = Process(config)
        await process.start()
        await process.until_status(settled)
        assert await process.stop() == 0
        first = digests_of(out)
        assert (set(first), set(first.values())) == (truth(sim), {1})
        began = len(lines_of(out))
        await run_command(config, "replay", "--sink", "archive", "--from", "30d")
        for _ in range(KILLS):
            asked = min(len(lines_of(out)) + rng.randrange(50, EVENTS // KILLS), began + EVENTS)
            await process.start()
            await process.until(lambda asked=asked: len(lines_of(out)) >= asked)  # type: ignore[misc]
            await process.kill()
        await process.start()

        async def over() -> dict[str, Any]:
            (replay,) = json.loads(await run_command(config, "replay", "list", "--json"))["replays"]
            return {} if replay["open"] else replay  # type: ignore[no-any-return]

        replay = await process.until(over)
        assert await process.stop() == 0
        assert (replay["events"], replay["accepted"], replay["balance"]) == (EVENTS, EVENTS, 0)
        again = digests_of(out) - first
        assert set(again) == truth(sim)
        assert len(lines_of(out)) - began - EVENTS <= doubtful_of(spool), "what came more than once more is on record"
