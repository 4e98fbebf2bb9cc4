"""Whose turn it is, and how each cursor is doing. Nothing here waits or asks; the clock is handed in.

Every cursor has a back-off, a state and a reason of its own, so that one that fails delays no other; what a person sees
of the source is the worst of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from forwarder.contracts import CursorState, RetryConfig
from forwarder.net.retry import Backoff
from forwarder.polling.recurrence import Recurrence

TAIL, HEAL, BACKFILL, REREAD = "tail", "heal", "backfill", "trail"
CATCH_UP = (HEAL, REREAD, BACKFILL)
"""Everything behind the tail, most urgent first."""

TAIL_SHARE = 3
"""After so many requests for the tail in a row, whatever is behind it gets one."""

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
        turn: Number of the last request for it.
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
    turn: int = 0
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
    """The courses of one source by cursor name, and the order in which they are asked."""

    def __init__(self, retry: RetryConfig, rng: random.Random) -> None:
        self._retry = retry
        self._rng = rng
        self._courses: dict[str, Course] = {}
        self._turns = 0
        self._streak = 0

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

    def choose(self, names: Collection[str], now: float) -> tuple[str, float]:
        """Return the cursor to ask next and the seconds until it is due.

        Args:
            names: The cursors that are at work and of which no request is under way.
            now: Monotonic seconds.
        """
        waits = {name: max(0.0, self[name].ready - now) for name in names}
        behind = [name for name in CATCH_UP if waits.get(name, 1.0) <= 0]
        if behind and (waits.get(TAIL, 1.0) > 0 or self._streak >= TAIL_SHARE):
            return min(behind, key=lambda name: self[name].turn), 0.0  # in turn, so that none waits for another's end
        if waits.get(TAIL, 1.0) <= 0:
            return TAIL, 0.0
        name = min(waits, key=waits.__getitem__, default=TAIL)
        return name, waits.get(name, math.inf)

    def take(self, name: str) -> None:
        """Note that `name` is asked now."""
        self._streak = self._streak + 1 if name == TAIL else 0
        self._turns += 1
        self[name].turn = self._turns

    def worst(self, names: Iterable[str]) -> tuple[str, Course] | None:
        """Return the cursor that is worst off, the first of equals; None when all are well."""
        bad = [(name, self[name]) for name in names if self[name].state]
        return max(bad, key=lambda pair: _SEVERITY[pair[1].state], default=None)
