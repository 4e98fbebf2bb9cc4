"""When something goes wrong, and what: by the clock, so that the same happens at every pace."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence


class Dice:
    """Names a fault once in `every` seconds on average; each kind comes once before any comes again.

    Args:
        kinds: Names of faults.
        every: Seconds; 0 means never.
        seed: Of the order and of the moments.
        clock: Monotonic time.

    Attributes:
        thrown: How often each kind came.
    """

    def __init__(
        self, kinds: Sequence[str], every: float, seed: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.thrown: Counter[str] = Counter()
        self._kinds, self._every, self._clock = kinds, every, clock
        self._rng = random.Random(seed)
        self._left: list[str] = []
        self._next = self._later()

    def due(self) -> str:
        """Return the fault to play now, or nothing."""
        if self._clock() < self._next:
            return ""
        self._next = self._later()
        self._left = self._left or self._rng.sample(self._kinds, len(self._kinds))
        kind = self._left.pop()
        self.thrown[kind] += 1
        return kind

    def stop(self) -> None:
        """Play nothing any more."""
        self._next = float("inf")

    def _later(self) -> float:
        return self._clock() + self._rng.expovariate(1 / self._every) if self._every else float("inf")
