"""`kill -9` while Data Center's logs are read, by files that are turned away in every way, and by REST under faults.

What the spool holds in the end is compared with what the products recorded: every record once, equal ones as often.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from simulator.config import SimulatorConfig
from simulator.products.datacenter import DataCenter, Habits
from simulator.products.node_file import NodeFile, Turn
from simulator.simulator import Simulator
from simulator.world import World
from tests.crash.far_end import look_into
from tests.daemon.engine import file_sink
from tests.daemon.process import Process, write_config

FAULTS = tuple(
    {"what": what, "every": 1, "share": 0.03, "feed": "datacenter"}
    for what in ("server_error", "login_page", "truncated", "reset_mid", "invalid_json", "garbage")
)


DRAIN = 900.0
"""Seconds that everything may take to arrive in the end: after two hundred lives of a second, most of it still waits."""


class Run:
    """Two products that live, and a daemon that is killed."""

    def __init__(self, folder: Path, sim: Simulator, rng: random.Random) -> None:
        self.rng = rng
        self.spool, self.out = folder / "state" / "spool.db", folder / "out" / "events.ndjson"
        # the product removes none before it was read, however slow the machine is
        nodes = {
            name: NodeFile(folder / "logs" / name / "audit", most_bytes=20_000, most_files=10**6)
            for name in ("node1", "node2")
        }
        self.by_files = DataCenter("jira", World(1), rng, token="", nodes=nodes, habits=Habits(twins=5))
        habits = Habits(twins=5, most=200, onward=rng.choice(["cursor", "link"]))
        self.by_rest = sim.add_datacenter(DataCenter("bitbucket", World(2), rng, token="pat-1", habits=habits))
        token = folder / "token"
        token.write_text("pat-1")
        token.chmod(0o600)
        common = {"since": "1h", "retry": {"base": "10ms", "max": "100ms"}, "budget": "fast"}
        jira = {"type": "jira_datacenter", "site": "jira.example.com", "nodes": {"all": f"{folder}/logs/*/audit"}}
        bitbucket = {"type": "bitbucket_datacenter", "url": f"{sim.base_url}/dc/bitbucket", "token_file": str(token)}
        sources = {
            "jira": {**jira, **common, "every": "50ms", "limit": 50},
            "bitbucket": {**bitbucket, **common, "every": "300ms"},
        }
        self.process = Process(write_config(folder, sources, {"archive": file_sink(self.out)}))
        self.turns: Counter[str] = Counter()

    async def live(self) -> None:
        while True:
            self.happen()
            await asyncio.sleep(0.03)

    def happen(self) -> None:
        now = int(time.time() * 1000)
        self.by_rest.happen(self.rng.randrange(3), now)
        if self.rng.random() < 0.1:
            self.by_files.record_half(now, self.rng.randrange(1, 200))
        else:
            self.by_files.happen(self.rng.randrange(12), now)
        if self.rng.random() < 0.15:
            node, turn = self.rng.choice(list(self.by_files.nodes.values())), self.rng.choice(get_args(Turn))
            node.turn(turn)
            self.turns[turn] += 1

    async def life(self) -> None:
        await self.process.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(6):
                await self.process.until_logged("started")
        await asyncio.sleep(self.rng.uniform(0, 1.5))
        assert self.process.alive, self.process.text[-4000:]
        await self.process.kill()

    def existed(self) -> Counter[bytes]:
        searches = set(self.by_rest.searches)
        return Counter(
            entry.body
            for product in (self.by_files, self.by_rest)
            for name, entries in product.feed.versions().items()
            for entry in entries
            if product is self.by_files or name not in searches
        )

    async def drain(self) -> None:
        """Let everything arrive, and stop in order."""
        for node in self.by_files.nodes.values():
            node.finish()
        wanted = self.existed().total()
        await self.process.start()
        # not by lines of the sink: what was in flight at a kill stands there twice
        await self.process.until_status(
            lambda found: (
                sum(line["spooled"] for line in found["books"]) >= wanted
                and found["balanced"]
                and not any(line["waiting"] for line in found["books"])
            ),
            within=DRAIN,
        )
        assert await self.process.stop() == 0, self.process.text[-4000:]

    async def judge(self) -> str:
        kept, wanted = await look_into(self.spool), self.existed()
        found = Counter(kept.bodies.values())
        missing, more = (wanted - found).total(), (found - wanted).total()
        summary = f"{wanted.total()} records, {missing} missing, {more} too many; turned away: {dict(self.turns)}"
        assert (missing, more) == (0, 0), summary
        return summary


async def survive(folder: Path, kills: int, *, seed: int, say: Callable[[str], None]) -> None:
    async with Simulator(SimulatorConfig(events=0, seed=seed, faults=FAULTS)) as sim:
        run = Run(folder, sim, random.Random(seed))
        async with run.process:
            living = asyncio.create_task(run.live())
            try:
                for number in range(1, kills + 1):
                    await run.life()
                    if number % 20 == 0:
                        say(f"{number} kills, {run.existed().total()} records")
            finally:
                living.cancel()
            sim.faults.clear()
            await run.drain()
            say(await run.judge())


async def test_nothing_is_lost_or_doubled_when_it_is_killed(tmp_path: Path) -> None:
    await survive(tmp_path, 3, seed=7, say=print)


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_nothing_is_lost_or_doubled_when_it_is_killed_two_hundred_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    await survive(tmp_path, 200, seed=int(os.environ.get("CRASH_SEED", "1")), say=say)
