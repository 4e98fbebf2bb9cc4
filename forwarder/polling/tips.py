"""Whether an empty page is the end of what there is. A cursor may be lost without a word: the answer is empty then.

So the same is asked without the cursor, after what was read last. That costs a request: a walk that would end pays it
each time, the tail where it catches up, and else with few of its empty answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from forwarder.contracts import Clock, CursorState, Page, Retryable, Source
from forwarder.polling import progress
from forwarder.polling.handover import OLDEST_MS, HandOver
from forwarder.polling.plan import TAIL, TRAIL

DOUBTED_EVERY = 20
"""Empty answers to the tail of which one is doubted."""

CATCHES_UP = 100
"""Events between two empty answers from which on a tail may have been behind."""

LEAST_CUT = 10
"""Events of a page below which no server cuts its pages."""


class Tips:
    """Makes sure of the tip.

    Args:
        source: What makes the state of a walk without a cursor.
        store: How far each walk came.
        clock: Wall time.
        ask: Asks in turn; None when the end came first.
    """

    def __init__(
        self, source: Source, store: HandOver, clock: Clock, ask: Callable[[CursorState], Awaitable[Page | None]]
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._ask = ask
        self._empty = DOUBTED_EVERY  # answers to the tail since one was doubted: the first one is
        self._events = 0

    async def sure(self, name: str, page: Page) -> Page | None:
        """Return the page, or what the same cursor gives a moment later; None when the end came first.

        Raises:
            Retryable: It is empty although newer events can be seen, or whether there are any cannot be found out.
        """
        if page.bodies:
            self._events += len(page.bodies) if name == TAIL else 0
            return page
        if not page.done or page.since is not None or not self._doubts(name):  # by time it has been asked so
            return page
        row = self._store.rows[name].state
        read = max(progress.reached(row), int(self._clock.time() * 1000) - OLDEST_MS)
        for since in (read, read + 1):  # a whole page may carry the time of what was read last
            beyond = await self._ask(self._source.walk(since))
            if beyond is None:
                return None
            if beyond.newest is not None and beyond.newest > read:
                for _ in range(2):  # it may have happened meanwhile, or every second answer is empty
                    again = await self._ask(row["walk"])
                    if again is None or again.bodies:
                        return again
                raise Retryable(
                    "the API gives an empty page for a cursor, and without it shows newer events",
                    fix="Nothing has to be done: if it stays, the cursor is taken for lost and what follows is read.",
                )
            if len(beyond.bodies) < LEAST_CUT:
                break
        if name == TAIL:
            self._empty = self._events = 0
        return page

    def _doubts(self, name: str) -> bool:
        row = self._store.rows[name].state
        if name == TRAIL:
            return bool(progress.reached(row) < row["until"])
        if name != TAIL:
            return True
        self._empty += 1
        return not self._store.untouched(TAIL) and (self._empty > DOUBTED_EVERY or self._events >= CATCHES_UP)
