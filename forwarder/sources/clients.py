"""As many connections of a source as requests are under way at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from forwarder.net.http import HttpClient


class Clients:
    """Lends clients, each to one request at a time; the one that was used last goes first.

    Args:
        make: Makes one; it connects with its first request.
    """

    def __init__(self, make: Callable[[], HttpClient]) -> None:
        self._make = make
        self._all: list[HttpClient] = [make()]  # a setting that cannot work shows at the start
        self._idle = list(self._all)

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[HttpClient]:
        """Lend one for a request."""
        if self._idle:
            client = self._idle.pop()
        else:
            client = self._make()
            self._all.append(client)
        try:
            yield client
        finally:
            self._idle.append(client)

    async def close(self) -> None:
        """Close all of them. Safe to call twice."""
        for client in self._all:
            await client.close()
