"""How each cursor is doing, and which of them may be asked now. Nothing here waits or asks; the clock is handed in.

Every cursor has a back-off, a state and a reason of its own, so that one that fails delays no other; what a person sees
of the source is the worst of them. Which of those that may be asked gets the next request is for `shares` to say.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from forwarder.contracts import AuthFailed, CursorState, Held, Retryable, RetryConfig
from forwarder.net.retry import Backoff
from forwarder.polling.recurrence import Recurrence

TAIL, HEAL, BACKFILL, REREAD, RECONCILE = "tail", "heal", "backfill", "trail", "reconcile"
"""Names of cursors. Those of further backfills begin with that name: `backfill:<name>`."""

SLOW = 5.0
"""Seconds from which on a request is slow, and its walk steps back for as long."""

_SEVERITY = {"": 0, "retrying": 1, "held": 2}


@dataclass(slots=True)
class Course:
    """How one named cursor is doing; times are monotonic seconds.

    Attributes:
        backoff: After a failed request.
        losses: After a lost cursor, until one that the source gave since was of use.
        recurring: After a page that the walk has had before, until it goes forward.
        due: When it is asked in the ordinary course; a bell may bring that forward.
        blocked: When its back-off is over; no bell shortens that.
        steps_back: Until when other walks go first, because its request was under way for as long.
        failures: Failed requests for one and the same state in a row.
        state: `retrying` or `held` while something is wrong, with `reason` and `fix`.
        restarted_at: The walk that a loss began, until the source has given a newer state.
        distrusts: Why it goes on by time although the source gives cursors, or nothing.
        recurrence: Whether its walk goes forward.
    """

    backoff: Backoff
    losses: Backoff
    recurring: Backoff
    due: float = 0.0
    blocked: float = 0.0
    steps_back: float = 0.0
    failures: int = 0
    state: Literal["", "retrying", "held"] = ""
    reason: str = ""
    fix: str = ""
    restarted_at: CursorState | None = None
    distrusts: str = ""
    recurrence: Recurrence = field(default_factory=Recurrence)

    @property
    def ready(self) -> float:
        """When it may be asked."""
        return max(self.due, self.blocked)

    def complain(self, state: Literal["retrying", "held"], reason: str, fix: str = "") -> bool:
        """Say what is wrong; return True when that is news."""
        news = (state, reason) != (self.state, self.reason)
        self.state, self.reason, self.fix = state, reason, fix
        return news

    def recover(self) -> bool:
        """Say that nothing is wrong; return True when that is news."""
        news = self.state != ""
        self.state, self.reason, self.fix = "", "", ""
        return news


class Plan:
    """The courses of one source by cursor name."""

    def __init__(self, retry: RetryConfig, rng: random.Random) -> None:
        self._retry = retry
        self._rng = rng
        self._courses: dict[str, Course] = {}

    def __getitem__(self, name: str) -> Course:
        if name not in self._courses:
            self._courses[name] = Course(self._backoff(), self._backoff(), self._backoff())
        return self._courses[name]

    def _backoff(self) -> Backoff:
        return Backoff(self._retry, self._rng)

    def end(self, name: str) -> None:
        """Forget the troubles of a walk that is over; when the next one is due stays."""
        if name in self._courses:
            due = self._courses.pop(name).due
            self[name].due = due

    def took(self, name: str, seconds: float, now: float) -> None:
        """Note how long a request for a cursor was under way."""
        self[name].steps_back = now + seconds if seconds > SLOW else now

    def failed(self, name: str, error: Retryable | Held, took: float, every: float, now: float) -> float:
        """Block a cursor whose request failed after `took` seconds; return for how long."""
        wait = self[name].backoff.next(error.retry_after if isinstance(error, Retryable) else None)
        if isinstance(error, AuthFailed):
            wait = min(wait, every)
        if isinstance(error, Retryable) and error.smaller:
            wait = 0.0
        elif name != TAIL:
            wait = max(wait, took)  # one that hangs takes half of the time at most
        self[name].blocked = now + wait
        return wait

    def hasten(self, names: Iterable[str]) -> None:
        """Let cursors be asked now that failed, and begin their back-off anew; and the tail."""
        for name in names:
            course = self[name]
            if course.state or name == TAIL:
                course.due = course.blocked = 0.0
                course.backoff.reset()

    def ready(self, names: Iterable[str], now: float) -> list[str]:
        """Return those that may be asked at a moment, monotonic seconds.

        Of all walks, one request is under way at most; so that what is slow does not have that place all the time, such
        a walk steps back while others may be asked.
        """
        ready = [name for name in names if self[name].ready <= now]
        walks = [name for name in ready if name != TAIL]
        quick = [name for name in walks if self[name].steps_back <= now]
        return [name for name in ready if name == TAIL or name in quick or not quick]

    def soonest(
        self, names: Iterable[str], now: float, held: Callable[[str], float] = lambda _: 0.0
    ) -> tuple[str, float]:
        """Return which may be asked next, and the seconds until then; infinite when there is none.

        Args:
            names: Those at work.
            now: Monotonic seconds.
            held: Returns for how long one has to wait whatever its course is.
        """
        waits = {name: max(0.0, self[name].ready - now, held(name)) for name in names}
        name = min(waits, key=waits.__getitem__, default=TAIL)
        return name, waits.get(name, math.inf)

    def worst(self, names: Iterable[str]) -> tuple[str, Course] | None:
        """Return the cursor that is worst off, the first of equals; None when all are well."""
        bad = [(name, self[name]) for name in names if self[name].state]
        return max(bad, key=lambda pair: _SEVERITY[pair[1].state], default=None)
