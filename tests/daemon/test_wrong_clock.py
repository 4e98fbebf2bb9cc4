"""The time of day is set, far ahead and far back, while the daemon runs: it delivers, answers and stops as ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.clocks import SetClock
from tests.daemon.engine import digests_of, engine, file_sink, source, truth

DAY = 86_400.0


async def live(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    head = await reader.read()
    writer.close()
    return int(head.split(b" ", 2)[1])


@pytest.mark.parametrize("jump", [180 * DAY, 3_650 * DAY, -180 * DAY, -9_000 * DAY])
async def test_a_clock_that_is_set_stops_nothing_and_doubles_nothing(tmp_path: Path, jump: float) -> None:
    clock = SetClock()
    out = tmp_path / "out.ndjson"
    async with Simulator(SimulatorConfig(events=200, history="2d")) as sim:
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}, clock=clock) as running:
            await running.until(lambda: len(digests_of(out)) == len(truth(sim)))
            for off in (jump, 0.0, jump):
                clock.off = off
                sim.add_events(20)
                await running.until(lambda: len(digests_of(out)) == len(truth(sim)))
                assert await live(running.daemon.admin_port) == 200
            await running.stop()
        assert max(digests_of(out).values()) == 1
