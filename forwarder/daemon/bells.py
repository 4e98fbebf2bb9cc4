"""Bells: calls that come again and again, by the monotonic clock. The one importer of APScheduler.

Invariant: whatever happens to the time of day (set by NTP, a machine without a battery clock, one that was suspended),
a bell rings once after each stretch of its length: none is computed, missed or made up for.

APScheduler asks its time zone what time it is and its trigger when a job comes next. Here the zone gives the monotonic
clock, and the trigger counts from now, so that there is never more than one time to compute.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, tzinfo

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

_ORIGIN = datetime(2000, 1, 1)  # noqa: DTZ001 -- any moment; the monotonic clock is counted from it


class Bells:
    """Rings from `start` to `stop`; a bell that is late rings all the same, and one that still rings is not rung again.

    Args:
        rng: Randomness of the jitter.
        monotonic: Seconds of a clock that never goes back and that no one sets.
    """

    def __init__(self, rng: random.Random, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rng = rng
        self._scheduler = AsyncIOScheduler(
            timezone=_MonotonicZone(monotonic),
            executors={"default": _Executor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def add(self, ring: Callable[[], None], seconds: float, *, jitter: float = 0.0) -> Callable[[], None]:
        """Call `ring` every so many seconds, and up to `jitter` seconds later each time. It must return at once.

        Returns what takes the bell away again.
        """

        async def rung() -> None:
            ring()

        job = self._scheduler.add_job(rung, _Every(seconds, jitter, self._rng))
        remove: Callable[[], None] = job.remove
        return remove

    def add_work(self, work: Callable[[], Awaitable[None]], seconds: float, *, jitter: float = 0.0) -> None:
        """Run a coroutine every so many seconds; while it runs its bell is silent."""

        async def rung() -> None:  # APScheduler runs in a thread what is not plainly a coroutine function
            await work()

        self._scheduler.add_job(rung, _Every(seconds, jitter, self._rng))

    def start(self) -> None:
        """Begin, in a running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Ring no more; what still runs is cancelled."""
        self._scheduler.shutdown(wait=False)


class _Executor(AsyncIOExecutor):  # type: ignore[misc]  # it has no types
    """Takes what the end cancels, begun or only due, for done: APScheduler would log it as a fault."""

    def _run_job_error(self, job_id: str, error: BaseException, traceback: object = None) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._run_job_success(job_id, [])
        else:
            super()._run_job_error(job_id, error, traceback)


class _Every(BaseTrigger):  # type: ignore[misc]  # it has no types
    """Comes a stretch after now, whatever came before."""

    __slots__ = ("_jitter", "_rng", "_seconds")

    def __init__(self, seconds: float, jitter: float, rng: random.Random) -> None:
        self._seconds = seconds
        self._jitter = jitter
        self._rng = rng

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return when the bell rings next."""
        del previous
        return now + timedelta(seconds=self._seconds + self._rng.uniform(0, self._jitter))


class _MonotonicZone(tzinfo):
    """A time zone in which `datetime.now(zone)` is the monotonic clock, counted from a fixed origin."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic

    def fromutc(self, moment: datetime) -> datetime:
        """Return the present moment; `now` is all that is ever asked of this zone."""
        del moment
        return (_ORIGIN + timedelta(seconds=self._monotonic())).replace(tzinfo=self)

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Return none: the zone counts as UTC does."""
        return UTC.utcoffset(moment)

    def dst(self, moment: datetime | None) -> timedelta:
        """Return none."""
        return UTC.utcoffset(moment)

    def tzname(self, moment: datetime | None) -> str:
        """Return a name for messages."""
        del moment
        return "monotonic"
