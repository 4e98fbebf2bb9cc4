"""How a person's wish about a backfill reaches the walks of a source that is read just now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from forwarder.polling.backfill import Order
from forwarder.polling.cursors import Cursors
from forwarder.polling.plan import Plan

Change = Callable[[Order | None], Order]
"""Returns the new order for the one there is. Raises what is wrong with the wish."""


class Ordered:
    """The backfills of one source.

    Args:
        store: Their rows.
        plan: How each cursor is doing.
        writes: Held by whoever moves cursors.
        wake: Rung when there is something new to do.
        reads: Tells whether the source is read just now.
    """

    def __init__(
        self, store: Cursors, plan: Plan, writes: asyncio.Lock, wake: asyncio.Event, reads: Callable[[], bool]
    ) -> None:
        self._store = store
        self._plan = plan
        self._writes = writes
        self._wake = wake
        self._reads = reads

    async def change(self, name: str, change: Change) -> Order | None:
        """Change the order of a cursor, or write a new one, durably; None when nothing is read or written now."""
        if not self._reads() or self._store.waits:
            return None
        async with self._writes:
            if not self._reads():
                return None
            order = await self._store.order(name, change)
        self._plan.end(name)
        self._plan[name].due = 0.0
        self._wake.set()
        return order
