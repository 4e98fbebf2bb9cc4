"""One HTTP client of the collector for each slot, with the channels that belong to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from forwarder.contracts import Clock
from forwarder.net.compression import Compressed
from forwarder.net.http import HttpClient, Response, answer_to, check_url
from sinks.splunk_hec.channel import Channel, Channels
from sinks.splunk_hec.settings import SplunkHecConfig

COLLECTOR = "/services/collector"
_CONTENT_TYPES = {"raw": "text/plain; charset=utf-8"}
"""By path, where it is not JSON. Splunk itself does not look; other servers of this protocol refuse a body without."""


class Slot:
    """One client, which asks one thing after the other; its channels, and whether it sends by index."""

    def __init__(self, number: int, config: SplunkHecConfig, clock: Clock) -> None:
        self.number = number
        self.channels = Channels(clock)
        self.by_index = False  # an index was refused in a request with several: each gets its own
        self._config = config
        self._client = HttpClient(
            base_url=check_url(config.url, insecure=config.insecure),
            http=config.http,
            tls=config.tls,
            insecure=config.insecure,
        )
        self._turn = asyncio.Lock()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        channel: Channel | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | Compressed | None = None,
        patience: float | None = None,
        token: bool = True,
    ) -> Response:
        """Ask at a path below the collector.

        Args:
            method: Upper case.
            path: What follows `/services/collector/`.
            channel: To send in; its cookies go along, and those of the answer are kept.
            params: Query.
            content: Body.
            patience: Seconds to wait for the client to be free.
            token: Send the token.

        Raises:
            TimeoutError: The client was not free in time; nothing was sent.
            AuthFailed: The token cannot be read.
            Held, Retryable: As the client raises them.
        """
        headers = self._authorization() if token else {}
        if content is not None:
            headers["content-type"] = _CONTENT_TYPES.get(path, "application/json")
        async with self._its_turn(patience):
            if channel is not None:
                headers |= channel.headers()
            response = await self._client.request(
                method,
                f"{COLLECTOR}/{path}",
                params=params,
                headers=headers,
                content=content,
                most=answer_to(content or b""),
            )
            if channel is not None:
                channel.keep(response.cookies)
            return response

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        await self._client.close()

    @asynccontextmanager
    async def _its_turn(self, patience: float | None) -> AsyncIterator[None]:
        async with asyncio.timeout(patience):
            await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    def _authorization(self) -> dict[str, str]:
        """Return the header of the token as it is now: a rotated file counts from the next request on."""
        return {"authorization": f"Splunk {self._config.token.present('token')}"}
