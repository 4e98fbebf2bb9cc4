"""How long a walk takes yet, by how it went lately. Pure; the clock is handed in."""

from __future__ import annotations

from collections import deque

from forwarder.contracts import Clock

APART = 15.0
"""Seconds between two looks that are kept."""

LOOKS = 40
"""So many are kept: the pace is that of the last ten minutes."""


class Outlook:
    """The pace of each walk of one source.

    Args:
        clock: Monotonic time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: dict[str, deque[tuple[float, int]]] = {}

    def seconds_left(self, name: str, at_ms: int, end_ms: int) -> float | None:
        """Return the seconds until a walk that is at `at_ms` comes to `end_ms`; None while its pace is unknown.

        Args:
            name: Of the cursor.
            at_ms: Where it is, epoch milliseconds of the log.
            end_ms: Where it is to come.
        """
        if at_ms >= end_ms:
            return 0.0
        now = self._clock.monotonic()
        looks = self._looks.setdefault(name, deque(maxlen=LOOKS))
        if looks and at_ms < looks[-1][1]:
            looks.clear()  # it began again
        if not looks or now - looks[-1][0] >= APART:
            looks.append((now, at_ms))
        (since, at), passed = looks[0], now - looks[0][0]
        if passed < APART or at_ms <= at:
            return None
        return (end_ms - at_ms) / (at_ms - at) * (now - since)

    def keep(self, names: set[str]) -> None:
        """Forget the walks that are over."""
        self._looks = {name: looks for name, looks in self._looks.items() if name in names}
