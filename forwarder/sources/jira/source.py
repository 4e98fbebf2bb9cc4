"""The audit log of Jira Cloud on one site. Needs no Atlassian Guard, but a paid plan of Jira."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from forwarder.contracts import SourceConfig
from forwarder.sources.jira.normalizer import JiraNormalizer
from forwarder.sources.jira.records import STEP_MS, JiraRecords
from forwarder.sources.records import RecordNormalizer
from forwarder.sources.site.config import SiteConfig
from forwarder.sources.site.refusals import Product
from forwarder.sources.site.source import SiteSource

JIRA = Product(
    name="jira",
    title="Jira",
    scopes="the scopes read:audit-log:jira and read:user:jira, or the classic one manage:jira-configuration",
    permission="Administer Jira",
    plan="all Jira products of the site are on Free plans, which keep no audit log",
)


class JiraConfig(SiteConfig):
    """The audit log of Jira Cloud, of one site or several under one token. Needs no Guard, but a paid plan of Jira."""

    type: Literal["jira"]
    """Which kind of source this is."""


class JiraSource(SiteSource):
    """Reads Jira's records in windows of time."""

    Config: ClassVar[type[SourceConfig]] = JiraConfig
    feed: ClassVar[str] = "jira"
    product: ClassVar[Product] = JIRA
    own_records: ClassVar[type[JiraRecords]] = JiraRecords
    own_normalizer: ClassVar[Callable[[], RecordNormalizer]] = JiraNormalizer
    step_ms: ClassVar[int] = STEP_MS
