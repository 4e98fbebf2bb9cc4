"""`kill -9` of `run` while it reads a site: no record of Confluence and no event of a workspace is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from simulator.config import Products, SimulatorConfig, Workspaces
from simulator.simulator import Simulator
from tests.daemon.engine import file_sink
from tests.daemon.process import Process, write_config
from tests.sites import of_sites

BATCH, WINDOW = 40, 2
MOST_IN_DOUBT = (WINDOW + 2) * BATCH
"""Events that a lane may have taken and not settled when it is killed."""

FAULTS: tuple[dict[str, Any], ...] = tuple(
    {"what": what, "feed": feed, "every": 1, "share": 0.03, **more}
    for feed in ("confluence", "workspace")
    for what, more in (
        ("server_error", {}),
        ("reset_mid", {}),
        ("truncated", {}),
        ("invalid_json", {}),
        ("login_page", {}),
        ("rate_limit", {"shape": "retry_after", "wait": 1}),
    )
)


def lines_of(path: Path) -> Counter[bytes]:
    """Count the whole lines of a file; a kill may leave half of one behind."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return Counter(lines)


async def killed_and_judged(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    served = Workspaces(served=True, most=25, tip="refused", order="oldest_first", bounds="exclusive")
    products = Products(records=150, rate=4, twins=0.2, workspaces=served)
    async with Simulator(SimulatorConfig(events=0, history="2d", products=products, faults=FAULTS)) as sim:
        site = next(iter(sim.sites.values()))
        out = {name: folder / f"{name}.ndjson" for name in ("records", "events")}
        config = write_config(
            folder,
            {
                "records": of_sites(sim, "confluence", site.name, limit=30),
                "events": of_sites(sim, "confluence", site.name, api="workspace_events") | {"type": "jira"},
            },
            {
                name: file_sink(
                    path, batch={"events": BATCH, "wait": 0.02}, window=WINDOW, include=[{"source": [name]}]
                )
                for name, path in out.items()
            },
        )
        logs = {"records": site.logs["confluence"].name, "events": site.logs["jira"].workspace}
        process = Process(config)

        def expected(name: str) -> Counter[bytes]:
            return Counter(body for found in sim.ledger.bodies(logs[name]).values() for body in found)

        def missing() -> dict[str, int]:
            return {name: (expected(name) - lines_of(path)).total() for name, path in out.items()}

        for _ in range(kills):
            await process.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):  # a moment that does not come gives way to one that is as good
                    before = sim.ledger.served_events
                    while sim.ledger.served_events < before + rng.randrange(1, 200):  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
            assert process.alive, process.text[-4000:]
            await process.kill()
        sim.faults.clear()
        assert sim._living is not None
        sim._living.cancel()  # time stands from here on
        await process.start()
        await process.until(lambda: not any(missing().values()), every=0.2, within=900)
        await process.kill()
        for name, path in out.items():
            doubles = (lines_of(path) - expected(name)).total()
            assert doubles <= (kills + 1) * MOST_IN_DOUBT, name


async def test_nothing_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    await killed_and_judged(tmp_path, 6, seed=7)


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_nothing_is_lost_when_the_process_is_killed_two_hundred_times(tmp_path: Path) -> None:
    await killed_and_judged(tmp_path, 200, seed=int(os.environ.get("CRASH_SEED", "1")))
