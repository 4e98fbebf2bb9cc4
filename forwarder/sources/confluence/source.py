"""The audit log of Confluence Cloud on one site. Needs no Atlassian Guard, but a paid plan of Confluence."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from forwarder.contracts import SourceConfig
from forwarder.sources.confluence.normalizer import ConfluenceNormalizer
from forwarder.sources.confluence.records import ConfluenceRecords
from forwarder.sources.records import RecordNormalizer
from forwarder.sources.site.config import SiteConfig
from forwarder.sources.site.refusals import Product
from forwarder.sources.site.source import SiteSource

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
    own_records: ClassVar[type[ConfluenceRecords]] = ConfluenceRecords
    own_normalizer: ClassVar[Callable[[], RecordNormalizer]] = ConfluenceNormalizer
    retention_ms: ClassVar[int | None] = 366 * 86_400_000
    """At most and by default a year (support article "View the audit log"); `doctor` says what is set."""
