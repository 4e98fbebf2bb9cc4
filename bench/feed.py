"""The feed of a bench: a simulated organization in a process of its own. `python -m bench.feed EVENTS [RATE]`.

With RATE so many events happen every second, too.
"""

from __future__ import annotations

import asyncio
import json
import sys

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator


async def main(events: int, rate: float) -> None:
    # All of the history is older than what the tail begins with, so every event comes once.
    config = SimulatorConfig(events=events, history="6d", oddities=0.2, late_share=0.0, rate=rate)
    async with Simulator(config) as sim:
        ready = {"url": sim.base_url, "org": sim.org_id, "key": sim.api_key, "events": len(sim.ledger.existed())}
        print(json.dumps(ready), flush=True)
        await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1]), float(sys.argv[2] if sys.argv[2:] else 0)))
