"""How long the demo waits: for as long as things move, however slow the machine is.

Invariant: patience is counted in looks and not by a clock. A look counts one beat, even when the machine let minutes
pass between two: what did not run then, did not stand still.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BEAT = 0.5
"""Seconds between two looks."""

STILL = 120.0
"""Seconds without any movement until something is called missing: twice the daemon's longest wait between two tries."""

LONGEST = 3600.0
"""Seconds for any one step: what moves for so long without getting anywhere goes round in circles."""


class Standstill(Exception):
    """Nothing has moved for long; the message says what last did."""


class Watch:
    """Lets a step run while counts move.

    Args:
        counts: What moves when anything gets on; nothing in it may move by itself.
        shown: Says how far things are, in a few words.
        beat: Seconds between two looks.
        still: Seconds of looks without movement that end it.
    """

    def __init__(
        self,
        counts: Callable[[], tuple[int, ...]],
        shown: Callable[[], str],
        *,
        beat: float = BEAT,
        still: float = STILL,
        longest: float = LONGEST,
    ) -> None:
        self._counts = counts
        self._shown = shown
        self._beat = beat
        self._most_still = max(1, round(still / beat))
        self._most = max(1, round(longest / beat))

    async def run(self, act: Callable[[], Awaitable[str]], show: Callable[[str], None]) -> str:
        """Return what the step returns. Raises Standstill, and whatever the step raises."""
        step = asyncio.ensure_future(act())
        before, still = self._counts(), 0
        try:
            for _ in range(self._most):
                done, _pending = await asyncio.wait({step}, timeout=self._beat)
                if done:
                    return step.result()
                show(self._shown())
                now = self._counts()
                still = 0 if now != before else still + 1
                before = now
                if still >= self._most_still:
                    raise Standstill(f"nothing has moved for {still * self._beat:.0f} s: {self._shown()}")
            raise Standstill(f"it came to no end within {self._most * self._beat:.0f} s: {self._shown()}")
        finally:
            step.cancel()
            await asyncio.wait({step})
