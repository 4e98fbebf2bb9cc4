"""One connection of a syslog stream: what was written to it, and how far that is believed. Pure, but for its pipe."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from sinks.syslog.connection import Pipe, Taken


class _Mark(NamedTuple):
    """One batch on a connection: its number, and how many bytes the system had to pass on when it was written."""

    number: int
    end: int


class Trust:
    """How far one connection is believed.

    Args:
        seconds: How long a batch must have been acknowledged on a connection that is well.

    Attributes:
        good: The last batch that is believed; they are numbered from 1.
        stalled_since: When it was first seen that nothing moves although something waits, monotonic seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._sent: deque[_Mark] = deque()  # not acknowledged yet
        self._arrived: deque[tuple[int, float]] = deque()  # number, when that was first seen
        self._acknowledged = -1
        self._noted = 0
        self.good = 0
        self.stalled_since: float | None = None

    def note(self, taken: Taken | None) -> int:
        """Note a batch that the system has whole; return its number."""
        self._noted += 1
        self._sent.append(_Mark(self._noted, sum(taken) if taken else 0))
        return self._noted

    def seen_well(self, taken: Taken | None, now: float) -> None:
        """Note that the connection is well at this moment (monotonic seconds)."""
        acknowledged = taken.acknowledged if taken else 0
        while self._sent and self._sent[0].end <= acknowledged:
            self._arrived.append((self._sent.popleft().number, now))
        # While nothing moves although something waits, the other side is not reading: it may never read the rest.
        stalled = taken is not None and taken.waiting > 0 and acknowledged == self._acknowledged
        self._acknowledged = acknowledged
        if not stalled:
            self.stalled_since = None
        elif self.stalled_since is None:
            self.stalled_since = now
        while not stalled and self._arrived and now - self._arrived[0][1] >= self.seconds:
            self.good = self._arrived.popleft()[0]


class Link:
    """One connection, how far it is believed, and what it carries.

    Attributes:
        serial: Its number in the slot; receipts name it.
        records: How many were written to it.
        unproved: Batches that are not believed yet, and how many records each has.
        written: When the last one was, monotonic seconds; 0 before the first.
        writing: Somebody does.
        full: It carries as many as it may.
        watching: The task that notices its end.
    """

    def __init__(self, serial: int, pipe: Pipe) -> None:
        self.serial, self.pipe, self.trust = serial, pipe, Trust(0.0)
        self.records = 0
        self.unproved: deque[tuple[int, int]] = deque()
        self.written = 0.0
        self.writing = False
        self.full = False
        self.watching: asyncio.Task[None] | None = None

    def note(self, records: int, now: float) -> int:
        """Note a batch that the system has whole; return its number."""
        number = self.trust.note(self.pipe.taken())
        self.unproved.append((number, records))
        self.written = now
        return number

    def seen_well(self, now: float, seconds: float) -> bool:
        """Note that it is well at this moment; True when more is believed than before.

        Args:
            now: Monotonic seconds.
            seconds: For which it must have been well behind a batch.
        """
        before, self.trust.seconds = self.trust.good, seconds
        self.trust.seen_well(self.pipe.taken(), now)
        while self.unproved and self.unproved[0][0] <= self.trust.good:
            self.unproved.popleft()
        return self.trust.good > before
