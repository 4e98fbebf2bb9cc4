"""Whether an empty page is the end of what there is. A cursor may be lost without a word: the answer is empty then.

So the same is asked without the cursor, after what was read last. That costs a request: a walk that would end pays it
each time, the tail where it catches up, and else with few of its empty answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from forwarder.contracts import CursorState, Page, Retryable
from forwarder.polling import progress
from forwarder.polling.handover import HandOver
from forwarder.polling.plan import RECONCILE, REREAD, TAIL
from forwarder.polling.windows import LEAST_CUT

DOUBTED_FIRST, DOUBTED_EVERY = 2, 20
"""Empty answers to the tail of which the last is doubted: so few after an event, and from doubt to doubt twice as many,
until there are so many. A log that was busy is seldom silent, and one that is silent need not be asked so often."""

CATCHES_UP = 100
"""Events between two empty answers from which on a tail may have been behind."""


class Tips:
    """Makes sure of the tip.

    Args:
        store: How far each walk came, and where another one without a cursor would begin.
        ask: Asks in turn for a cursor, by its name; None when the end came first.
    """

    def __init__(self, store: HandOver, ask: Callable[[str, CursorState], Awaitable[Page | None]]) -> None:
        self._store = store
        self._ask = ask
        self._empty = 0  # answers to the tail in a row, since one was doubted
        self._patience = 1  # how many of them there are before the next doubt
        self._events = 0

    async def sure(self, name: str, row: progress.Progress, page: Page) -> Page | None:
        """Return the page, or what the same cursor gives a moment later; None when the end came first.

        Args:
            name: The cursor.
            row: Its row when it was asked.
            page: The answer.

        Raises:
            Retryable: It is empty although newer events can be seen, or whether there are any cannot be found out.
        """
        if page.bodies and name == TAIL:
            self._events += len(page.bodies)
            self._empty, self._patience = 0, min(self._patience, DOUBTED_FIRST)
        is_end = page.done and not page.bodies and page.since is None  # by time it has been asked so
        if not is_end or not self._doubts(name, row):
            return page
        read = self._store.kept(self._store.seen_lately(row))
        for since in (read, read + 1):  # a whole page may carry the time of what was read last
            beyond = await self._ask(name, self._store.walk_at(name, since))
            if beyond is None:
                return None
            if beyond.newest is not None and beyond.newest > read:
                for _ in range(2):  # it may have happened meanwhile, or every second answer is empty
                    again = await self._ask(name, row["walk"])
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
            self._patience = min(2 * self._patience, DOUBTED_EVERY)
        return page

    def _doubts(self, name: str, row: progress.Progress) -> bool:
        if name == REREAD:
            return bool(progress.reached(row) < row["until"])
        if name == RECONCILE:
            return not self._store.untouched(name)
        if name != TAIL:
            return True
        self._empty += 1
        return not self._store.untouched(TAIL) and (self._empty >= self._patience or self._events >= CATCHES_UP)
