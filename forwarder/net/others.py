"""The API's limit as one source sees it, and how much of it others used up: tools and people with the same key.

Invariant: others are not accused of what may have been ours. A request of ours counts from when it begins, those of
every source that shares the budget count at each of them, and a limit that is not said is taken for no lower than what
once passed.
"""

from __future__ import annotations

from collections.abc import Mapping

from forwarder.contracts import Clock
from forwarder.net.retry import START_PER_MINUTE, RequestBudget, header_number, retry_after_seconds

SURELY_ALLOWED = START_PER_MINUTE / 2
"""Requests in two minutes that no API refuses for our sake, where none says its limit."""


CLOCKS_APART = 5.0
"""Seconds by which a period may end early by our clock."""


class SeenLimit:
    """The budget as one source uses it, and what the source is given as its `Budget`.

    Args:
        budget: The budget, which other sources may use as well.
        clock: Time.
        source: Whose it is.

    Attributes:
        limit: Requests in a period, as the API said last; None while it says nothing.
        foreign: Those of them that requests of ours do not explain.
    """

    def __init__(self, budget: RequestBudget, clock: Clock, source: str) -> None:
        budget.seen[source] = self
        self.limit: float | None = None
        self.foreign = 0
        self.goods = 0  # answers that were no objection
        self._budget = budget
        self._clock = clock
        self._reset = self._reset_before = ""  # of the period at hand, in the words of the API, and of the one before
        self._ends = 0.0  # epoch seconds
        self._slides = False  # its end moves on, so that no period is told from another by it
        self._before: float | None = None  # requests that were left when the period began, or was first seen
        self._ours = -1  # requests of ours that had ended by then; negative before the first
        self._in_period = self._earlier = 0.0  # requests of others
        self._minute, self._at_minute, self._at_minute_before = self._now(), budget.begun, budget.begun
        self._passed = 0  # most requests of ours in a minute that ended well
        self._blocked_until = 0.0
        self._goods_of_others = -1  # at the last objection

    @property
    def others(self) -> int:
        """Requests of the limit that others used up, at least."""
        return round(self._earlier + self._in_period)

    @property
    def others_part(self) -> float | None:
        """Part of the limit that others used in the period at hand, 0 to 1; None where the API says no limit."""
        return min(1.0, self._in_period / self.limit) if self.limit else None

    def blocked(self) -> float:
        """Return the seconds until an objection to this source alone has passed."""
        return max(0.0, self._blocked_until - self._clock.monotonic())

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer that was not an objection."""
        self.goods += 1
        self._recent()
        self._look(headers)
        self._budget.observe(headers)

    def on_rate_limited(self, headers: Mapping[str, str]) -> float:
        """Learn from a 429 and return the seconds to wait.

        It holds all who share the budget, but for one that comes to this source again while others were answered well
        since: limits are counted for each address, too.
        """
        self._look(headers)
        recent = self._recent(is_good=False)
        self.foreign += recent < (self.limit or max(self._passed, SURELY_ALLOWED))
        goods = sum(seen.goods for seen in self._budget.seen.values()) - self.goods
        is_alone, self._goods_of_others = 0 <= self._goods_of_others < goods, goods
        if not is_alone:
            return self._budget.on_rate_limited(headers)
        asked = retry_after_seconds(headers, self._clock.time())
        until = self._clock.monotonic() + (self._budget.interval if asked is None else asked)
        self._blocked_until = max(self._blocked_until, until)
        return asked or 0.0

    def _look(self, headers: Mapping[str, str]) -> None:
        """Compare how many requests are left with how many were ours."""
        limit = header_number(headers.get("x-ratelimit-limit"))
        left = header_number(headers.get("x-ratelimit-remaining"))
        if limit is not None and limit >= 1:
            self.limit = limit
        reset = headers.get("x-ratelimit-reset", "")[:40]
        ended = self._budget.answered(reset)
        is_stale = bool(reset) and reset == self._reset_before  # overtaken by an answer of the period after
        if left is not None and left >= 0 and not is_stale:
            self._begins(left, reset, ended)
            if self._before is None and self._budget.is_alone:
                self._before, self._ours = left, self._budget.begun  # no answer of before is to come
            if self._before is not None:
                self._in_period = max(self._in_period, self._before - left - (self._budget.begun - self._ours))

    def _begins(self, left: float, reset: str, ended: int) -> None:
        """Begin a period when this answer is of another one."""
        is_other = bool(reset and self._reset and reset != self._reset)
        self._slides |= is_other and self._clock.time() < self._ends  # it says the same of each request, from then on
        is_next = is_other and not self._slides
        # Within a period, no answer says more than was left at its beginning, however late it comes.
        has_risen = self._before is not None and left >= self._before
        if not (is_next or has_risen or self._ours < 0):
            return
        self._earlier, self._in_period = self._earlier + self._in_period, 0.0
        is_known = is_next and self.limit is not None
        self._before, self._ours = self.limit if is_known else None, ended
        if reset != self._reset:
            self._reset, self._reset_before = reset, self._reset
            now = self._clock.time()
            self._ends = now + (retry_after_seconds({"x-ratelimit-reset": reset}, now) or 0.0) - CLOCKS_APART

    def _recent(self, *, is_good: bool = True) -> int:
        """Return our requests of this minute and the one before; `is_good` tells that the answer was no objection."""
        begun = self._budget.begun
        if (minute := self._now()) != self._minute:
            is_next = minute == self._minute + 1
            self._at_minute_before = self._at_minute if is_next else begun - 1
            if is_next and is_good:
                self._passed = max(self._passed, begun - 1 - self._at_minute)
            self._minute, self._at_minute = minute, begun - 1
        return begun - self._at_minute_before

    def _now(self) -> int:
        return int(self._clock.monotonic() // 60)
