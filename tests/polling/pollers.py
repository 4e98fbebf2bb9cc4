"""Pollers over a scripted source and a real spool."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from forwarder.contracts import (
    Clock,
    Origin,
    Page,
    SourceConfig,
    SystemClock,
)
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.poller import Poller
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Settlement
from forwarder.spool.sqlite.store import SqliteSpool
from forwarder.testing import waiting

KEYS = EventKeys("organization", "org-1")


def bodies_of(*names: str, size: int = 0) -> list[bytes]:
    return [f'{{"id":"{name}","x":"{random.Random(name).randbytes(size).hex()}"}}'.encode() for name in names]


def page(state: dict[str, Any], *names: str, size: int = 0, **more: Any) -> Page:
    bodies = bodies_of(*names, size=size)
    given = {"next": {**state, "n": state.get("n", 0) + 1} if names else state, "done": not names, **more}
    return Page(
        bodies=bodies, keys=KEYS.keys(names), digests=content_digests(bodies), minutes=["m"] * len(names), **given
    )


class ScriptedSource:
    """Answers as a function of the walk's state says; an exception is raised."""

    feed = "organization"
    reads = "stream"
    retention_ms = 180 * 86_400_000
    Config = SourceConfig

    def __init__(
        self, answer: Callable[[dict[str, Any]], Any], name: str = "acme", organization: str = "org-1"
    ) -> None:
        self.origin = Origin(name, self.feed, organization)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.walks = 0

    def walk(self, since_ms: int, until_ms: int | None = None) -> dict[str, Any]:
        self.walks += 1
        return {"walk": self.walks, "from": since_ms}

    async def fetch(self, state: dict[str, Any]) -> Page:
        self.asked.append(state)
        result = self.answer(state)
        if isinstance(result, Exception):
            raise result
        return result

    async def probe(self) -> list:
        return []

    async def close(self) -> None:
        return


def quiet(state: dict[str, Any]) -> Page:
    return page(state)


@asynccontextmanager
async def spool_in(folder: Path, clock: Clock | None = None, **config: Any) -> AsyncIterator[SqliteSpool]:
    spool = SqliteSpool(SpoolConfig(path=folder / "spool.db", **config), clock or SystemClock())
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


def poller_of(
    source: ScriptedSource,
    spool: SqliteSpool,
    clock: Clock | None = None,
    budget: RequestBudget | None = None,
    **config: Any,
) -> Poller:
    clock = clock or SystemClock()
    configured = config.pop("configured", ())
    made = SourceConfig(type="scripted", **{"every": 30, "since": 0, "reconcile": "off", **config})
    return Poller(
        source,
        made,
        spool=spool,
        budget=budget or RequestBudget(clock, 1e9),
        clock=clock,
        rng=random.Random(1),
        report=SourceReport("acme", "scripted"),
        configured=configured,
    )


async def step(poller: Poller, name: str) -> None:
    """Ask once for a cursor; a fault is raised."""
    if await poller._asker.may_ask(name):
        await poller._request(name)


async def attempt(poller: Poller, name: str) -> None:
    """Ask once for a cursor; a fault becomes its state."""
    if await poller._asker.may_ask(name):
        await poller._attempt(name)


@asynccontextmanager
async def running(poller: Poller) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(poller.run())
    try:
        yield task
    except BaseException:
        task.cancel()  # what it waits for may never come now
        raise
    finally:
        poller.stop()
        await asyncio.wait([task])


async def until(holds: Callable[[], bool], task: asyncio.Task[None] | None = None) -> None:
    def watch() -> None:
        if task is not None and task.done():
            task.result()
            raise AssertionError("the poller ended")

    await waiting.until(holds, watch=watch, every=0.005)


async def spooled(spool: SqliteSpool) -> list[str]:
    lane = await spool.open_lane("all", "memory", start=None, on_full="pause")
    names: list[str] = []
    after = lane.position
    while chunks := (await spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
        names += [body.split(b'"')[3].decode() for chunk in chunks for body in chunk.bodies]
        after = chunks[-1].last
    return names
