"""Of which cursors of one source a request may be begun now: by what is under way, its own course, and its share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from forwarder.contracts import Clock
from forwarder.polling.asking import Asker
from forwarder.polling.cursors import Cursors
from forwarder.polling.plan import TAIL, Plan

Running = Mapping[str, asyncio.Task[None]]
"""Requests by cursor; one that has failed stays until whoever began it has seen that."""


class Turns:
    """Whose turn it is.

    Args:
        store: The cursors at work.
        plan: How each of them is doing.
        asker: What each share is at most.
        clock: Monotonic time.
    """

    def __init__(self, store: Cursors, plan: Plan, asker: Asker, clock: Clock) -> None:
        self._store = store
        self._plan = plan
        self._asker = asker
        self._clock = clock

    def ready(self, running: Running) -> list[str]:
        """Return the cursors that may be asked now."""
        names = [name for name in self._free(running) if self._asker.held(name) <= 0]
        return self._plan.ready(names, self._clock.monotonic())

    def next(self, running: Running) -> tuple[str, float]:
        """Return the cursor to ask next and the seconds until it may be asked; infinite when there is none."""
        if ready := self.ready(running):
            return self._asker.first(ready), 0.0
        return self._plan.soonest(self._free(running), self._clock.monotonic(), self._asker.held)

    def tail_due(self, running: Running) -> float:
        """Return the seconds until the tail may be asked; infinite while it is under way."""
        tail = [name for name in self._free(running) if name == TAIL]
        return self._plan.soonest(tail, self._clock.monotonic())[1]

    def _free(self, running: Running) -> list[str]:
        """Return the cursors at work of which a request may be begun, at its time."""
        if self._store.waits and running:
            return []  # a page waits for room already
        busy = {name for name, task in running.items() if not task.done() or task.exception() is not None}
        is_walk_busy = bool(busy - {TAIL})
        walks = self._store.open_walks()
        return [name for name in walks if name not in busy and (name == TAIL or not is_walk_busy)]
