"""`kill -9` at random moments of `run`, under faults of the API and of the sinks: nothing is lost, doubles are on record.

The simulated Atlassian and the bulk receiver live in this process; the daemon is a process of its own. A life ends at a
moment drawn from a seed: while the program starts, right after a page, while the file is set aside, within a bulk
request, or anywhere. At the end the far ends are compared with the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.config import SimulatorConfig, Switches
from simulator.http_types import Response, Wire
from simulator.receivers.bulk import BulkReceiver
from simulator.receivers.rules import Rule
from simulator.simulator import Simulator
from tests.crash.far_end import digest, files_of, look_into, whole_lines
from tests.daemon.engine import file_sink, source, truth
from tests.daemon.process import Process, write_config

BATCH, WINDOW = 40, 2
MOST_IN_DOUBT = (WINDOW + 2) * BATCH
"""Events that one life of a lane may have taken and not settled: in flight, and ready behind that."""

FAULTS: tuple[dict[str, Any], ...] = (
    {"what": "rate_limit", "every": 1, "share": 0.02, "wait": 0.2, "shape": "seconds"},
    {"what": "server_error", "every": 1, "share": 0.02},
    {"what": "reset_before", "every": 1, "share": 0.02},
    {"what": "reset_after_headers", "every": 1, "share": 0.02},
    {"what": "reset_mid", "every": 1, "share": 0.02},
    {"what": "truncated", "every": 1, "share": 0.02},
    {"what": "html", "every": 1, "share": 0.01},
    {"what": "login_page", "every": 1, "share": 0.01},
    {"what": "empty_page", "every": 1, "share": 0.02},
    {"what": "repeated_ids", "every": 1, "share": 0.03, "count": 7},
    {"what": "cursor_lost", "every": 1, "share": 0.02},
    {"what": "cursors_lost", "every": 150},
)


DRAIN = 900.0
"""Seconds that everything may take to arrive in the end: after two hundred lives of a second, most of it still waits."""


class Run:
    """The world of one test: a living API, a daemon that is killed, and what it delivers to."""

    def __init__(self, folder: Path, sim: Simulator, receiver: BulkReceiver, rng: random.Random) -> None:
        self.sim, self.receiver, self.rng = sim, receiver, rng
        self.out = folder / "out" / "events.ndjson"
        self.spool = folder / "state" / "spool.db"
        batch = {"events": BATCH, "wait": 0.02}
        retry = {"base": "10ms", "max": "200ms"}
        elastic = {"type": "elasticsearch", "url": receiver.url, "batch": batch, "window": WINDOW, "retry": retry}
        archive = file_sink(self.out, batch=batch, window=WINDOW, rotate={"bytes": "150KB"})
        config = write_config(folder, {"acme": source(sim, overlap="1h")}, {"elastic": elastic, "archive": archive})
        self.process = Process(config)
        self.kills: Counter[str] = Counter()
        self._deck: list[str] = []  # dealt like cards, so that every moment has its turn

    async def live(self) -> None:
        while True:
            self.sim.add_events(self.rng.randrange(1, 12))
            await asyncio.sleep(0.05)

    # ------------------------------------------------------------------------------------------------- kills

    async def life(self) -> None:
        """Start the daemon and kill it at a moment that is drawn."""
        moments: dict[str, Callable[[], Any]] = {
            "start": self._starting,
            "page": self._after_a_page,
            "rotation": self._while_rotating,
            "bulk": self._within_a_bulk,
            "any": self._anywhere,
        }
        if not self._deck:
            self._deck = self.rng.sample([*moments, "page", "bulk"], k=len(moments) + 2)
        kind = self._deck.pop()
        self._trouble_elastic()
        await self.process.start()
        # a moment that does not come, because of a back-off, gives way to a moment that is as good
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(6):
                await moments[kind]()
        assert self.process.alive, f"the daemon ended by itself: {self.process.text[-4000:]}"
        await self.process.kill()
        self.kills[kind] += 1

    async def _starting(self) -> None:
        await asyncio.sleep(self.rng.uniform(0, 1.5))

    async def _after_a_page(self) -> None:
        await self._rises(lambda: self.sim.ledger.served_events, self.rng.randrange(1, 1500))
        await asyncio.sleep(self.rng.uniform(0, 0.02))

    async def _while_rotating(self) -> None:
        await self._rises(lambda: len(files_of(self.out)), 1)
        await asyncio.sleep(self.rng.uniform(0, 0.002))

    async def _within_a_bulk(self) -> None:
        await self._rises(lambda: self.receiver.bulk_requests, self.rng.randrange(1, 8))
        await asyncio.sleep(self.rng.uniform(0, 0.01))

    async def _anywhere(self) -> None:
        await self.process.until_logged("started")
        await asyncio.sleep(self.rng.uniform(0, 1))

    async def _rises(self, count: Callable[[], int], by: int) -> None:
        before = count()
        while count() < before + by:  # noqa: ASYNC110 -- the moment right after matters
            await asyncio.sleep(0.0005)

    def _trouble_elastic(self) -> None:
        busy = Response.json(
            {"error": {"type": "es_rejected_execution_exception", "reason": "busy"}, "status": 429}, 429
        )
        troubles = [
            Rule(answer=busy),
            Rule(answer=Response(503)),
            Rule(wire=Wire(stop_at=-1, ending="reset")),
            Rule(wire=Wire(stop_at=3, ending="close")),
            Rule(wire=Wire(delay=0.05)),
        ]
        self.receiver.rules = [Rule(times=self.rng.randrange(1, 6)), self.rng.choice(troubles)]

    # ------------------------------------------------------------------------------------------------- drains

    async def drain(self) -> None:
        """Let everything arrive without faults, and stop in order."""
        rules = self.sim.faults.script.rules
        self.sim.faults.clear()
        self.receiver.rules = []
        await self.process.start()
        await self.process.until(self._has_everything, every=0.2, within=DRAIN)
        await self.process.until_status(
            lambda found: found["balanced"] and not any(line["waiting"] for line in found["books"])
        )
        assert await self.process.stop() == 0, self.process.text[-4000:]
        for rule in rules:
            self.sim.faults.add(**rule.model_dump(by_alias=True))

    def _has_everything(self) -> bool:
        wanted = truth(self.sim)
        return len(self.receiver.stream().ids()) >= len(wanted) and wanted <= set(map(digest, self._lines()))

    def _lines(self) -> list[bytes]:
        return [line for file in files_of(self.out) for line in file.read_bytes().split(b"\n")[:-1]]

    # ------------------------------------------------------------------------------------------------- judgement

    async def judge(self) -> str:
        """Compare the far ends with the ledger; return a table."""
        wanted, ids = truth(self.sim), self.sim.ledger.existed()
        lines = Counter(map(digest, whole_lines(self.out)))
        kept = await look_into(self.spool)
        documents = self.receiver.stream().ids()
        rows = [("", "existed", "there", "missing", "doubled", "doubted")]
        for name, there in (("archive", lines), ("elastic", documents)):
            doubled = sum(there.values()) - len(there)
            missing = len(wanted) - len(there)
            rows.append((name, *map(str, (len(wanted), len(there), missing, doubled, len(kept.in_doubt(name))))))
        table = "\n".join("".join(f"{cell:>10}" for cell in row) for row in rows)
        summary = f"{sum(self.kills.values())} kills {dict(self.kills)}, faults {dict(self.sim.ledger.faults)}\n{table}"
        assert wanted - set(lines) == set(), summary
        assert set(lines) - wanted == set(), summary  # a torn line would be no one's
        assert kept.undoubted("archive", lines) == [], summary
        assert set(kept.numbers) == wanted, summary
        assert len(kept.bodies) == len(kept.numbers), f"the spool holds one content twice; {summary}"
        assert set(self.receiver.stream().counts()) == ids, summary
        assert len(documents) == len(wanted), summary
        assert len(self.receiver.stream()) == len(wanted), summary
        assert self.receiver.refused == [] or {status for _, status in self.receiver.refused} == {409}, summary
        assert [line.balance for line in kept.books] == [0, 0], summary
        assert [line.waiting for line in kept.books] == [0, 0], summary
        restarts = [doubt for doubt in kept.doubts["archive"] if doubt.cause == "restart"]
        at_most = sum(self.kills.values()) * MOST_IN_DOUBT
        assert sum(doubt.last - doubt.first + 1 for doubt in restarts) <= at_most, summary
        return summary


async def survive(folder: Path, kills: int, *, seed: int, events: int, say: Callable[[str], None]) -> Run:
    config = SimulatorConfig(
        seed=seed,
        events=events,
        history="2d",
        late_share=0.05,
        late_up_to="30m",
        switches=Switches(late_visible=0.3, late_visible_share=0.2, reissue=0.02, reissue_within=0.5),
        faults=FAULTS,
    )
    async with Simulator(config) as sim, BulkReceiver() as receiver:
        run = Run(folder, sim, receiver, random.Random(seed))
        async with run.process as process:
            await process.start("setup", "--yes")
            assert await process.wait() == 0, process.text
            living = asyncio.create_task(run.live())
            try:
                for number in range(1, kills + 1):
                    await run.life()
                    if number % 10 == 0:
                        say(f"{number} kills, {len(truth(sim))} events, {len(receiver.stream())} documents")
                    if number == kills // 2:
                        living.cancel()
                        await run.drain()
                        receiver.rollover()  # nothing is in doubt any more: from here on too, each id comes once
                        living = asyncio.create_task(run.live())
            finally:
                living.cancel()
            await run.drain()
            say(await run.judge())
        return run


async def test_nothing_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    await survive(tmp_path, 8, seed=20260131, events=3000, say=print)


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_nothing_is_lost_when_it_is_killed_two_hundred_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    seed = int(os.environ.get("CRASH_SEED", "1"))
    run = await survive(tmp_path, 200, seed=seed, events=20_000, say=say)
    assert run.kills.total() == 200
