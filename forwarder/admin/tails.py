"""Viewers of what sinks are sent: one asks again and again, and is forgotten when it does not."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError, Retryable
from forwarder.delivery.taps import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.contracts import Clock
    from forwarder.delivery.taps import Tap, Taps
    from forwarder.observe.reports import LaneReport

MOST_VIEWERS = 8
LONGEST_WAIT = 5.0  # seconds for which a question may wait for events
FORGOTTEN = 30.0
"""Seconds after which a viewer that does not ask is forgotten."""


class WatchedSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sink is to be watched."""

    sink: str


class Opened(msgspec.Struct, frozen=True):
    """A viewer that was opened, by its number."""

    viewer: int


class More(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for what was sent since a viewer asked last, and waits for it so many seconds."""

    viewer: int
    wait: float = 1.0


class Seen(msgspec.Struct, frozen=True):
    """What was sent since.

    Attributes:
        events: The newest of them.
        dropped: How many older ones were more than a viewer is given.
        state, reason, fix: Of the sink, as its status says.
        waiting: How many events wait for it.
    """

    events: list[Sent]
    dropped: int
    state: str
    reason: str
    fix: str
    waiting: int


class Watched(Protocol):
    """The lanes of a running daemon, as they can be watched."""

    @property
    def reports(self) -> Mapping[str, LaneReport]:
        """How they are, by the name of their sink."""
        ...

    @property
    def taps(self) -> Mapping[str, Taps]:
        """What shows what they send, by the name of their sink."""
        ...


class _Viewer:
    def __init__(self, sink: str, taps: Taps, now: float) -> None:
        self.sink = sink
        self.taps = taps
        self.tap: Tap = taps.open()
        self.asked = now
        self.waits = False


class Tails:
    """The viewers of a daemon.

    Args:
        lanes: What delivers; None while no daemon runs.
        clock: Time.
    """

    def __init__(self, lanes: Watched | None, clock: Clock) -> None:
        self._lanes = lanes
        self._clock = clock
        self._viewers: dict[int, _Viewer] = {}
        self._numbers = itertools.count(1)

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked, by name."""
        return {"tail.open": Verb(WatchedSink, self.open), "tail.more": Verb(More, self.more)}

    async def open(self, wanted: WatchedSink, _: str = "") -> Opened:
        """Begin to watch a sink. Raises ConfigError, and Retryable when too many do."""
        if self._lanes is None:
            raise ConfigError("the daemon is not running, so nothing is sent; start it: audit-forwarder run")
        if wanted.sink not in self._lanes.taps:
            raise ConfigError(f"sinks.{wanted.sink}: not configured; the sinks are: {', '.join(self._lanes.taps)}")
        self._forget()
        if len(self._viewers) >= MOST_VIEWERS:
            raise Retryable(f"{MOST_VIEWERS} others are watching already; end one of them")
        number = next(self._numbers)
        self._viewers[number] = _Viewer(wanted.sink, self._lanes.taps[wanted.sink], self._clock.monotonic())
        return Opened(number)

    async def more(self, asked: More, _: str = "") -> Seen:
        """Return what was sent since. Raises ConfigError for a sink that is gone, Retryable for an unknown viewer."""
        self._forget()
        viewer = self._viewers.get(asked.viewer)
        if viewer is None or self._lanes is None:
            raise Retryable("the daemon does not know this viewer any more; begin again")
        viewer.waits = True
        try:
            events, dropped = await viewer.tap.take(min(max(asked.wait, 0.0), LONGEST_WAIT))
        finally:
            viewer.waits, viewer.asked = False, self._clock.monotonic()
        report = self._lanes.reports.get(viewer.sink)
        if report is None or self._lanes.taps.get(viewer.sink) is not viewer.taps:
            self._close(asked.viewer)
            raise ConfigError(f"sinks.{viewer.sink}: not configured any more")
        return Seen(events, dropped, report.state, report.reason, report.fix, report.lag)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        for number, viewer in list(self._viewers.items()):
            if not viewer.waits and now - viewer.asked > FORGOTTEN:
                self._close(number)

    def _close(self, number: int) -> None:
        if (viewer := self._viewers.pop(number, None)) is not None:
            viewer.taps.close(viewer.tap)
