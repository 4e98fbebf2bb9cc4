"""Pages and spools for tests: an event is (id, content, minute), and everything else follows from it."""

from __future__ import annotations

import contextlib
import hashlib
import random
from typing import TYPE_CHECKING

from forwarder.contracts import Origin, Page
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import CursorMove, PageCommit, Settlement
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from forwarder.contracts import Clock
    from forwarder.spool.books import Books
    from forwarder.spool.contract import Chunk, Committed, SourceState, SpoolStatus

ACME = Origin("acme", "organization", "org-1")
OTHER = Origin("other", "organization", "org-2")
MINUTE = "2026-01-31T12:00"


def key_of(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def body_of(name: str, content: str = "") -> bytes:
    return f'{{"id":"{name}","content":"{content}"}}'.encode()


def page_of(*events: str | tuple[str, str] | tuple[str, str, str], derived: Iterable[int] = (), **more) -> Page:
    """Make a page of events given as id, (id, content) or (id, content, minute)."""
    whole = [((event,) if isinstance(event, str) else event) for event in events]
    full = [(*event, *("", MINUTE)[len(event) - 1 :]) for event in whole]
    bodies = [body_of(name, content) for name, content, _ in full]
    return Page(
        bodies=bodies,
        keys=[key_of(name) for name, _, _ in full],
        digests=[hashlib.blake2b(body, digest_size=8).digest() for body in bodies],
        minutes=[minute for _, _, minute in full],
        next={},
        derived=frozenset(derived),
        **more,
    )


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def bulky(prefix: str, count: int = 50, size: int = 1000) -> Page:
    """Make a page that hardly compresses, about count * size bytes at rest."""
    rng = random.Random(prefix)
    return page_of(*((f"{prefix}{number}", rng.randbytes(size).hex()) for number in range(count)))


class Harness:
    """A spool with one source and its clock, and the shortest way to say what happens."""

    def __init__(self, folder: Path, **settings) -> None:
        self.clock = FakeClock()
        self.config = SpoolConfig(path=folder / "spool.db", **settings)
        self.spool = SqliteSpool(self.config, self.clock)
        self.source: SourceState

    async def open(self) -> Harness:
        await self.spool.open()
        self.source = await self.spool.open_source(ACME)
        return self

    async def reopen(self) -> Harness:
        await self.spool.close()
        self.spool = SqliteSpool(self.config, self.clock)
        return await self.open()

    async def put(self, *events, audience: str | None = None, page: Page | None = None, moves=()) -> Committed:
        return await self.spool.commit(
            PageCommit(
                source=self.source.number,
                epoch=self.source.epoch,
                page=page or (page_of(*events) if events else None),
                audience=audience,
                moves=moves,
            )
        )

    async def lane(self, name: str = "elastic", *, target: str = "t", start: str | None = None, on_full="pause") -> int:
        return (await self.spool.open_lane(name, target, start=start, on_full=on_full)).number

    async def take(self, lane: int, events: int = 10_000, after: int = 0) -> list[Chunk]:
        return (await self.spool.exchange(lane, Settlement(), after=after, events=events)).chunks

    async def settle(self, lane: int, *spans: tuple[int, int]) -> int:
        """Settle as accepted; return the position."""
        return (await self.spool.exchange(lane, Settlement(ranges=list(spans)), after=0, events=0)).position

    async def settle_taken(self, lane: int) -> None:
        """Take everything there is and settle it as accepted."""
        chunks = await self.take(lane)
        await self.settle(lane, *((chunk.first, chunk.last) for chunk in chunks))

    async def drain(self, lane: int) -> list[bytes]:
        """Take and settle everything; return the bodies."""
        bodies: list[bytes] = []
        after = 0
        while chunks := await self.take(lane, 500, after):
            for chunk in chunks:
                fresh = [seq for seq in range(chunk.first, chunk.last + 1) if seq not in chunk.settled]
                bodies += [chunk.bodies[seq - chunk.first] for seq in fresh]
                await self.settle(lane, *((seq, seq) for seq in fresh))
            after = chunks[-1].last
        return bodies

    async def balances(self) -> dict[tuple[str, str], int]:
        return {(line.source, line.sink): line.balance for line in await self.spool.books()}

    async def line(self, sink: str = "elastic", source: str = "acme"):
        return next(line for line in await self.spool.books() if (line.sink, line.source) == (sink, source))


@contextlib.asynccontextmanager
async def opened(folder: Path, **settings) -> AsyncIterator[Harness]:
    harness = await Harness(folder, **settings).open()
    try:
        yield harness
    finally:
        await harness.spool.close()


def move(name: str, version: int | None, **state) -> CursorMove:
    return CursorMove(name, version, state)


def found(chunks: list[Chunk]) -> list[bytes]:
    return [body for chunk in chunks for body in chunk.bodies]


async def inspect(config: SpoolConfig, clock: Clock) -> tuple[SpoolStatus, list[Books]]:
    """Look into the spool of a stopped forwarder, under its lock."""
    spool = SqliteSpool(config, clock)
    await spool.open(create=False)
    try:
        return await spool.overview()
    finally:
        await spool.close()
