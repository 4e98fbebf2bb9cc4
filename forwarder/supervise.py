"""Keeps a task running: a failure is logged, counted, and the task made anew after a back-off.

`asyncio.TaskGroup` would cancel every sibling of a task that fails; here they never notice. Only a ConfigError ends it:
the caller decides what that means.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from forwarder.contracts import ConfigError, RetryConfig
from forwarder.retry import Backoff

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
    """Run what `make` gives until it ends by itself while `stopping`. Raises ConfigError only.

    Args:
        name: For the log and the counter.
        make: Makes a fresh runner for every life; the first is made at once.
        stopping: Set when an end is wanted.
        restarts: Counter by name; zero from the start, so that the metric exists.
        rng: For the back-off's jitter.
        failed: Told of every failure.
    """
    log = structlog.get_logger().bind(task=name)
    backoff = Backoff(RetryConfig(base=1.0, max=60.0), rng)
    restarts.setdefault(name, 0)
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        try:
            await make().run()
        except ConfigError:
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
