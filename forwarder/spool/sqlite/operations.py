"""What people do with lanes, inside its caller's transaction; and the same as methods of the open spool.

A lane that is forgotten keeps its row, which its books, dead letters and gaps name; it pins nothing and is shown no
more. A sink of its name that is configured once more begins anew, as one whose target changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from forwarder.contracts.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from forwarder.spool.contract import LaneState
    from forwarder.spool.operations import HeldEvents, Replay, ReplayOrder
    from forwarder.spool.sqlite.gaps import Losses
    from forwarder.spool.sqlite.lanes import Lane, Lanes
    from forwarder.spool.sqlite.letters import Letters
    from forwarder.spool.sqlite.replays import Replays
    from forwarder.spool.sqlite.retention import Retention

T = TypeVar("T")


class LaneActs:
    """Acts on lanes."""

    def __init__(self, lanes: Lanes, letters: Letters, losses: Losses, retention: Retention, replays: Replays) -> None:
        self._lanes = lanes
        self._letters = letters
        self._losses = losses
        self._retention = retention
        self.replays = replays

    def pause(self, name: str, words: str) -> str:
        """Let a lane deliver nothing; return who had paused it before."""
        lane = self._lane(name)
        before, lane.paused = lane.paused, lane.paused or words
        self._lanes.save(lane)
        return before

    def release(self, name: str, now_ms: int) -> None:
        """Begin the time after which a lane is forgotten."""
        lane = self._lane(name)
        lane.seen_ms = now_ms
        self._lanes.save(lane)
        self._retention.deactivate(lane.number)

    def resume(self, name: str) -> str:
        """Let a lane deliver again; return who had paused it."""
        lane = self._lane(name)
        was, lane.paused = lane.paused, ""
        self._lanes.save(lane)
        return was

    def detach(self, name: str, upto: int, who: str, now_ms: int) -> int:
        """Move a lane past what waits for it."""
        lane = self._lane(name)
        before = sum(self._lanes.waiting(lane).values())
        upto = min(upto, self._lanes.newest())
        self._losses.pass_over(lane, upto, "detached", f"detached by {who}", now_ms)
        return before - sum(self._lanes.waiting(lane).values())

    def forget(self, name: str, who: str, now_ms: int) -> int:
        """Let go of what waits for a lane, and of the lane."""
        lane = self._lane(name)
        if lane.number in self._retention.active:
            raise ConfigError(
                f"sinks.{name}: configured, so nothing of it is forgotten; take it out of the configuration and start "
                "the daemon again"
            )
        for part, letters in self._letters.stop_retrying(lane.number).items():
            self._lanes.count(lane.number, part, rejected=letters)
        self.replays.cancel_all(name, f"{who}, who forgot the sink", now_ms)
        waiting = sum(self._lanes.waiting(lane).values())
        self._losses.pass_over(lane, self._lanes.newest(), "lane_forgotten", f"forgotten by {who}", now_ms)
        lane.forgotten_ms = now_ms
        self._lanes.save(lane)
        return waiting

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.named(name)
        if lane is None or lane.forgotten_ms is not None:
            raise ConfigError(f"sinks.{name}: the spool has no lane of it; see all with `audit-forwarder lanes list`")
        return lane

    # ---------------------------------------------------------------------------------------------------- replays

    def begin_replay(self, order: ReplayOrder, now_ms: int) -> Replay:
        """Have sent once more what a lane has settled."""
        return self.replays.begin(order, self._lane(order.sink), now_ms)

    def open_replay(self, number: int, now_ms: int) -> LaneState:
        """Begin or go on with a replay."""
        state = self.replays.open(number, now_ms)
        self._retention.activate(state.number)
        return state


class Transaction(Protocol):
    """Runs work in a transaction of the open spool."""

    async def __call__(self, work: Callable[[LaneActs], T], /) -> T:
        """Return what the work returns."""


class SqliteOperations:
    """The `Operations` contract on SQLite.

    Args:
        run: Runs an act.
        now: The time, epoch milliseconds.
    """

    def __init__(self, run: Transaction, now: Callable[[], int]) -> None:
        self._run = run
        self._now = now

    async def pause_lane(self, name: str, words: str) -> str:
        """Let the lane deliver nothing until it is resumed; return who had paused it before, or nothing."""
        return await self._run(lambda acts: acts.pause(name, words))

    async def resume_lane(self, name: str) -> str:
        """Let the lane deliver again; return who had paused it, or nothing."""
        return await self._run(lambda acts: acts.resume(name))

    async def release_lane(self, name: str) -> None:
        """Note that the sink is configured no longer, as if the forwarder had been started without it."""
        await self._run(lambda acts: acts.release(name, self._now()))

    async def detach_lane(self, name: str, upto: int, who: str) -> int:
        """Move the lane past what waits for it up to this number; return how many events that is."""
        return await self._run(lambda acts: acts.detach(name, upto, who, self._now()))

    async def forget_lane(self, name: str, who: str) -> int:
        """Let go of what waits for a sink that is no longer configured; return how many events that is."""
        return await self._run(lambda acts: acts.forget(name, who, self._now()))

    async def begin_replay(self, order: ReplayOrder) -> Replay:
        """Have what the lane has settled sent once more."""
        return await self._run(lambda acts: acts.begin_replay(order, self._now()))

    async def replays(self, sink: str | None = None) -> list[Replay]:
        """Return the replays there are on record, oldest first."""
        return await self._run(lambda acts: acts.replays.listed(sink))

    async def open_replay(self, number: int) -> LaneState:
        """Open the lane of a replay."""
        return await self._run(lambda acts: acts.open_replay(number, self._now()))

    async def close_replay(self, number: int) -> bool:
        """Note that nothing of it is left; False when something is."""
        return await self._run(lambda acts: acts.replays.close(number, self._now()))

    async def cancel_replay(self, number: int, who: str) -> Replay:
        """End it; what it has not sent is counted as detached."""
        return await self._run(lambda acts: acts.replays.cancel(number, who, self._now()))

    async def held_events(self, source: str, days: Collection[str], after: int = 0) -> HeldEvents:
        """Return events of these days that the spool still holds."""
        return await self._run(lambda acts: acts.replays.kept.events(source, days, after))
