"""A lane that people act on while the daemon runs: they pause it, resume it, and change its state in the spool.

What changes the state of a lane in the spool happens between two runs of it: one ends in order, so that nothing of it
is in flight, and the next one begins from what the spool has then. A lane that is paused does not run at all; its
events wait, and pin the spool.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from forwarder.contracts.errors import ForwarderError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from forwarder.delivery.lane import Lane

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds for the sends at hand to end before an act; what has no answer then may come twice, and is on record."""


class OperatedLane:
    """The lanes of one sink, one after the other.

    Args:
        make: Makes the next one.
        paused: Told that the lane is paused: by whom, and when.

    Attributes:
        lane: The newest one.
    """

    def __init__(self, make: Callable[[], Lane], paused: Callable[[str], None] = lambda _: None) -> None:
        self._make = make
        self._paused = paused
        self._acts: deque[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        self._is_running = self._stopping = False
        self.lane = make()

    async def run(self) -> None:
        """Deliver, and act between two runs, until `stop`."""
        self._is_running = True
        try:
            while True:
                await self._run_lane()
                await self._act()
                if self._stopping:
                    return
                self.lane = self._make()
        finally:
            self._is_running = False
            while self._acts:
                _, done = self._acts.popleft()
                if not done.done():
                    done.set_exception(ForwarderError("the lane of the sink ended meanwhile; try again"))

    async def _run_lane(self) -> None:
        """Run one lane to its end; of one that is paused, wait for who wants something of it."""
        self._run = run = asyncio.create_task(self.lane.run())
        try:
            await asyncio.wait({run})
        finally:
            if not run.done():  # it is we who are cancelled
                run.cancel()
                await asyncio.wait({run})
        if not run.cancelled():
            run.result()
        if self.lane.paused:
            self._paused(self.lane.paused)
            while not self._acts and not self._stopping:
                self._wake.clear()
                await self._wake.wait()

    async def _act(self) -> None:
        while self._acts:
            work, done = self._acts[0]
            try:
                result = await work()
            except Exception as error:  # noqa: BLE001 -- it is the answer to who asked
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)
            self._acts.popleft()

    async def act(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what changes the state of the lane in the spool while nothing of it is in flight; return its result."""
        if not self._is_running or self._stopping:
            return await work()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._acts.append((work, done))
        self.lane.stop()
        self._wake.set()
        run = self._run
        late = loop.call_later(PATIENCE, run.cancel) if run is not None else None
        try:
            return await done
        finally:
            if late is not None:
                late.cancel()

    def ring(self) -> None:
        """Say that the spool has new events."""
        self.lane.ring()

    def retry_now(self) -> None:
        """End every wait before the next try."""
        self.lane.retry_now()

    def stop(self) -> None:
        """Take nothing more and let the sends at hand finish."""
        self._stopping = True
        self.lane.stop()
        self._wake.set()
