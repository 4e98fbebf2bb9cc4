"""Shows people what a sink is sent, as it is sent: a copy of what a viewer can take, and the number of the others.

Invariant: nothing here waits, and what is kept for a viewer is bounded, so that no lane is slower for being watched.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.contracts import Delivery, Record

MOST_EVENTS, MOST_BYTES = 500, 2**20
"""What is kept for one viewer until it asks."""

MOST_EXPECTED = 100
"""Events that are expected at once."""

LONGEST_BODY = 64 * 1024
"""Bytes of one body that are shown."""


class Sent(msgspec.Struct, frozen=True):
    """An event that a sink was sent.

    Attributes:
        number: In the spool.
        document_id: By which the destination knows it.
        body: What the sink was given to send, or the beginning of it.
        length: Of the whole body, bytes.
        outcome: `accepted`; `pending`, its confirmation is awaited; or `refused`.
        reason: Why it was refused, in the destination's words: hostile text.
        at: When, epoch seconds.
    """

    number: int
    document_id: str
    body: bytes
    length: int
    outcome: str
    reason: str
    at: float


class Tap:
    """What one viewer has not taken yet."""

    def __init__(self) -> None:
        self._events: deque[Sent] = deque()
        self._bytes = 0
        self._dropped = 0
        self._news = asyncio.Event()

    def add(self, sent: Sent) -> None:
        """Keep an event; where there is no room, the oldest one goes, and is counted."""
        self._events.append(sent)
        self._bytes += len(sent.body)
        while len(self._events) > MOST_EVENTS or self._bytes > MOST_BYTES:
            self._bytes -= len(self._events.popleft().body)
            self._dropped += 1
        self._news.set()

    async def take(self, wait: float) -> tuple[list[Sent], int]:
        """Take what there is, or what comes within so many seconds; and how many were dropped before it."""
        if not self._events:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()
        taken, dropped = list(self._events), self._dropped
        self._events.clear()
        self._bytes = self._dropped = 0
        self._news.clear()
        return taken, dropped


class Taps:
    """The viewers of one sink, and single events whose fate somebody waits for."""

    def __init__(self) -> None:
        self._taps: list[Tap] = []
        self._expected: dict[int, Sent | None] = {}

    def __bool__(self) -> bool:
        return bool(self._taps or self._expected)

    def expect(self, number: int) -> None:
        """Remember what becomes of an event when it is sent; the oldest of too many are forgotten."""
        self._expected[number] = None
        while len(self._expected) > MOST_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def found(self, number: int) -> Sent | None:
        """Return how the event was sent last; None when it was not, or is not expected."""
        return self._expected.get(number)

    def open(self) -> Tap:
        """Begin to show, from now on."""
        tap = Tap()
        self._taps.append(tap)
        return tap

    def close(self, tap: Tap) -> None:
        """Show nothing more."""
        if tap in self._taps:
            self._taps.remove(tap)

    def sent(self, records: Sequence[Record], delivery: Delivery) -> None:
        """Show what a sink was sent and decided; what it kept comes when it is sent again."""
        now = time.time()
        outcomes = dict.fromkeys(delivery.accepted, ("accepted", ""))
        outcomes |= dict.fromkeys(delivery.pending, ("pending", ""))
        outcomes |= {at: ("refused", f"{why.reason} {why.detail}".strip()) for at, why in delivery.rejected.items()}
        for at, record in enumerate(records):
            if at in outcomes:
                outcome, reason = outcomes[at]
                body = record.body[:LONGEST_BODY]
                sent = Sent(record.seq, record.id, body, len(record.body), outcome, reason, now)
                for tap in self._taps:
                    tap.add(sent)
                if record.seq in self._expected:
                    self._expected[record.seq] = sent
