"""Replays of one sink: events that it was sent before, or passed over, sent once more from what the spool still has.

A replay is a lane of its own in the spool, with an end and its own books, and is delivered by a `Lane` of its own: so
it goes on where it was after a kill, what may be doubled by that is on record, and what the sink refuses is a dead
letter. It uses one slot of the sink, and rests while live events wait: these lose at most the time of one send.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.log import get_logger
from forwarder.delivery.operated import OperatedLane
from forwarder.delivery.waits import Waits
from forwarder.spool.contract import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forwarder.contracts import Clock
    from forwarder.delivery.lane import Lane
    from forwarder.observe.reports import LaneReport
    from forwarder.spool.contract import Chunk, LaneState, Range, Settlement, Spool
    from forwarder.spool.operations import Replay

READER = "replay"
"""Who brought an event that is sent once more, as the record says."""

REST = 3.0
"""While live events wait, a replay rests so many times as long as its last events took: it has a quarter."""

LONGEST_REST = 10.0
"""Seconds."""

LOOK_EVERY = 60.0
"""Seconds after which a replay is looked for without anybody having said that there is one."""

PROGRESS_EVERY = 60.0
"""Seconds between two lines of the log."""


class ReplaySpool:
    """The spool as the lane of a replay sees it.

    Args:
        spool: Open.
        replay: Which.
        live: The report of the sink's live lane.
        clock: Measures how long events took.
        over: Told that nothing is left.
        ring: Rings the lane.
    """

    def __init__(
        self,
        spool: Spool,
        replay: Replay,
        *,
        live: LaneReport,
        clock: Clock,
        over: Callable[[], None],
        ring: Callable[[], None],
    ) -> None:
        self._spool = spool
        self._replay = replay
        self._live = live
        self._clock = clock
        self._over = over
        self._ring = ring
        self._took_at: float | None = None
        self._rests_until = float("-inf")

    async def open_lane(self, name: str, target: str, *, start: str | None, on_full: str) -> LaneState:
        """Open the lane of the replay."""
        del name, target, start, on_full
        return await self._spool.operations.open_replay(self._replay.number)

    async def exchange(self, lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
        """Settle, and take the next events unless live ones have their turn."""
        resting = events > 0 and self._rests()
        done = await self._spool.exchange(lane, settlement, after=after, events=0 if resting else events)
        if resting and not self._is_over(done):
            return done
        for chunk in (*done.again, *done.chunks):
            chunk.reader = READER
        if done.chunks:
            self._took_at = self._clock.monotonic()
        elif self._is_over(done) and await self._spool.operations.close_replay(self._replay.number):
            self._over()
        return done

    def _is_over(self, done: Exchange) -> bool:
        return done.position >= self._replay.last and not done.again

    def _rests(self) -> bool:
        """Whether it is not this replay's turn; it is rung when it is."""
        if self._live.state == "paused":
            return True  # whoever resumes the sink rings
        now = self._clock.monotonic()
        if now < self._rests_until:
            return True
        took_at, self._took_at = self._took_at, None
        if took_at is None or not self._live.lag:
            return False
        rest = min(REST * (now - took_at), LONGEST_REST)
        self._rests_until = now + rest
        asyncio.get_running_loop().call_later(rest, self._ring)
        return True

    async def take_again(self, lane: int, ranges: Sequence[Range]) -> list[Chunk]:
        """Read these numbers once more."""
        chunks = await self._spool.take_again(lane, ranges)
        for chunk in chunks:
            chunk.reader = READER
        return chunks

    async def leave_lane(self, lane: int, settlement: Settlement) -> None:
        """Settle for the last time in order."""
        await self._spool.leave_lane(lane, settlement)


class Replays:
    """Runs the replays of one sink, one after the other.

    Args:
        name: The sink's.
        spool: Open.
        make: Makes the lane of a replay, over the spool as it sees it.
        live: The report of the sink's live lane.
        clock: Time.
    """

    def __init__(
        self,
        name: str,
        spool: Spool,
        make: Callable[[Replay, ReplaySpool], Lane],
        *,
        live: LaneReport,
        clock: Clock,
    ) -> None:
        self._name = name
        self._spool = spool
        self._make = make
        self._live = live
        self._clock = clock
        self._waits = Waits()
        self._lane: OperatedLane | None = None
        self._log = get_logger().bind(sink=name)
        self._now = 0

    @property
    def report(self) -> LaneReport | None:
        """How the replay at work is, if there is one."""
        return self._lane.lane.report if self._lane is not None else None

    async def run(self) -> None:
        """Run one replay after the other until `stop`."""
        while not self._waits.stopped.is_set():
            replays = [each for each in await self._spool.operations.replays(self._name) if each.is_open]
            if not replays or self._live.state == "paused":
                await self._waits.sleep(LOOK_EVERY)
                continue
            await self._deliver(replays[0])

    async def _deliver(self, replay: Replay) -> None:
        self._log.info("replay_begins", replay=replay.number, events=replay.events, left=replay.waiting)
        view = ReplaySpool(self._spool, replay, live=self._live, clock=self._clock, over=self._end_lane, ring=self.ring)
        self._now, self._lane = replay.number, OperatedLane(lambda: self._make(replay, view))
        progress = asyncio.create_task(self._log_progress(replay.number))
        try:
            await self._lane.run()
        finally:
            progress.cancel()
            await asyncio.wait({progress})
            self._now, self._lane = 0, None
        await self._log_end(replay.number)

    async def _log_progress(self, number: int) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY)
            if (replay := await self._named(number)) is not None:
                self._log.info("replay_progress", **_counts(replay))

    async def _log_end(self, number: int) -> None:
        replay = await self._named(number)
        if replay is not None and not replay.is_open:
            self._log.info("replay_ended", **_counts(replay))

    async def _named(self, number: int) -> Replay | None:
        replays = await self._spool.operations.replays(self._name)
        return next((replay for replay in replays if replay.number == number), None)

    def works_at(self, replay: Replay) -> bool:
        """Whether this replay is at work."""
        return self._now == replay.number

    async def cancel(self, number: int, who: str) -> Replay:
        """End a replay while nothing of it is in flight; what it has not sent is counted as that."""

        async def work() -> Replay:
            replay = await self._spool.operations.cancel_replay(number, who)
            if self._now == number:
                self._end_lane()
            return replay

        lane = self._lane if self._now == number else None
        return await (work() if lane is None else lane.act(work))

    def _end_lane(self) -> None:
        if self._lane is not None:
            self._lane.stop()

    def ring(self) -> None:
        """Say that there may be something to do."""
        self._waits.end_all()
        if self._lane is not None:
            self._lane.ring()

    def stop(self) -> None:
        """Let what is in flight finish; the replay goes on at the next start."""
        self._waits.stop()
        self._end_lane()


def _counts(replay: Replay) -> dict[str, object]:
    counts = msgspec.structs.asdict(replay)
    names = ("events", "accepted", "rejected", "filtered", "detached", "waiting")
    return {"replay": replay.number, **{name: counts[name] for name in names}}
