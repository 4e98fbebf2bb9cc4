"""The audit log of Confluence Cloud on one site. Needs no Atlassian Guard, but a paid plan of Confluence."""

from __future__ import annotations

from typing import ClassVar, Literal

from forwarder.contracts import Normalizer, SourceConfig, SourceContext
from forwarder.contracts.identity import EventKeys
from forwarder.sources.confluence.normalizer import ConfluenceNormalizer
from forwarder.sources.confluence.records import ConfluenceRecords
from forwarder.sources.site.config import SiteConfig
from forwarder.sources.site.refusals import Product
from forwarder.sources.site.source import SiteSource
from forwarder.sources.transport import Transport
from forwarder.sources.workspace.normalizer import EitherNormalizer

CONFLUENCE = Product(
    name="confluence",
    title="Confluence",
    scopes="the scope read:audit-log:confluence",
    permission="Confluence Administrator",
    plan="Confluence is on a Free plan, which keeps no audit log",
)


class ConfluenceConfig(SiteConfig):
    """The audit log of Confluence Cloud, of one site or several under one token. Needs no Guard, but a paid plan."""

    type: Literal["confluence"]
    """Which kind of source this is."""


class ConfluenceSource(SiteSource):
    """Reads Confluence's records in windows of time."""

    Config: ClassVar[type[SourceConfig]] = ConfluenceConfig
    feed: ClassVar[str] = "confluence"
    product: ClassVar[Product] = CONFLUENCE
    retention_ms: ClassVar[int | None] = 366 * 86_400_000
    """At most and by default a year (support article "View the audit log"); `doctor` says what is set."""

    def __init__(self, config: ConfluenceConfig, context: SourceContext) -> None:
        self._limit = config.limit
        super().__init__(config, context)

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives these records their meaning."""
        return EitherNormalizer("confluence", ConfluenceNormalizer())

    def records(self) -> Transport:
        """Return the reader of Confluence's own records."""
        return ConfluenceRecords(self.access, EventKeys(self.feed, self.origin.scope), self._limit)
