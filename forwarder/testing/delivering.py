"""A lane on its way to a far end, with the real spool between: what the clauses of a sink are tried with."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from forwarder.delivery import Lane
from forwarder.registry import FORMATS
from forwarder.testing.far_end import FarEnd, build, format_name
from forwarder.testing.lanes import Bench, bench, event

EVENTS = 25
"""Three batches of the test's lane (ten each), so that there is always one behind the one in trouble."""


class Delivering:
    """A lane on its way to a far end."""

    def __init__(self, b: Bench, end: FarEnd, folder: Path) -> None:
        self.bench, self.end, self.folder = b, end, folder
        self.sink: Any = None
        self.lane: Lane = None  # type: ignore[assignment]

    def start(self, *, patience: float | None = None, **more: Any) -> None:
        """Build the sink with further settings, and let its lane run."""
        tried = {} if patience is None else {self.end.patience: patience}
        self.sink = build(self.end, **tried, **more)
        config = {"confirm_within": 2} if patience is None else {"confirm_within": 2, "patience": patience}
        self.lane = self.bench.start("one", self.sink, render=FORMATS.load(format_name(self.end))(), **config)

    async def fill(self, count: int = EVENTS, prefix: str = "e") -> None:
        """Put events into the spool, named by the prefix and a number."""
        await self.bench.fill(*(event(f"{prefix}{n}") for n in range(count)))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the condition holds."""
        await self.bench.until(holds)

    async def arrived(self) -> Counter[str]:
        """Wait until nothing waits; return what is there."""
        await self.bench.drained("one")
        await self.bench.balanced()
        return self.end.landed

    async def in_doubt(self) -> set[str]:
        """Return the events that were on record as in flight when they may have come twice."""
        names = self.bench.names
        return {names[seq - 1] for first, last in await self.bench.doubts("one") for seq in range(first, last + 1)}

    async def only_doubtful_doubles(self, landed: Counter[str]) -> None:
        """Fail when something came twice that was not on record as in flight."""
        doubled = {name for name, times in landed.items() if times > 1}
        if "idempotent" in self.end.can:
            assert doubled == set(), "what was sent again did not find itself"
        assert doubled <= await self.in_doubt()


@asynccontextmanager
async def delivering(kind: type[FarEnd], folder: Path) -> AsyncIterator[Delivering]:
    """Open a far end of this kind, with a lane before it that has not begun."""
    end = kind(folder)
    await end.open()
    try:
        async with bench(folder) as b:
            made = Delivering(b, end, folder)
            try:
                yield made
            finally:
                for lane in list(b.lanes):
                    await b.stop(lane)
                if made.sink is not None:
                    await made.sink.close()
    finally:
        await end.close()


def everything(count: int = EVENTS, prefix: str = "e") -> set[str]:
    """Return the names that `fill` gives."""
    return {f"{prefix}{n}" for n in range(count)}
