"""Keeps tasks running, and ends them: a failure is logged, counted, and the task made anew after a back-off.

`asyncio.TaskGroup` would cancel every sibling of a task that fails; here they never notice. Only a ConfigError or a
lost spool ends it: the caller decides what that means.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from forwarder.contracts import ConfigError, RetryConfig
from forwarder.contracts.log import get_logger
from forwarder.net.retry import Backoff
from forwarder.spool.contract import SpoolLost

STEADY = 300.0
"""Seconds after which a task that ran is taken to be healthy again."""


class Runner(Protocol):
    """Something that runs until it is stopped."""

    async def run(self) -> None:
        """Run to the end."""
        ...


async def supervise(
    name: str,
    make: Callable[[], Runner],
    *,
    stopping: asyncio.Event,
    restarts: dict[str, int],
    rng: random.Random,
    failed: Callable[[BaseException], Awaitable[None]] | None = None,
) -> None:
    """Run what `make` gives until it ends by itself while `stopping`. Raises ConfigError and SpoolLost only.

    Args:
        name: For the log and the counter.
        make: Makes a fresh runner for every life; the first is made at once.
        stopping: Set when an end is wanted.
        restarts: Counter by name; zero from the start, so that the metric exists.
        rng: For the back-off's jitter.
        failed: Told of every failure.
    """
    log = get_logger().bind(task=name)
    backoff = Backoff(RetryConfig(base=1.0, max=60.0), rng)
    restarts.setdefault(name, 0)
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        try:
            await make().run()
        except (ConfigError, SpoolLost):
            raise
        except Exception as error:
            log.exception("task_failed")
            if failed is not None:
                await failed(error)
        else:
            if stopping.is_set():
                return
            log.error("task_ended_unasked")
        if stopping.is_set():
            return
        if loop.time() - begun > STEADY:
            backoff.reset()
        restarts[name] += 1
        try:
            async with asyncio.timeout(backoff.next()):
                await stopping.wait()
        except TimeoutError:
            continue
        return


class Closes(Protocol):
    """Something that is closed at the end."""

    async def close(self) -> None:
        """Release what it holds."""
        ...


async def close_all(parts: Iterable[Closes]) -> None:
    """Close one after the other; what one has to complain of must not leave the next one open."""
    for part in parts:
        try:
            await part.close()
        except Exception as error:  # noqa: BLE001 -- the end must come; the fault is in the log
            get_logger().error("close_failed", part=type(part).__name__, exc_info=error)


async def within(tasks: list[asyncio.Task[None]], deadline: float) -> list[str]:
    """Wait for tasks until the deadline (time of the loop), cancel the rest, and return their names."""
    if not tasks:
        return []
    left = max(0.0, deadline - asyncio.get_running_loop().time())
    _, late = await asyncio.wait(tasks, timeout=left)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)
    return sorted(task.get_name() for task in late)
