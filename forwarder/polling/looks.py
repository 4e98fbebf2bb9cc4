"""When the tail is asked again at the tip: soon while events come, and at `every` when it is quiet.

::

    new events ─► soonest ─► nothing new: twice as long ─► … ─► every, when the bell rings

Soonest is a sixth of `every`, a second at least. It is as many times longer as a look takes requests for what is known
already, as where the newest ten minutes of a log are read each time, and longer in proportion to what others use up of
the API's limit. However short it is, the tails of all sources that share a budget together do not ask sooner than their
share of it allows (`net/fair.py`, `Line.room`): then the next comes when there is room, after `every` at the latest.
"""

from __future__ import annotations

from typing import Protocol

from forwarder.contracts import Clock, Page
from forwarder.observe.reports import SourceReport
from forwarder.polling.plan import RECONCILE, TAIL

PART = 6.0
"""So many looks fall on one `every` while each finds new events."""

LEAST = 1.0
"""Seconds between two looks at least, unless `every` is less."""

NET = 1.5
"""The bell rings every `every`; so many times as long after a look is the net below it."""


class Room(Protocol):
    """What is left of the request budget for looks that need not be."""

    @property
    def room(self) -> float:
        """Seconds until the tails that share the budget have had no more than their share."""
        ...

    @property
    def others(self) -> float:
        """Part of the API's limit that others use up, 0 to 1."""
        ...


def next_wait(
    last: float, every: float, *, news: bool, known: float = 0.0, room: float = 0.0, others: float = 0.0
) -> float:
    """Return the seconds until the next look, `every` at most. Pure.

    Args:
        last: Seconds between this look and the one before, as they were planned.
        every: The longest time, seconds.
        news: Whether this look found events that nobody had read.
        known: Requests that this look took for events that were known.
        room: As in `Room`.
        others: As in `Room`.
    """
    if others >= 1.0:
        return every
    soonest = max(LEAST, every / PART) * max(1.0, known) / (1.0 - others)
    return min(every, max(soonest if news else 2 * last, soonest, room))


class Looks:
    """The looks of one tail at the tip.

    Args:
        every: Seconds between two of them when it is quiet.
        budget: What it may ask beyond that.
        clock: Time.
        report: Says when the next one comes before the bell.

    Attributes:
        is_near: The last page led on, and all but what happens meanwhile had been read with it.
    """

    def __init__(self, every: float, budget: Room, clock: Clock, report: SourceReport) -> None:
        self.is_near = False
        self._every = every
        self._budget = budget
        self._clock = clock
        self._report = report
        self._last = every
        self._asked = report.requests_by_reader[TAIL]
        self._events = self._new = self._largest = 0

    def due(self, page: Page, new: int) -> float:
        """Return when the tail is asked again after a page, if no bell rings before; 0 is at once.

        Where a cursor always leads on and events come without a pause, no page is empty: one that is smaller than
        others were, and brought the stream to within two times `every` of the present, is the end of a look as well.

        Args:
            page: What a look brought, or a part of it when more follows.
            new: How many of its events nobody had read.
        """
        events = len(page.bodies)
        if page.looping:  # that is a fault, and no look is made for it
            self._last, new = self._every, 0
        self._events, self._new, self._largest = self._events + events, self._new + new, max(self._largest, events)
        age = self._clock.time() - (page.stands_at or 0) / 1000
        self.is_near = page.more and 0 < events < self._largest and age < 2 * self._every
        self._report.next_look = 0.0
        if page.more and not self.is_near:
            return 0.0
        wait = self._plan()
        if wait < self._every:
            self._report.next_look = self._clock.time() + wait
        else:
            wait = self._every * NET
        return self._clock.monotonic() + wait

    def walk_due(self, name: str, page: Page) -> float:
        """Return when a walk behind the tail is asked again after a page; a closed window waits for nothing."""
        at_once = page.more or page.done or (name == RECONCILE and bool(page.bodies))
        return 0.0 if at_once else self._clock.monotonic() + self._every * NET

    def _plan(self) -> float:
        asked, budget = self._report.requests_by_reader[TAIL], self._budget
        known = (asked - self._asked) * (self._events - self._new) / max(1, self._events)
        self._last = next_wait(
            self._last, self._every, news=self._new > 0, known=known, room=budget.room, others=budget.others
        )
        self._asked, self._events, self._new = asked, 0, 0
        return self._last
