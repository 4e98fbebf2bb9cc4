"""The real spool with events in it, and the real lane before a sink: what the clauses of a sink are tried with."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from forwarder.assembly import build_spool
from forwarder.contracts import Batch, Format, Normalizer, Origin, Page, Record, SinkConfig, SinkTraits, SystemClock
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.delivery import Lane
from forwarder.observe.reports import LaneReport
from forwarder.records.filters import Chooses, Filter
from forwarder.records.maker import RecordMaker
from forwarder.registry import FORMATS, SOURCES
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import CursorMove, PageCommit
from forwarder.testing.waiting import LONGEST, until

ORIGIN = Origin("acme", "organization", "org-1")
KEYS = EventKeys("organization", "org-1")


def event(name: str, action: str = "user_login") -> bytes:
    """Return an event of an organization as the API sends it."""
    return (
        f'{{"id":"{name}","attributes":{{"time":"2026-01-31T10:00:00Z","action":"{action}","actor":{{"id":"a1"}}}}}}'
    ).encode()


def batch_of(*bodies: bytes, slot: int = 0, first: int = 1) -> Batch:
    """Make a batch of rendered records with consecutive numbers and ids."""
    origin = Origin("acme", "organization", "org-1")
    return Batch(
        [
            Record(seq=first + index, origin=origin, id=f"{first + index:032x}", raw=body, body=body)
            for index, body in enumerate(bodies)
        ],
        slot,
    )


class Bench:
    """One spool; lanes come and go."""

    def __init__(self, spool: Any) -> None:
        self.spool = spool
        self.source = 0
        self.epoch = 0
        self.version: int | None = None
        self.lanes: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        self.names: list[str] = []
        self.redact: Callable[[str], str] = str

    @property
    def document_ids(self) -> list[str]:
        """Return the document id of each event, by its number less one."""
        return [key.hex() for key in KEYS.keys(self.names)]

    async def open(self) -> None:
        """Make the source known that the events are of."""
        state = await self.spool.open_source(ORIGIN)
        self.source, self.epoch = state.number, state.epoch
        self.version = state.cursors["tail"].version if "tail" in state.cursors else None

    async def fill(self, *bodies: bytes) -> None:
        """Commit a page of events, whose id is the first text in each."""
        names = [body.split(b'"')[3].decode() for body in bodies]
        page = Page(
            bodies=bodies, keys=KEYS.keys(names), digests=content_digests(bodies), minutes=["m"] * len(bodies), next={}
        )
        done = await self.spool.commit(
            PageCommit(self.source, self.epoch, [CursorMove("tail", self.version, {})], page)
        )
        self.version = done.versions["tail"]
        self.names += names
        for lane, _ in self.lanes.values():
            lane.ring()

    def start(
        self, name: str, sink: Any, needs: Normalizer | None = None, render: Format | None = None, **config: Any
    ) -> Lane:
        """Let a lane run, with times so short that a test waits for nothing."""
        lane = self.make(name, sink, needs, render, **config)
        self.lanes[name] = lane, asyncio.create_task(lane.run())
        return lane

    def make(
        self,
        name: str,
        sink: Any,
        needs: Normalizer | None = None,
        render: Format | None = None,
        *,
        spool: Any = None,
        chosen: Chooses | None = None,
        **config: Any,
    ) -> Lane:
        """Make a lane that `start` would let run, or one over another spool and with another filter."""
        made = SinkConfig(
            type="scripted",
            **{
                "batch": {"events": 10, "wait": 0.01},
                "retry": {"base": 0.001, "max": 0.01},
                "confirm_every": 0.02,
                **config,
            },
        )
        report = LaneReport(name, "scripted")
        traits = SinkTraits.of(sink)
        meaning = needs or SOURCES.load(ORIGIN.feed).normalizer()
        maker = RecordMaker(
            render or FORMATS.load("raw")(),
            chosen or Filter(made.include, made.exclude),
            lambda _: meaning,
            report.unknown_actions,
            wants_event=traits.wants_event,
            max_body=traits.max_body,
        )
        return Lane(
            name,
            sink,
            made,
            spool=spool or self.spool,
            maker=maker,
            clock=SystemClock(),
            rng=random.Random(1),
            report=report,
            redact=self.redact,
        )

    async def stop(self, name: str) -> None:
        """Let a lane end as the daemon does."""
        lane, task = self.lanes.pop(name)
        lane.stop()
        await task

    async def until(self, holds: Callable[[], bool], within: float = LONGEST) -> None:
        """Wait until the condition holds; fail when a lane ended with an error."""
        await until(holds, watch=self.watch, shown=self.shown, every=0.002, within=within)

    def watch(self) -> None:
        """Fail when a lane ended with an error."""
        for _, task in self.lanes.values():
            if task.done():
                task.result()

    def shown(self) -> str:
        """Say how the lanes are."""
        return str({name: (lane.report.state, lane.report.reason) for name, (lane, _) in self.lanes.items()})

    async def drained(self, name: str, *, others: bool = False, waiting: int = 0) -> None:
        """Wait until the spool, not only the lane, says that nothing waits, or no more than so many.

        With `others`, events go on coming: a sink that refuses the last ones is believed once it takes another.
        """
        looks = count(1)

        async def nothing_waits() -> bool:
            if others and (look := next(looks)) % 50 == 0:
                await self.fill(event(f"other{look}"))
            lines = [line for line in await self.spool.books() if line.sink == name]
            return bool(lines and self.names) and all(line.waiting == waiting for line in lines)

        await until(nothing_waits, watch=self.watch, shown=self.shown, every=0.005)

    async def doubts(self, name: str) -> list[tuple[int, int]]:
        """Return the ranges of a lane that may have been delivered twice."""
        number = next(lane.number for lane in (await self.spool.status()).lanes if lane.name == name)
        return [(doubt.first, doubt.last) for doubt in await self.spool.doubts(number)]

    async def balanced(self) -> None:
        """Fail unless every event of every lane is accounted for."""
        lines = await self.spool.books()
        assert lines
        assert {(line.sink, line.balance) for line in lines} == {(line.sink, 0) for line in lines}


@asynccontextmanager
async def bench(folder: Path, **config: Any) -> AsyncIterator[Bench]:
    """Open a spool in the folder."""
    spool = build_spool(SpoolConfig(path=folder / "spool.db", **config), SystemClock())
    await spool.open()
    made = Bench(spool)
    await made.open()
    try:
        yield made
    finally:
        for name in list(made.lanes):
            await made.stop(name)
        await spool.close()
