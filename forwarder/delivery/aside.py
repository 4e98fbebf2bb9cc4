"""Events that a sink chokes on while it takes others: they wait apart, and in the end become dead letters.

Each is sent alone, a few times within the patience of its sink, and never more: a receiver that such an event brings
down is not brought down every minute. What waits here is settled by nothing but the sink's acceptance or its dead
letter; after a restart it is found anew.
"""

from __future__ import annotations

from typing import NamedTuple

from forwarder.contracts import Clock, Record
from forwarder.contracts.log import get_logger
from forwarder.observe.reports import Aside, LaneReport

MOST = 100
"""Events that may wait at once; their bodies are in memory."""

MOST_BYTES = 8 * 2**20
"""Bytes of their bodies and raw events, but for one event alone."""

TRIES = 3
"""An event must have failed alone so often before it becomes a dead letter."""

_ON_ITS_WAY = float("inf")  # not due meanwhile

TRIES_BUSY = 12
"""The same for an event that meets nothing but requests to wait: of those, any event may meet a few."""


class _Waiting(NamedTuple):
    record: Record
    began: float  # monotonic
    at: float  # monotonic, when to try again


class Asides:
    """The events of one lane that wait apart.

    Args:
        patience: Seconds from the first failure to the dead letter.
        report: Says which they are.
    """

    def __init__(self, patience: float, *, clock: Clock, report: LaneReport) -> None:
        self.patience = patience
        self._clock = clock
        self._report = report
        self._log = get_logger().bind(sink=report.name)
        self._waiting: dict[int, _Waiting] = {}
        self._bytes = 0
        self._shown: dict[int, Aside] = {}

    def __bool__(self) -> bool:
        return bool(self._shown)

    def add(self, record: Record, reason: str) -> bool:
        """Set an event aside; False when there is no room for it."""
        size = len(record.raw) + len(record.body)
        if len(self._waiting) >= MOST or (self._waiting and self._bytes + size > MOST_BYTES):
            return False
        now = self._clock.monotonic()
        self._bytes += size
        self._waiting[record.seq] = _Waiting(record, now, now + self._pause)
        self._show(Aside(record.seq, record.id, reason, self._clock.time(), 1))
        self._log.warning("event_set_aside", number=record.seq, id=record.id, reason=reason)
        return True

    def due(self) -> float:
        """Return the seconds until the next one is to be tried; infinite when none waits, but for one on its way."""
        at = min((waiting.at for waiting in self._waiting.values()), default=_ON_ITS_WAY)
        return max(0.0, at - self._clock.monotonic())

    def next_try(self) -> float:
        """Return when that is, epoch seconds; 0 instead of infinite."""
        due = self.due()
        return 0.0 if due == _ON_ITS_WAY else self._clock.time() + due

    def take(self) -> Record | None:
        """Take the one that is due; it comes back by `put_back` or goes by `settled`."""
        if self.due() != 0.0:
            return None
        waiting = min(self._waiting.values(), key=lambda one: one.at)
        self._waiting[waiting.record.seq] = waiting._replace(at=_ON_ITS_WAY)
        return waiting.record

    def hasten(self) -> None:
        """Make each due now that is not on its way."""
        now = self._clock.monotonic()
        for seq, waiting in self._waiting.items():
            if waiting.at != _ON_ITS_WAY:
                self._waiting[seq] = waiting._replace(at=now)

    def put_back(self, record: Record, reason: str, *, counts: bool, least: int = TRIES) -> bool:
        """Note that it failed again; True when the patience is over.

        Args:
            record: As `take` gave it.
            reason: Why it failed.
            counts: The failure says something of the event.
            least: It must have failed so often.
        """
        waiting, shown = self._waiting[record.seq], self._shown[record.seq]
        now = self._clock.monotonic()
        self._waiting[record.seq] = waiting._replace(at=now + self._pause)
        if counts:
            shown = shown._replace(tries=shown.tries + 1, reason=reason)
            self._show(shown)
        return counts and shown.tries >= least and now - waiting.began >= self.patience

    def settled(self, record: Record) -> None:
        """Forget one whose fate is decided."""
        del self._waiting[record.seq]
        self._bytes -= len(record.raw) + len(record.body)
        del self._shown[record.seq]
        self._report.aside = tuple(self._shown.values())

    def in_words(self) -> str:
        """Say which events wait, and why."""
        first = next(iter(self._shown.values()))
        more = f" and {len(self._shown) - 1} more" if len(self._shown) > 1 else ""
        return f"event {first.seq} (id {first.document_id}){more} waits apart while others are taken: {first.reason}"

    @property
    def _pause(self) -> float:
        return self.patience / 4

    def _show(self, shown: Aside) -> None:
        self._shown[shown.seq] = shown
        self._report.aside = tuple(self._shown.values())
