"""What the sources of all products of a site share: identity, access, and the choice of the API that is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Protocol

from forwarder.contracts import (
    ConfigError,
    CursorState,
    Endpoint,
    Finding,
    ListedAction,
    Normalizer,
    Origin,
    Page,
    SourceContext,
)
from forwarder.contracts.identity import EventKeys
from forwarder.sources.organization.actions import LONGEST_PAGE
from forwarder.sources.organization.heads import why_no_event
from forwarder.sources.records import RecordNormalizer
from forwarder.sources.site.access import SiteAccess
from forwarder.sources.site.config import SiteConfig
from forwarder.sources.site.refusals import Product
from forwarder.sources.transport import Transport
from forwarder.sources.workspace.either import Either
from forwarder.sources.workspace.events import WorkspaceEvents
from forwarder.sources.workspace.normalizer import EitherNormalizer


class OwnRecords(Transport, Protocol):
    """The API of a product's own records; `why_foreign` is that of a source."""

    def __init__(self, access: SiteAccess, keys: EventKeys, limit: int) -> None:
        """Read with this access, give these keys, and ask for so many records a page."""

    def why_foreign(self, body: bytes) -> str:
        """Say why a JSON object is none of these records, or nothing."""
        ...

    def page_of(self, bodies: Sequence[bytes]) -> Page:
        """Return records as a page."""
        ...


class SiteSource:
    """The log of one product on one site.

    Attributes:
        feed: What the spool calls the log.
        product: What the API is called, and what it wants of a token.
        own_records: Makes the transport of the product's own records: of access, keys and a page's limit.
        own_normalizer: Makes what gives these records their meaning.
        step_ms: Milliseconds of the narrowest window that is ever asked for.
    """

    feed: ClassVar[str]
    product: ClassVar[Product]
    own_records: ClassVar[type[OwnRecords]]
    own_normalizer: ClassVar[Callable[[], RecordNormalizer]]
    step_ms: ClassVar[int] = 1
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
        events = WorkspaceEvents(
            self.access.get_from_gateway, self.product.name, config.host, limit=config.limit, step_ms=self.step_ms
        )
        self._events = events
        records = self.own_records(self.access, EventKeys(self.feed, self.origin.scope), config.limit)
        self._records = records
        self._transport = Either(config.api, records, events)

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives the events of either API their meaning."""
        return EitherNormalizer(cls.feed, cls.own_normalizer())

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

    def why_foreign(self, body: bytes) -> str:
        """Say why a JSON object is an event of neither API, or nothing."""
        return self._records.why_foreign(body) if why_no_event(body) else ""

    def pages_of(self, bodies: Sequence[bytes]) -> list[Page]:
        """Return events that were kept in an archive, those of each API under its own ids."""
        records = [body for body in bodies if why_no_event(body)]
        events = [body for body in bodies if not why_no_event(body)]
        return [
            *([self._records.page_of(records)] if records else []),
            *([self._events.page_of(events)] if events else []),
        ]

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
