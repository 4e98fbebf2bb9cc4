"""What the sources of all products of a site share: identity, access, and the choice of the API that is asked."""

from __future__ import annotations

from typing import ClassVar, Literal

from forwarder.contracts import (
    ConfigError,
    CursorState,
    Endpoint,
    Finding,
    ListedAction,
    Origin,
    Page,
    SourceContext,
)
from forwarder.sources.organization.actions import LONGEST_PAGE
from forwarder.sources.site.access import SiteAccess
from forwarder.sources.site.config import SiteConfig
from forwarder.sources.site.refusals import Product
from forwarder.sources.transport import Transport
from forwarder.sources.workspace.either import Either
from forwarder.sources.workspace.events import WorkspaceEvents


class SiteSource:
    """The log of one product on one site. A subclass names the product and makes the transport of its own records."""

    feed: ClassVar[str]
    product: ClassVar[Product]
    reads: ClassVar[Literal["stream", "windows"]] = "windows"
    retention_ms: ClassVar[int | None] = None
    """An administrator sets it; no API tells."""

    def __init__(self, config: SiteConfig, context: SourceContext) -> None:
        if config.site is None:
            raise ConfigError("it names several sites; each is built by itself", setting="sites")
        self._config = config
        self._clock = context.clock
        self.access = SiteAccess(config, context, self.product)
        self.credentials = self.access.credentials
        self.origin = Origin(source=context.name, feed=self.feed, organization="", site=config.host)
        step = getattr(self, "step_ms", 1)
        events = WorkspaceEvents(
            self.access.get_from_gateway, self.product.name, config.host, limit=config.limit, step_ms=step
        )
        self._events = events
        self._transport = Either(config.api, self.records(), events)

    def records(self) -> Transport:
        """Make the transport of the product's own records."""
        raise NotImplementedError

    def walk(self, since_ms: int, until_ms: int | None = None) -> CursorState:
        """Return the state that begins to read a window; the engine always gives its end."""
        return self._transport.walk(since_ms, until_ms if until_ms is not None else int(self._clock.time() * 1000))

    async def fetch(self, state: CursorState) -> Page:
        """Fetch a page of a window. Raises Retryable, Held or AuthFailed."""
        return await self._transport.fetch(state)

    async def actions(self) -> list[ListedAction]:
        """Ask for every action that the workspace knows; the product's own records come with no such list.

        Waits until it is known by which API the log is read. Raises Retryable or Held.
        """
        if await self._transport.chosen() == "records":
            return []
        clients = self.access.clients_of_gateway()
        try:
            return await self._events.actions(
                lambda path, params: self.access.list_from_gateway(path, params, clients, LONGEST_PAGE)
            )
        finally:
            await clients.close()

    @property
    def endpoints(self) -> list[Endpoint]:
        """Return where the site is, and the gateway where that is set to be asked."""
        return self.access.endpoints

    async def probe(self) -> list[Finding]:
        """Say whether the token works, where, for what, and how long."""
        findings = await self._transport.probe()
        return [*findings, *await self.access.try_each(), *self.credentials.findings()]

    async def close(self) -> None:
        """Release the connections."""
        await self.access.close()
