"""What people do with the lanes of a spool: part of its contract, apart from what pollers and lanes need of it.

Every act is one transaction, and what it takes away from a lane is a gap and in its books. Nothing of the lane may be
in flight meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection

    from forwarder.spool.contract import LaneState


class ReplayOrder(msgspec.Struct, frozen=True):
    """What is to be sent once more.

    Attributes:
        sink: To which sink.
        since_ms, until_ms: When the events happened, epoch milliseconds, both included.
        chosen: Rules as those of `include`, as JSON; an empty list chooses every event.
        who: Who wants it.
    """

    sink: str
    since_ms: int
    until_ms: int
    chosen: str = "[]"
    who: str = ""


class Replay(msgspec.Struct, frozen=True):
    """A replay, with books of its own: events = accepted + rejected + filtered + detached + waiting.

    Attributes:
        number: Of the replay.
        first, last: Numbers of the spool in which the events lie.
        since_ms, until_ms, chosen, who: As in its order.
        whole_since_ms: What was read before then has left the spool, epoch milliseconds; None when nothing has.
        opened_ms, closed_ms: When it was asked for, and when nothing was left.
        ended_by: Who or what ended it before it was through.
        events: How many it looks at; those that were not chosen, or are not for the sink, become `filtered`.
        detached: Events that it did not send: it was ended, or they left the spool for want of room.
    """

    number: int
    first: int
    last: int
    since_ms: int
    until_ms: int
    chosen: str
    who: str
    whole_since_ms: int | None
    opened_ms: int
    closed_ms: int | None
    ended_by: str
    sink: str
    events: int
    accepted: int
    rejected: int
    filtered: int
    detached: int
    waiting: int

    @property
    def is_open(self) -> bool:
        """Whether something is left to do."""
        return self.closed_ms is None

    @property
    def balance(self) -> int:
        """Zero, or events are lost or invented."""
        return self.events - self.accepted - self.rejected - self.filtered - self.detached - self.waiting


class HeldEvents(msgspec.Struct, frozen=True):
    """Some of the events of a source for all sinks that the spool still holds.

    Attributes:
        bodies: Events, as the API sent them: whole pages in which one of the days is.
        days: How many of each day there are in what was looked at.
        after: Where to go on; None at the end.
        spooled: How many events of each day were ever spooled; only with the first.
    """

    bodies: list[bytes]
    days: dict[str, int]
    after: int | None
    spooled: dict[str, int] = {}


class Operations(Protocol):
    """What people do. Each act raises ConfigError for a sink of which the spool has no lane, and for no such replay."""

    async def pause_lane(self, name: str, words: str) -> str:
        """Let the lane deliver nothing until it is resumed, over restarts.

        Args:
            name: The sink's.
            words: By whom, and when.

        Returns:
            The words on record of who had paused it before, which stay, or nothing.
        """
        ...

    async def resume_lane(self, name: str) -> str:
        """Let the lane deliver again; return who had paused it, or nothing."""
        ...

    async def release_lane(self, name: str) -> None:
        """Note that the sink is configured no longer, as if the forwarder had been started without it."""
        ...

    async def detach_lane(self, name: str, upto: int, who: str) -> int:
        """Move the lane past what waits for it up to this number, the end of a page; return how many events that is.

        Retried dead letters go on waiting.
        """
        ...

    async def forget_lane(self, name: str, who: str) -> int:
        """Let go of what waits for a sink that is no longer configured, and of the lane; return how many events wait.

        Its dead letters stay. When the sink is configured once more it has a new lane.
        """
        ...

    async def begin_replay(self, order: ReplayOrder) -> Replay:
        """Have what the lane has settled sent once more. Raises ConfigError when the spool has nothing of that time."""
        ...

    async def replays(self, sink: str | None = None) -> list[Replay]:
        """Return the replays there are on record, oldest first."""
        ...

    async def open_replay(self, number: int) -> LaneState:
        """Open the lane of a replay, for `exchange`, `take_again` and `leave_lane`."""
        ...

    async def close_replay(self, number: int) -> bool:
        """Note that nothing of it is left; False when something is."""
        ...

    async def cancel_replay(self, number: int, who: str) -> Replay:
        """End it; what it has not sent is counted as detached. One that has ended stays as it is."""
        ...

    async def held_events(self, source: str, days: Collection[str], after: int = 0) -> HeldEvents:
        """Return events that happened on these days (`2026-01-31`), as many as memory allows, from `after` on.

        A page that is damaged is left out, and what it held is not counted.
        """
        ...
