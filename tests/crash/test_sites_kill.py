"""`kill -9` while the products of sites are read, under faults of their APIs: nothing is missing, nothing spooled twice."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from simulator.config import Products, SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, file_sink
from tests.daemon.process import Process, write_config
from tests.sites import had_by, of_sites

FAULTS: tuple[dict[str, Any], ...] = tuple(
    {"what": what, "feed": feed, "every": 1, "share": 0.03, "wait": 0.05}
    for what in ("server_error", "rate_limit", "truncated", "reset_mid", "login_page", "redirect", "forbidden")
    for feed in ("jira", "confluence")
)


async def killed_and_judged(folder: Path, rounds: int, seed: int) -> Counter[str]:
    """Kill a daemon so many times; return how often each record was delivered."""
    rng = random.Random(seed)
    made = SimulatorConfig(
        seed=seed, events=0, faults=FAULTS, products=Products(records=60, twins=0.2, late=1, late_share=0.2)
    )
    out = folder / "out" / "events.ndjson"
    async with Simulator(made) as sim:
        sources = {product: of_sites(sim, product) for product in ("jira", "confluence")}
        process = Process(write_config(folder, sources, {"archive": file_sink(out)}))
        logs = [log for site in sim.sites.values() for log in site.logs.values()]
        for _ in range(rounds):
            for log in logs:
                log.happen(rng.randrange(1, 9), int(sim.clock() * 1000))
            asked, more = sim.server.requests, rng.randrange(1, 25)
            await process.start()
            await process.until(lambda asked=asked, more=more: sim.server.requests >= asked + more)  # type: ignore[misc]
            await process.kill()
        sim.faults.clear()
        await process.start()
        wanted = sorted(had_by(sim, "jira") + had_by(sim, "confluence"))

        def whole(status: dict[str, Any]) -> bool:
            return sum(line["spooled"] for line in status["books"]) >= len(wanted) and all(
                line["waiting"] == 0 for line in status["books"]
            )

        status = await process.until_status(whole, within=900)
        assert sum(line["spooled"] for line in status["books"]) == len(wanted), "nothing is spooled twice"
        assert await process.stop() == 0
        found = digests_of(out)
        assert set(found) == set(wanted)
        return found


async def test_what_sites_record_is_spooled_once_whenever_the_daemon_is_killed(tmp_path: Path) -> None:
    await killed_and_judged(tmp_path, 5, seed=1)


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_what_sites_record_is_spooled_once_after_two_hundred_kills(tmp_path: Path) -> None:
    await killed_and_judged(tmp_path, 200, seed=int(os.environ.get("CRASH_SEED", "1")))
