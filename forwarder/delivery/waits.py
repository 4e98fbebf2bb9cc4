"""The waits of one lane: the end of the lane ends each of them at once, and so does a person who wants a try now."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Waits:
    """Whether a lane stops, and a sleep that takes notice of it.

    Attributes:
        stopped: Set when the lane stops.
    """

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self._over = asyncio.Event()

    async def sleep(self, seconds: float) -> bool:
        """Sleep out a wait; `stop` and `end_all` end it early. True when the lane stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
        return self.stopped.is_set()

    def end_all(self) -> None:
        """End every sleep that goes on now."""
        self._over.set()
        if not self.stopped.is_set():
            self._over.clear()

    def stop(self) -> None:
        """End every sleep, and each that follows."""
        self.stopped.set()
        self._over.set()
