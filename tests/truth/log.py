"""A log in memory that withholds, delays, repeats and reorders what it has, and its ledger of what it really had."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from forwarder.contracts import CursorLost, Origin, Page
from forwarder.contracts.identity import EventKeys, content_digests
from tests.clocks import FakeClock

ORIGIN = Origin("acme", "organization", "org-1")
KEYS = EventKeys("organization", "org-1")
NEVER = 2**60


@dataclass(frozen=True)
class Entry:
    """One version of an event; times are epoch milliseconds."""

    name: str
    version: int
    processed: int
    visible: int
    body: bytes

    @property
    def minute(self) -> str:
        return datetime.fromtimestamp((self.processed - 700) / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


@dataclass
class Log:
    """Ascending by processing time, bounds included, with cursors; an answer may be withheld or in another order.

    Attributes:
        entries: The ledger.
        epoch: Cursors of an older one are refused.
        fault: Makes what is raised instead of an answer.
        shuffles: The events of a page come in any order.
    """

    clock: FakeClock
    rng: random.Random
    limit: int = 50
    retention_ms: int | None = 180 * 86_400_000
    entries: list[Entry] = field(default_factory=list)
    epoch: int = 0
    fault: Callable[[], Exception] | None = None
    shuffles: bool = False
    feed: str = "organization"
    reads: str = "stream"
    keeps_to_an_end: bool = True
    origin: Origin = ORIGIN

    @property
    def now_ms(self) -> int:
        return int(self.clock.now * 1000)

    def happen(
        self, name: str, *, ago: float = 0, hidden: float = 0, version: int = 1, size: int = 0, never: bool = False
    ) -> Entry:
        """Let an event be processed some seconds ago, and be visible after some seconds from then on, or never."""
        processed = self.now_ms - int(ago * 1000)
        body = f'{{"id":"{name}","version":{version},"x":"{self.rng.randbytes(size).hex()}"}}'.encode()
        made = Entry(name, version, processed, NEVER if never else processed + int(hidden * 1000), body)
        self.entries.append(made)
        return made

    def shown(self) -> list[Entry]:
        """Return what the log shows now."""
        return [entry for entry in self.entries if entry.visible <= self.now_ms]

    def walk(self, since_ms: int, until_ms: int | None = None) -> dict[str, Any]:
        return {"from": since_ms} if until_ms is None else {"from": since_ms, "to": until_ms}

    async def fetch(self, state: dict[str, Any]) -> Page:
        if self.fault is not None:
            raise self.fault()
        if state.get("epoch", self.epoch) != self.epoch:
            raise CursorLost("ADMIN-400-1")
        after = tuple(state.get("after", (-1, "", 0)))
        end = state.get("to", NEVER)
        rest = sorted(
            (entry for entry in self.shown() if state["from"] <= entry.processed <= end and _place(entry) > after),
            key=_place,
        )
        page = rest[: self.limit]
        at = _place(page[-1]) if page else after
        if self.shuffles:
            self.rng.shuffle(page)
        bodies = [entry.body for entry in page]
        return Page(
            bodies=bodies,
            keys=KEYS.keys(entry.name for entry in page),
            digests=content_digests(bodies),
            minutes=[entry.minute for entry in page],
            next={**state, "after": list(at), "epoch": self.epoch, "n": state.get("n", 0) + 1},
            more=len(rest) > self.limit,
            done=not page,
            newest=max((entry.processed for entry in page), default=None),
        )


def _place(entry: Entry) -> tuple[int, str, int]:
    return entry.processed, entry.name, entry.version
