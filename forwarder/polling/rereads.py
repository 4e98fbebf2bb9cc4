"""How much of the newest time is read again, by what the budget carries. Pure; the clock is handed in.

A re-read that takes longer than its period begins the next one late, which is longer for that. Where it would take
longer than it may, by the pages and the pace of the one before, only so much of the newest is read as that time
carries; what lies before is left out, and said. It is the reconcile that finds what became visible there.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from forwarder.contracts import Clock
from forwarder.contracts.log import get_logger

LONGEST = 7200.0
"""Seconds that a re-read of a stream may take: what was due while an API was away for hours is read yet."""

ENOUGH = 10
"""Pages of a re-read from which on its pace is known. By the median, so that an outage meanwhile is no measure."""


class Rereads:
    """What the re-reads of one source cost, and what is left out for that.

    Args:
        clock: Monotonic time.
        longest: Seconds that one of them may take.
        source: Its name, for the log.

    Attributes:
        stretch: Seconds of the log that the last one covers; 0 before the first.
        period: Seconds between the beginnings of the last two; 0 before the second.
        left_out: Seconds before that stretch that were to be read again and are not.
    """

    def __init__(self, clock: Clock, longest: float, source: str) -> None:
        self.stretch = self.period = self.left_out = 0.0
        self._clock = clock
        self._longest = longest
        self._log = get_logger().bind(source=source)
        self._begun: float | None = None
        self._pages = 0
        self._last = 0.0
        self._between: deque[float] = deque(maxlen=101)
        self._cost = 0.0  # seconds that a second of the log takes

    def begin(self, since_ms: int, now_ms: int) -> int:
        """Return from where on a re-read goes that was to go from `since_ms` (epoch milliseconds) to now."""
        moment, wanted = self._clock.monotonic(), max(0.0, (now_ms - since_ms) / 1000)
        self.period = 0.0 if self._begun is None else moment - self._begun
        self._begun = self._last = moment
        self._pages = 0
        self._between.clear()
        self.stretch = min(wanted, self._longest / self._cost) if self._cost else wanted
        was_whole, self.left_out = not self.left_out, wanted - self.stretch
        if self.left_out and was_whole:
            self._log.warning("reread_shortened", seconds=round(self.stretch), left_out_seconds=round(self.left_out))
        elif not self.left_out and not was_whole:
            self._log.info("reread_is_whole_again", seconds=round(self.stretch))
        return since_ms + int(self.left_out * 1000)

    def read(self, *, ended: bool) -> None:
        """Note a page of it, of which the last one ends it."""
        now = self._clock.monotonic()
        self._between.append(now - self._last)
        self._pages, self._last = self._pages + 1, now
        if ended and self.stretch > 0:
            self._cost = self._pages * median(self._between) / self.stretch if self._pages >= ENOUGH else 0.0
