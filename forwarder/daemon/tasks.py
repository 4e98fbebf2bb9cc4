"""The supervised tasks of the daemon, by name: each can be ended by itself, while the others go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forwarder.daemon.supervise import supervise, within

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from forwarder.daemon.supervise import Runner


class Tasks:
    """Starts tasks and ends them.

    Args:
        restarts: Counter by name; see `supervise`.
        rng: Randomness of the back-off.
        failed: Told of what no supervisor handles, with the name of the task.
    """

    def __init__(
        self, restarts: dict[str, int], rng: random.Random, failed: Callable[[str, BaseException], None]
    ) -> None:
        self._restarts = restarts
        self._rng = rng
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: dict[str, asyncio.Event] = {}
        self._all_end = False

    def ending(self, name: str) -> asyncio.Event:
        """Return what is set when a task is to end, for a runner that looks at it."""
        event = self._ending.setdefault(name, asyncio.Event())
        if self._all_end:
            event.set()
        return event

    def start(self, name: str, make: Callable[[], Runner]) -> None:
        """Start a task; one of its name has ended, or there was none."""
        task = asyncio.create_task(
            supervise(name, make, stopping=self.ending(name), restarts=self._restarts, rng=self._rng), name=name
        )
        self._tasks[name] = task
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(task.get_name(), error)

    def named(self, beginning: str = "") -> list[str]:
        """Return the names of the tasks whose name begins so."""
        return [name for name in self._tasks if name.startswith(beginning)]

    def let_end(self, names: Iterable[str]) -> None:
        """Say to these that their end is wanted; a runner that is to be told otherwise is told by who knows it."""
        for name in names:
            self.ending(name).set()

    def let_all_end(self) -> None:
        """Say it to all of them, and to those that are started later."""
        self._all_end = True
        self.let_end(list(self._ending))

    async def ended(self, names: Iterable[str], deadline: float) -> list[str]:
        """Wait for tasks that were let end, until the deadline (time of the loop); return the names of the late ones.

        These are cancelled. All of them are forgotten.
        """
        wanted = list(names)
        late = await within([self._tasks[name] for name in wanted if name in self._tasks], deadline)
        for name in wanted:
            self._tasks.pop(name, None)
            self._ending.pop(name, None)
            self._restarts.pop(name, None)
        return late
