"""The stream of the page: rendered when somebody looks, once a second at most, and once for all who look.

Invariant: a stream ends when the daemon does, when its reader may not look any more, and when its reader is gone.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from forwarder.contracts import Clock

MOST = 16
"""Streams at once; one more is told to come back later."""

EVERY = 1.0
"""Seconds between two messages, and for which a rendered page is good enough."""

_RETRY = b"retry: 3000\n\n"
_LATER = b"retry: 30000\nevent: full\ndata: \n\n"


class Rendered:
    """The page as it was rendered last.

    Args:
        make: Renders it.
        clock: Time.
    """

    def __init__(self, make: Callable[[], Awaitable[str]], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._made_at = float("-inf")
        self._text = ""
        self._one = asyncio.Lock()

    async def text(self) -> str:
        """Return the page, not older than a second."""
        async with self._one:
            if self._clock.monotonic() - self._made_at >= EVERY:
                self._text = await self._make()
                self._made_at = self._clock.monotonic()
            return self._text


class Streams:
    """Who follows the page.

    Args:
        rendered: What they are sent.
        most: How many there may be.
    """

    def __init__(self, rendered: Rendered, most: int = MOST) -> None:
        self._rendered = rendered
        self._most = most
        self._open = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream."""
        self._closing.set()

    async def follow(self, may: Callable[[], bool], finish: Callable[[str], str]) -> AsyncIterator[bytes]:
        """Yield messages until the end.

        Args:
            may: Tells whether the reader may still look.
            finish: Puts in what is this reader's own.
        """
        if self._open >= self._most:
            yield _LATER
            return
        self._open += 1
        try:
            yield _RETRY
            while not self._closing.is_set() and may():
                text = finish(await self._rendered.text())
                yield b"data: " + text.replace("\r", " ").replace("\n", " ").encode("utf-8", "replace") + b"\n\n"
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._closing.wait()
        finally:
            self._open -= 1
