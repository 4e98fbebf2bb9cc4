"""A source, its spool, its poller with every cursor, and sinks, over simulated time; the spool and the poller are real."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forwarder.admin.reconcile import Found, Reconciliation
from forwarder.contracts import Asked, SourceConfig
from forwarder.contracts.identity import document_id
from forwarder.daemon.doubts import DoubtWatch
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.poller import Poller
from forwarder.reconcile.look import look_at, only_recognised
from forwarder.reconcile.verdict import Chosen, Verdict
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Chunk, Settlement
from forwarder.spool.evidence import IdsWanted
from forwarder.spool.gap import Gap
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock
from tests.polling.pollers import attempt
from tests.truth.log import NEVER, ORIGIN, Log

MINUTE, HOUR, DAY = 60, 3600, 86_400
LOOK_EVERY = 5 * MINUTE


class FarEnd:
    """A sink that has what it took, by its body and by its document id, unless it drops it."""

    ids_at_once = 1000

    def __init__(self, name: str, on_full: str = "pause") -> None:
        self.name = name
        self.on_full = on_full
        self.has: dict[bytes, str] = {}
        self.takes = True
        self.lane = 0
        self.after = 0

    def take(self, chunk: Chunk) -> None:
        for at, body in enumerate(chunk.bodies):
            digest = chunk.revisions.get(at)
            self.has[body] = document_id(chunk.keys[16 * at : 16 * at + 16], digest)

    async def holds(self, asked: Asked) -> set[str]:
        return set(asked.ids) & set(self.has.values())


class World:
    """All of it. `sinks` are opened with the spool."""

    def __init__(
        self,
        folder: Path,
        rng: random.Random,
        *,
        source: dict[str, Any] | None = None,
        spool: dict[str, Any] | None = None,
        retention_ms: int = 180 * DAY * 1000,
    ) -> None:
        self.clock = FakeClock()
        self.rng = rng
        self.log = Log(self.clock, rng, retention_ms=retention_ms)
        self.sinks = {"out": FarEnd("out")}
        self.report = SourceReport("acme", "organization")
        self._config = SourceConfig(type="log", **{"every": 300, "since": 0, **(source or {})})
        self._settings = {"retain": 30 * DAY, "id_retention": 60 * DAY, **(spool or {}), "path": folder / "spool.db"}
        self.is_eager = False  # sinks take after every page
        self._looked = 0.0
        self._next_plain = 0.0
        self._plain = 0

    async def start(self) -> None:
        self.spool = SqliteSpool(SpoolConfig(**self._settings), self.clock)
        await self.spool.open()
        self.poller = Poller(
            self.log,  # type: ignore[arg-type]
            self._config,
            spool=self.spool,
            budget=RequestBudget(self.clock, 1e9),
            clock=self.clock,
            rng=random.Random(1),
            report=self.report,
        )
        await self.poller._open()
        self._watch = DoubtWatch(
            self.spool,
            {"acme": self.log},  # type: ignore[dict-item]
            {"acme": self.report},
            self.clock,
            asyncio.Event(),
            every=LOOK_EVERY,
        )
        self._reconciliation = Reconciliation(self.spool, self._proofs, self.clock.time)
        for sink in self.sinks.values():
            state = await self.spool.open_lane(sink.name, "memory", start="oldest", on_full=sink.on_full)
            sink.lane, sink.after = state.number, state.position

    async def _proofs(self) -> dict[str, str]:
        return dict.fromkeys(self.sinks, "delivered")

    async def restart(self, between: Callable[[], None] = lambda: None) -> None:
        await self.spool.close()
        between()
        await self.start()

    # ------------------------------------------------------------------------------------------------------- time

    async def follow(self, seconds: float, *, plain_every: float = 20 * MINUTE) -> None:
        """Let time go by: plain events happen, the poller asks, sinks take, and the watch looks."""
        end = self.clock.now + seconds
        self._next_plain = max(self._next_plain, self.clock.now + plain_every / 4)
        while self.clock.now < end:
            if self.clock.now >= self._next_plain:
                self._next_plain = self.clock.now + plain_every * self.rng.uniform(0.5, 1.5)
                self._plain += 1
                self.log.happen(f"plain-{self._plain}")
            if self.clock.now >= self._looked + LOOK_EVERY:
                self._looked = self.clock.now
                await self.deliver()
                await self._watch.look()
            await self._step(min(end, self._looked + LOOK_EVERY, self._next_plain))

    async def _step(self, latest: float) -> None:
        await self.poller._reconcile.begin()
        name, wait = self.poller._choose()
        if wait > 0:
            self.clock.advance(max(0.001, min(wait + 0.001, latest - self.clock.now)))
            return
        await attempt(self.poller, name)
        if self.is_eager:
            await self.deliver()
        self.clock.advance(1)

    async def deliver(self) -> None:
        """Let every sink that takes have what waits for it."""
        for sink in self.sinks.values():
            if sink.takes:
                sink.after = await self._drain(sink.lane, sink.after, sink)

    async def replay(self, sink: FarEnd, order: Any) -> None:
        """Send once more what the spool has."""
        replay = await self.spool.operations.begin_replay(order)
        state = await self.spool.operations.open_replay(replay.number)
        await self._drain(state.number, state.position, sink)
        assert await self.spool.operations.close_replay(replay.number)

    async def _drain(self, lane: int, after: int, sink: FarEnd) -> int:
        settled = Settlement()
        while True:
            done = await self.spool.exchange(lane, settled, after=after, events=500)
            settled = Settlement(ranges=[(chunk.first, chunk.last) for chunk in done.chunks])
            for chunk in done.chunks:
                sink.take(chunk)
            if not done.chunks:
                return max(after, done.position)
            after = done.chunks[-1].last

    # ---------------------------------------------------------------------------------------------------- what is said

    async def gaps(self) -> list[Gap]:
        return (await self.spool.status()).gaps

    async def verdict(self) -> Verdict:
        return await self._reconciliation.verdict(Chosen())

    async def verify(self) -> None:
        """Ask every sink what it has, and put that on record."""
        verdict = await self.verdict()
        for sink in self.sinks.values():
            mine = [line for line in verdict.lines if line.sink == sink.name and line.accepted]
            looks = [
                await look_at(line, sink, self._ids(line.source, sink.name, line.day), origin=ORIGIN) for line in mine
            ]
            for look in only_recognised(looks):
                if look.state != "not known":
                    found = Found(look.line.source, look.line.sink, look.line.day, look.dropped, look.why)
                    await self._reconciliation.found(found, "nobody")

    async def _ids(self, source: str, sink: str, day: str) -> Any:
        page = await self.spool.known_ids(IdsWanted(source, sink, day), limit=10**6)
        for each in page.ids:
            yield each

    def missing(self, sink: FarEnd | None = None) -> list[str]:
        """Return what the log had, could be read in time, and is not there."""
        there = (sink or self.sinks["out"]).has
        return [entry.name for entry in self.log.entries if entry.visible < NEVER and entry.body not in there]

    async def balances(self) -> bool:
        return all(line.balance == 0 for line in await self.spool.books())
