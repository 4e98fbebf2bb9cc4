"""A poller and a real spool over a product of a simulated site, in simulated time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from forwarder.contracts import SourceContext
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import REREAD, TAIL
from forwarder.polling.poller import Poller
from forwarder.registry import SOURCES
from forwarder.spool.contract import Settlement
from forwarder.spool.sqlite.store import SqliteSpool
from simulator.config import Products, SimulatorConfig
from simulator.products.deeds import Product
from simulator.simulator import Simulator
from tests.clocks import FakeClock
from tests.polling.pollers import attempt, poller_of, spool_in

STEPS = {"since": 3 * 86400, "trailing": 600, "overlap": 7200, "every": 30}


class Course:
    """One source of a site. What it is asked of the API, it asks of a real server.

    Attributes:
        sim: The simulator.
        log: What the product recorded.
        source: Of the present life.
        poller: Of the present life.
    """

    def __init__(self, sim: Simulator, spool: SqliteSpool, clock: FakeClock, product: Product, **config: Any) -> None:
        self.sim, self.spool, self.clock, self.product = sim, spool, clock, product
        self.site = next(iter(sim.sites.values()))
        self.log = self.site.logs[product]
        self.settings = {
            "type": product,
            "site": self.site.name,
            "site_url": f"{sim.base_url}/site/{{site}}",
            "gateway": sim.base_url,
            "email": self.site.email,
            "token": self.site.scoped_token,
            **STEPS,
            **config,
        }
        self.source: Any = None
        self.poller: Poller
        self.reconcile: Any = "off"

    async def start(self, **config: Any) -> None:
        """Begin another life of the source and its poller."""
        if self.source is not None:
            await self.source.close()
        kind = SOURCES.load(self.product)
        made = kind.Config(**{**self.settings, **config})
        self.source = kind(made, SourceContext("acme", self.clock, RequestBudget(self.clock, 1e9)))
        steps = {name: getattr(made, name) for name in STEPS}
        self.poller = poller_of(self.source, self.spool, self.clock, reconcile=self.reconcile, **steps)
        await self.poller._open()

    @property
    def now_ms(self) -> int:
        """Return the present."""
        return int(self.clock.time() * 1000)

    async def step(self) -> None:
        """Ask once, or wait until it is time to."""
        await self.poller._reconcile.begin()
        name, wait = self.poller._choose()
        if wait > 0:
            self.clock.advance(wait + 0.001)
        else:
            await attempt(self.poller, name)

    async def killed(self, rng: random.Random) -> None:
        """End a request wherever it is, and begin another life."""
        task = asyncio.create_task(self.step())
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await self.start()

    async def until(self, holds: Callable[[], bool], most: int = 5000) -> None:
        """Go on until something holds."""
        for _ in range(most):
            if holds():
                return
            await self.step()
        raise AssertionError(f"not after {most} steps: {self.poller.report} {self.poller._rows}")

    async def rest(self) -> None:
        """Go on until history is read and the last hours were read again."""
        for _ in range(2):
            await self.until(self._is_at_rest)
            begun = self._begun()
            self.clock.advance(7300)
            await self.until(lambda begun=begun: self._begun() > begun)  # type: ignore[misc]
            await self.until(self._is_at_rest)

    def _is_at_rest(self) -> bool:
        return self.poller._open_walks() == [TAIL] and self.poller._at_tip

    def _begun(self) -> float:
        return float(self.poller._rows[REREAD].state["begun"])

    async def bodies(self) -> Counter[bytes]:
        """Count every event of the spool as it came."""
        lane = await self.spool.open_lane("all", "memory", start=None, on_full="pause")
        found: Counter[bytes] = Counter()
        after = lane.position
        while chunks := (await self.spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
            found.update(bytes(body) for chunk in chunks for body in chunk.bodies)
            after = chunks[-1].last
        return found

    async def all_arrived(self, log: str) -> None:
        """Hold the spool against what existed in a log of the ledger: nothing missing, nothing twice."""
        existed = Counter(body for found in self.sim.ledger.bodies(log).values() for body in found)
        arrived = await self.bodies()
        assert not existed - arrived, f"{(existed - arrived).total()} of {existed.total()} are missing"
        assert not arrived - existed, f"{(arrived - existed).total()} came more often than they happened"


@asynccontextmanager
async def course(folder: Path, product: Product, products: Products, **config: Any) -> AsyncIterator[Course]:
    """Open a simulated site, a spool, and a source between them."""
    clock = FakeClock()
    made = SimulatorConfig(events=0, history="2d", products=products)  # type: ignore[arg-type]
    async with Simulator(made, clock=clock.time) as sim, spool_in(folder, clock) as spool:
        c = Course(sim, spool, clock, product, **config)
        await c.start()
        try:
            yield c
        finally:
            await c.source.close()
