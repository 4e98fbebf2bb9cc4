"""The port of the sources that receive: made of the settings, beside the daemon's loop."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from forwarder.contracts import ConfigError, Held, Received, Receives
from forwarder.net.server_thread import ServerThread
from forwarder.net.tls import ServerTls
from forwarder.receiving.inbox import Answer, Inbox, Stores
from forwarder.receiving.rates import Rates
from forwarder.receiving.server import ReceiverServer, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.config.ports import ReceiverConfig
    from forwarder.contracts import Clock, Source
    from forwarder.observe.reports import SourceReport


class Reception:
    """Everything that receives.

    Args:
        config: The port.
        clock: Wall time.
        store: Gives who writes the events of a source into the spool now, or None before the start.
        announce: Called when there is something new.
    """

    def __init__(
        self,
        config: ReceiverConfig,
        clock: Clock,
        store: Callable[[str], Stores | None],
        announce: Callable[[], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self._announce = announce
        self._routes: list[Route] = []
        self._inboxes: dict[str, Inbox] = {}
        self._thread: ServerThread[[str, Received | Held], Answer] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while there is none."""
        return self._thread.port if self._thread is not None else 0

    def add(self, name: str, source: Source, report: SourceReport) -> None:
        """Let a source receive, when it does."""
        report.is_pushed = source.reads == "pushed"
        if not isinstance(source, Receives) or source.webhook is None:
            return
        report.receives = True
        self._routes.append(Route(name, source, source.webhook, report.refused))
        store = partial(self._store, name)
        self._inboxes[name] = Inbox(report, store, self._clock, self._announce, shows_state=report.is_pushed)

    async def start(self) -> None:
        """Open the port when anything receives. Raises ConfigError when it cannot be had."""
        if not self._routes:
            return
        self._thread = ServerThread(self._make, self._take, name="receiver")
        await self._thread.start()

    async def close(self) -> None:
        """Take nothing more. Safe to call twice."""
        if self._thread is not None:
            await self._thread.close()

    def _make(self, take: Callable[[str, Received | Held], object]) -> ReceiverServer:
        config = self._config
        host, port = config.address
        tls = None
        if config.cert_file is not None:
            tls = ServerTls(config.cert_file, config.key_file, config.key_password)
            try:
                tls()
            except Held as error:
                raise ConfigError(f"receiver.cert_file: {error}") from error
        rates = Rates(config.requests_per_minute, config.peer_requests_per_minute, time.monotonic())
        return ReceiverServer(host, port, self._routes, take, rates=rates, max_body=config.max_body, tls=tls)  # type: ignore[arg-type]

    async def _take(self, name: str, found: Received | Held) -> Answer:
        return await self._inboxes[name].take(found)
