"""The feed of a bench: a simulated organization in a process of its own. `python -m bench.feed EVENTS [RATE [LIMIT]]`.

With RATE so many events happen every second, too. With LIMIT a key may ask so many times a minute.
"""

from __future__ import annotations

import asyncio
import json
import sys

from simulator.config import RateLimits, SimulatorConfig
from simulator.simulator import Simulator


async def main(events: int, rate: float = 0.0, limit: int = 0) -> None:
    limits = RateLimits(stream=limit, events=limit)
    # All of the history is older than what the tail begins with, so every event comes once.
    config = SimulatorConfig(events=events, history="6d", oddities=0.2, late_share=0.0, rate=rate, limits=limits)
    async with Simulator(config) as sim:
        ready = {"url": sim.base_url, "org": sim.org_id, "key": sim.api_key, "events": len(sim.ledger.existed())}
        print(json.dumps(ready), flush=True)
        await asyncio.Event().wait()


asyncio.run(main(*(kind(word) for kind, word in zip((int, float, int), sys.argv[1:], strict=False))))
