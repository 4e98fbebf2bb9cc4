"""The whole engine in this process, on real sockets and a real spool, against a simulated Atlassian."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from forwarder.config.settings import load
from forwarder.contracts import Clock
from forwarder.daemon.daemon import Daemon
from forwarder.daemon.service_manager import ServiceManager
from forwarder.testing.waiting import until
from simulator.simulator import Simulator

T = TypeVar("T")

QUICK_SOURCE = {"every": "50ms", "trailing": "20s", "trailing_every": "300ms", "heal_every": "50ms", "overlap": "24h"}
"""Poll settings shrunk so that a test sees in a second what production sees in five minutes."""


def source(sim: Simulator, organization: str | None = None, **more: Any) -> dict[str, Any]:
    org = organization or sim.org_id
    return {
        "type": "organization",
        "org_id": org,
        "api_key": sim.api_key_of(org),
        "base_url": sim.base_url,
        "budget": "fast",
        **QUICK_SOURCE,
        **more,
    }


def file_sink(path: Path, **more: Any) -> dict[str, Any]:
    return {"type": "file", "path": str(path), "format": "raw", "batch": {"wait": 0.02}, **more}


class Engine:
    """One daemon; `lines` reads what a file sink has."""

    def __init__(self, daemon: Daemon, task: asyncio.Task[None]) -> None:
        self.daemon = daemon
        self.task = task

    async def until(self, holds: Callable[[], T | Awaitable[T]]) -> T:
        return await until(holds, watch=self.watch, every=0.02)

    async def until_settled(self, sink: str = "") -> None:
        """Wait until nothing waits, for a sink or for any."""

        async def settled() -> bool:
            books = (await self.daemon.report()).books
            return not any(line.waiting for line in books if sink in {"", line.sink})

        await self.until(settled)

    def watch(self) -> None:
        """Fail when the daemon ended by itself."""
        if self.task.done():
            self.task.result()
            raise AssertionError("the daemon ended")

    async def stop(self) -> None:
        self.daemon.stop()
        await self.task


@asynccontextmanager
async def engine(
    folder: Path,
    sources: dict[str, Any],
    sinks: dict[str, Any],
    *,
    rng: random.Random | None = None,
    clock: Clock | None = None,
    manager: ServiceManager | None = None,
    **more: Any,
) -> AsyncIterator[Engine]:
    tree = {
        "spool": {"path": str(folder / "spool.db")},
        "sources": sources,
        "sinks": sinks,
        "budgets": {"fast": {"requests_per_minute": 600_000}},
        "admin": {"listen": "127.0.0.1:0"},
        "shutdown": {"grace": "10s"},
        **more,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    daemon = Daemon(load(path), rng=rng, clock=clock, manager=manager)
    task = asyncio.create_task(daemon.run())
    running = Engine(daemon, task)
    try:
        yield running
    finally:
        if not task.done():
            daemon.stop()
        await task


def lines_of(path: Path) -> list[bytes]:
    """Return the complete lines of a file, without their ends."""
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]


def digests_of(path: Path) -> Counter[str]:
    """Return how often each content came."""
    return Counter(hashlib.sha256(line).hexdigest() for line in lines_of(path))


def truth(sim: Simulator) -> set[str]:
    """Return the digest of every content of every event that existed."""
    return {version.digest for versions in sim.ledger.versions().values() for version in versions}
