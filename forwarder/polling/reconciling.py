"""When a closed window is begun to be read again, and when it is left: for a walk like any other, beside the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from forwarder.contracts import Clock, Held, Retryable
from forwarder.polling.complaints import OF_A_PLACE
from forwarder.polling.handover import HandOver
from forwarder.polling.place_cursors import PlaceCursors
from forwarder.polling.plan import RECONCILE, TAIL, Plan
from forwarder.polling.window_cursors import WindowCursors

MOST_FAILURES = 40
"""Failures in a row after which a window is left for a later pass, while the tail is well."""


class Reconcile:
    """The walk `reconcile` of one source.

    Args:
        store: Its row.
        plan: How each cursor is doing.
        writes: Held by whoever moves cursors.
        clock: Wall time.
    """

    def __init__(
        self, store: HandOver | WindowCursors | PlaceCursors, plan: Plan, writes: asyncio.Lock, clock: Clock
    ) -> None:
        self._store = store
        self._plan = plan
        self._writes = writes
        self._clock = clock
        self._tip_ms = 0  # when the tail had last read everything

    def note_tail(self, *, at_tip: bool) -> None:
        """Note whether the tail has just read everything there is."""
        self._tip_ms = int(self._clock.time() * 1000) if at_tip else 0

    async def begin(self) -> None:
        """Begin to read a closed window when it is time."""
        if self._writes.locked():
            return
        async with self._writes:
            await self._store.begin_by_clock()
        held = [name for name in self._store.open_walks() if self._plan[name].state == "held"]
        if await self._store.start_reconcile(self._tip_ms, held):
            self._plan[RECONCILE].due = 0.0

    async def leaves(self, error: Retryable | Held, is_current: Callable[[], bool]) -> bool:
        """Go on beyond a place that cannot be read; False when it is tried again."""
        is_place = isinstance(error, Held) and error.kind in OF_A_PLACE
        if not is_place and (self._plan[RECONCILE].failures < MOST_FAILURES or self._plan[TAIL].state):
            return False
        async with self._writes:
            if is_current():
                await self.leave(error)
        return True

    async def leave(self, error: Retryable | Held) -> None:
        """Go on beyond the place at hand for good, with `writes` held; that may be the end of its window."""
        await self._store.leave_window(error)
        self._plan.end(RECONCILE)
