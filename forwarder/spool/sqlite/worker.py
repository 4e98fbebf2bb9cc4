"""One thread that owns the spool's connection and runs whole jobs in the order they were submitted.

A submitted job always runs to its end: cancelling the coroutine that waits for it neither removes nor halves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from forwarder.spool.contract import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts import Clock

T = TypeVar("T")
_Job = tuple["Callable[[], Any]", "asyncio.Future[Any]", asyncio.AbstractEventLoop]
_IDLE_SECONDS = 1.0
_MOST_BETWEEN = 32  # jobs that run between two parts of a long one


class Worker:
    """A thread with a queue of jobs.

    Attributes:
        last_turn: When the thread last began or ended a job or found none, by the monotonic clock; old when it hangs.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._put_back: deque[_Job | None] = deque()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._stopped = False
        self.last_turn = clock.monotonic()
        self._thread.start()

    async def run(self, job: Callable[[], T]) -> T:
        """Run `job` in the thread and return its result or raise its error."""
        if self._stopped:
            raise SpoolError("The spool is closed. Open it again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((job, future, loop))
        return await future  # cancelled with whoever waits; the job is not

    def turned(self) -> None:
        """Show that a long job is alive; called from within it."""
        self.last_turn = self._clock.monotonic()

    def give_way(self, over: Callable[[], bool]) -> bool:
        """Run jobs that wait; called by a long job between two of its parts.

        Args:
            over: Says that the long job is to end, before anything that waits now.

        Returns:
            Whether it is to end.
        """
        for _ in range(_MOST_BETWEEN):
            if over():
                return True
            try:
                item = self._jobs.get_nowait()
            except queue.Empty:
                break
            if item is None or over():  # what closes the spool comes after the long job
                self._put_back.append(item)
                return True
            self._do(item)
        self.last_turn = self._clock.monotonic()
        return False

    def stop(self) -> None:
        """End the thread after the jobs it has; wait for it. Safe to call twice."""
        if not self._stopped:
            self._stopped = True
            self._jobs.put(None)
        self._thread.join()

    def _loop(self) -> None:
        while True:
            self.last_turn = self._clock.monotonic()
            if self._put_back:
                item = self._put_back.popleft()
            else:
                try:
                    item = self._jobs.get(timeout=_IDLE_SECONDS)
                except queue.Empty:
                    continue
            if item is None:
                return
            self._do(item)
            del item

    def _do(self, item: _Job) -> None:
        job, future, loop = item
        self.last_turn = self._clock.monotonic()
        try:
            result, error = job(), None
        except BaseException as caught:  # noqa: BLE001 -- handed to whoever waits; the thread must go on
            result, error = None, caught
        # the loop is closed when the program ended meanwhile; the job itself is done
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, future, result, error)


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
