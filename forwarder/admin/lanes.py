"""What people do with lanes, over an open spool: the same in the daemon as in a command while none runs.

What changes the state of a lane waits until nothing of it is in flight, and is durable when it is answered. Events that
a sink will not get for it are a gap, and in the books.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from forwarder.contracts import Clock, SinkConfig
    from forwarder.observe.reports import LaneReport
    from forwarder.spool.contract import LaneStatus, Spool

T = TypeVar("T")


class LaneChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lane is meant, by its sink; an empty name means every one. `upto`: as far as `LaneShown.newest`."""

    sink: str = ""
    upto: int = 0


class LaneShown(msgspec.Struct, frozen=True):
    """A lane of the spool. Times are epoch milliseconds.

    Attributes:
        state: As the status has it; empty while no daemon delivers to it.
        reason: Why it is not well.
        waiting: Events that wait, without the dead letters on their way again.
        retried: Dead letters that are on their way again.
        oldest_ms: When the oldest of what waits was read.
        newest: The newest number of the spool: what this count of what waits was taken at.
        paused: When, and by whom.
        forgotten_ms: When it is forgotten, as its sink is not configured any more.
    """

    sink: str
    target: str
    state: str
    reason: str
    waiting: int
    retried: int
    dead_letters: int
    oldest_ms: int | None
    newest: int
    paused: str = ""
    forgotten_ms: int | None = None


class LaneChange(msgspec.Struct, frozen=True):
    """What someone did with the lane of a sink, and to how many events."""

    what: Literal["paused", "resumed", "retried_now", "detached", "forgotten"]
    sink: str
    who: str
    events: int = 0
    before: str = ""  # who had paused it

    def fields(self) -> dict[str, object]:
        """Return what a line of the log says of it."""
        events = {"events": self.events} if self.what in {"detached", "forgotten"} else {}
        return {"sink": self.sink, "who": self.who, **events}


class LiveLane(Protocol):
    """A lane of a running daemon."""

    async def act(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what changes its state in the spool while nothing of it is in flight."""
        ...

    def retry_now(self) -> None:
        """End every wait before the next try."""
        ...


class LiveLanes(Protocol):
    """The lanes of a running daemon."""

    @property
    def reports(self) -> Mapping[str, LaneReport]:
        """How they are, by the name of their sink."""
        ...

    def live(self, sink: str) -> LiveLane | None:
        """Return the lane of a sink, if there is one."""
        ...

    def on_lane_changed(self, change: LaneChange) -> None:
        """Take note of what someone did."""
        ...


class Lanes:
    """The lanes of a spool.

    Args:
        spool: Open.
        sinks: The sinks that are configured now.
        clock: Time.
        live: The lanes that deliver; None while no daemon runs.
    """

    def __init__(
        self, spool: Spool, sinks: Mapping[str, SinkConfig], clock: Clock, live: LiveLanes | None = None
    ) -> None:
        self._spool = spool
        self._sinks = sinks
        self._clock = clock
        self._live = live

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked of them, by name."""
        return {
            "lanes.list": Verb(LaneChoice, self.listed),
            "lanes.pause": Verb(LaneChoice, self.pause),
            "lanes.resume": Verb(LaneChoice, self.resume),
            "lanes.retry_now": Verb(LaneChoice, self.retry_now),
            "lanes.detach": Verb(LaneChoice, self.detach),
            "lanes.forget": Verb(LaneChoice, self.forget),
        }

    async def listed(self, chosen: LaneChoice, _: str = "") -> list[LaneShown]:
        """List the lanes that the spool has."""
        status = await self._spool.status()
        return [self._shown(lane, status.last_seq) for lane in status.lanes if chosen.sink in {"", lane.name}]

    def _shown(self, lane: LaneStatus, newest: int) -> LaneShown:
        configured = lane.name in self._sinks
        report = self._live.reports.get(lane.name) if self._live is not None else None
        return LaneShown(
            sink=lane.name,
            target=lane.target,
            state=report.state if report is not None and report.target == lane.target else "",
            reason=report.reason if report is not None else "",
            waiting=lane.lag - lane.retried,
            retried=lane.retried,
            dead_letters=lane.dead_letters,
            oldest_ms=lane.oldest_ms,
            newest=newest,
            paused=lane.paused,
            forgotten_ms=None if configured else lane.forgotten_ms,
        )

    async def pause(self, chosen: LaneChoice, who: str) -> LaneChange:
        """Let a sink get nothing until it is resumed, over restarts."""
        self._must_be_configured(chosen.sink, "paused")
        moment = datetime.fromtimestamp(self._clock.time(), UTC)
        words = f"by {who} at {moment:%Y-%m-%d %H:%M} UTC"
        before = await self._act(chosen.sink, lambda: self._spool.operations.pause_lane(chosen.sink, words))
        return self._tell(LaneChange("paused", chosen.sink, who, before=before))

    async def resume(self, chosen: LaneChoice, who: str) -> LaneChange:
        """Let a sink get its events again."""
        before = await self._act(chosen.sink, lambda: self._spool.operations.resume_lane(chosen.sink))
        return self._tell(LaneChange("resumed", chosen.sink, who, before=before))

    async def retry_now(self, chosen: LaneChoice, who: str) -> LaneChange:
        """End the wait of a sink that failed, or is held."""
        self._must_be_configured(chosen.sink, "tried")
        paused = next((lane.paused for lane in await self.listed(chosen)), "")
        if paused:
            raise ConfigError(
                f"sinks.{chosen.sink}: paused {paused}, so nothing is tried; to let it deliver again: "
                f"audit-forwarder lanes resume {chosen.sink}"
            )
        lane = self._live.live(chosen.sink) if self._live is not None else None
        if lane is not None:
            lane.retry_now()
        return self._tell(LaneChange("retried_now", chosen.sink, who))

    async def detach(self, chosen: LaneChoice, who: str) -> LaneChange:
        """Move a lane past what waits for it, up to the number that was shown."""
        operations = self._spool.operations
        events = await self._act(chosen.sink, lambda: operations.detach_lane(chosen.sink, chosen.upto, who))
        return self._tell(LaneChange("detached", chosen.sink, who, events))

    async def forget(self, chosen: LaneChoice, who: str) -> LaneChange:
        """Let go of a lane whose sink is not configured any more, and of what waits for it."""
        if chosen.sink in self._sinks:
            raise ConfigError(
                f"sinks.{chosen.sink}: configured, so its lane is not forgotten; take it out of the configuration and "
                "start the daemon again, or use `audit-forwarder lanes detach`"
            )
        events = await self._spool.operations.forget_lane(chosen.sink, who)
        return self._tell(LaneChange("forgotten", chosen.sink, who, events))

    def _must_be_configured(self, sink: str, what: str) -> None:
        if sink not in self._sinks:
            raise ConfigError(f"sinks.{sink}: not configured, so nothing is delivered to it and nothing can be {what}")

    async def _act(self, sink: str, work: Callable[[], Awaitable[Any]]) -> Any:
        lane = self._live.live(sink) if self._live is not None else None
        return await (work() if lane is None else lane.act(work))

    def _tell(self, change: LaneChange) -> LaneChange:
        if self._live is not None:
            self._live.on_lane_changed(change)
        return change
