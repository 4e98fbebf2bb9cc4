"""The audit log of a Data Center product: Jira, Confluence or Bitbucket, from the files of its nodes or by REST."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from forwarder.contracts import (
    ByteSize,
    ConfigError,
    CursorState,
    Duration,
    Endpoint,
    Finding,
    HttpConfig,
    Normalizer,
    Origin,
    Page,
    Secret,
    SourceConfig,
    SourceContext,
    TlsConfig,
)
from forwarder.contracts.credentials import Expiry
from forwarder.contracts.declared import Field, PydanticCustomError, field_validator, model_validator
from forwarder.contracts.identity import EventKeys
from forwarder.contracts.secret_file import expanded
from forwarder.contracts.settings import Within
from forwarder.sources.credentials import Credentials
from forwarder.sources.datacenter.access import ApiAccess
from forwarder.sources.datacenter.from_api import FromApi
from forwarder.sources.datacenter.from_files import FromFiles
from forwarder.sources.datacenter.nodes import Nodes
from forwarder.sources.datacenter.normalizer import DataCenterNormalizer

_SITE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?:/[A-Za-z0-9._~-]{1,100}){0,4}")
_LEAST_LIMIT = 100
"""Two requests a minute leave twenty records in the ten minutes that are read each time."""

_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class DataCenterConfig(SourceConfig):
    """The audit log of a Data Center product: from the files of its `nodes`, or from its `url`."""

    CREDENTIALS = ("token", "password")

    site: str | None = None
    """Host of the product, such as `jira.example.com`, with the path when it has one: part of every document id, so it
    stays when folders move. Default: that of `url`."""
    nodes: Annotated[dict[str, Path], Field(min_length=1, max_length=100)] | None = None
    """Folder with the audit log files of each node, by the node's name. A path with `*` stands for as many nodes as
    there are folders that it fits. The name is part of document ids as well."""
    url: str | None = None
    """Address of the product, such as `https://jira.example.com`, with the path when it has one; instead of `nodes`,
    where no files can be read: each request is itself recorded in the log."""
    token: Secret | None = None
    """Personal access token of a system administrator, for `url`."""
    token_expires_at: Expiry | None = None
    """Last day of the token, such as `2027-01-31`, or the moment of its end; counted down 30, 7 and 1 days before."""
    token_next: Secret | None = None
    """The token that follows: it takes over when the first one is refused or has ended."""
    token_next_expires_at: Expiry | None = None
    """Last day of `token_next`, or the moment of its end."""
    user: str | None = None
    """Name of an account with a password, instead of `token`."""
    password: Secret | None = None
    """Password of the `user`."""
    password_expires_at: Expiry | None = None
    """Last day of the password, or the moment of its end; counted down as that of a token is."""
    password_next: Secret | None = None
    """The password that follows: it takes over when the first one is refused or has ended."""
    password_next_expires_at: Expiry | None = None
    """Last day of `password_next`, or the moment of its end."""
    account: Annotated[str, Field(max_length=255)] | None = None
    """Name or id that records have as author when we are it. Default: what the product says. Searches of the log by
    this account are ours, so use it for nothing else."""
    own_searches: Literal["leave_out", "deliver"] = "leave_out"
    """What becomes of records that our own requests make in the log: they are left out and counted, or delivered."""
    limit: Annotated[int, Field(ge=1, le=2000)] = 1000
    """Most records of a page."""
    insecure: bool = False
    """Allow `http://` to another machine; for a laboratory only."""
    tls: TlsConfig = TlsConfig()
    """TLS settings."""
    http: HttpConfig = HttpConfig()
    """HTTP settings."""
    max_line: Annotated[ByteSize, Within("64KB", "64MB")] = 8 * 2**20
    """Longest record in a file; of a longer line only its beginning is kept, and becomes a dead letter."""
    read_timeout: Annotated[Duration, Within("100ms", "10m")] = 30.0
    """How long to wait for a disk; the other nodes are read on meanwhile."""

    @field_validator("site")
    @classmethod
    def _is_a_host(cls, value: str | None) -> str | None:
        if value is not None and not _SITE.fullmatch(value):
            raise PydanticCustomError("site", "not the name of a host; write it alone, such as jira.example.com")
        return value

    @field_validator("nodes")
    @classmethod
    def _are_folders(cls, value: dict[str, Path] | None) -> dict[str, Path] | None:
        seen: dict[str, str] = {}
        for name, path in (value or {}).items():
            if not _NODE.fullmatch(name):
                raise PydanticCustomError("nodes", "a node's name is letters, digits, dots and dashes; write node1")
            if ".audit.log" in path.name:
                raise PydanticCustomError(
                    "nodes", "{name}: a file, not a folder; name the folder that holds the files", {"name": name}
                )
            try:
                place = os.path.normpath(expanded(path))
            except ValueError as error:
                raise PydanticCustomError("path", "{problem}", {"problem": f"{name}: {error}"}) from None
            if place in seen:
                raise PydanticCustomError(
                    "nodes", "{one} and {other} are one folder, so each record would come twice; keep one",
                    {"one": seen[place], "other": name},
                )  # fmt: skip
            seen[place] = name
        return value and {name: expanded(path) for name, path in value.items()}

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        fault = _unclear(self)
        if fault:
            raise PydanticCustomError("datacenter", "{fault}", {"fault": fault})
        return self

    @property
    def host(self) -> str:
        """Return what document ids are made of."""
        if self.site is not None or self.url is None:
            return self.site or ""
        parts = urlsplit(self.url)
        return f"{(parts.hostname or '').lower()}{parts.path.rstrip('/')}"


def _unclear(config: DataCenterConfig) -> str:
    """Return what of the settings contradicts itself, or nothing."""
    named = [name for name in ("token", "user", "password") if getattr(config, name) is not None]
    by_files, by_url = config.nodes is not None, config.url is not None
    faults = (
        (by_files and by_url, "nodes and url are both set, and each record would come by both; keep one of them"),
        (not by_files and not by_url, "neither nodes nor url is set; write the folders of the nodes as nodes, or url"),
        (by_files and config.site is None, "files do not say whose they are; write the host of the product as site"),
        (by_files and named, f"{''.join(named[:1])} is for url, and files are read; remove it"),
        ("token" in named and len(named) > 1, "token and user or password are set; keep the token"),
        (
            by_url and named not in (["token"], ["user", "password"]),
            "no whole credential is set; write a personal access token as token, or user and password",
        ),
        (by_url and not _SITE.fullmatch(config.host), "url does not tell the host; write it as site"),
        (
            by_url and config.limit < _LEAST_LIMIT and config.own_searches == "leave_out",
            f"limit is so small that records of our own requests would fill the pages; write at least {_LEAST_LIMIT}",
        ),
    )
    return next((fault for is_so, fault in faults if is_so), "")


class DataCenterSource:
    """Follows the audit log of one product."""

    Config: ClassVar[type[SourceConfig]] = DataCenterConfig
    feed: ClassVar[str] = ""
    reads: Literal["stream", "windows", "places"] = "places"
    retention_ms: ClassVar[int | None] = None

    def __init__(self, config: DataCenterConfig, context: SourceContext) -> None:
        self.origin = Origin(source=context.name, feed=self.feed, organization="", site=config.host)
        self.endpoints: list[Endpoint] = []
        self.credentials = Credentials(config.credentials, context.clock)
        keys = EventKeys(self.feed, self.origin.scope)
        self._access: ApiAccess | None = None
        self._way: FromFiles | FromApi
        if config.url is None:
            nodes = Nodes(config.nodes or {}, limit=config.limit, longest=config.max_line, within=config.read_timeout)
            self._way = FromFiles(nodes, keys, context.clock)
            return
        self._access = access = ApiAccess(
            config.url.rstrip("/"),
            self.credentials,
            config.user or "",
            context,
            http=config.http,
            tls=config.tls,
            insecure=config.insecure,
        )
        deliver = config.own_searches == "deliver"
        self._way = FromApi(access, keys, config.limit, config.account or "", deliver_own=deliver)
        self.reads = "windows"
        self.endpoints = [access.endpoint]

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives these records their meaning."""
        return DataCenterNormalizer()

    def walk(self, since_ms: int, until_ms: int | None = None) -> CursorState:
        """Return the state of a cursor that begins with records of `since_ms`."""
        return self._way.walk(since_ms, until_ms)

    async def fetch(self, state: CursorState) -> Page:
        """Read on. Raises Retryable, Held, AuthFailed or CursorLost."""
        return await self._way.fetch(state)

    def why_foreign(self, body: bytes) -> str:
        """Say why a JSON object is none of these records, or nothing. Raises ConfigError where files are read."""
        return self._by_api().why_foreign(body)

    def pages_of(self, bodies: Sequence[bytes]) -> list[Page]:
        """Return records that were kept in an archive as a page. Raises ConfigError where files are read."""
        return self._by_api().pages_of(bodies)

    def _by_api(self) -> FromApi:
        if isinstance(self._way, FromApi):
            return self._way
        raise ConfigError(
            f"sources.{self.origin.source}: it reads files, and ids of their records hold the places they stand at, "
            "which an archive does not tell, so nothing can be imported; put the files of the product into a folder "
            "of its nodes"
        )

    async def probe(self) -> list[Finding]:
        """Say what can be read, and what the product does not record."""
        tried = [] if self._access is None else await self._access.try_each()
        return [*await self._way.probe(), *tried, *self.credentials.findings()]

    async def close(self) -> None:
        """Release what is open. Safe to call twice."""
        await self._way.close()


class JiraDataCenterConfig(DataCenterConfig):
    """The audit log of Jira Data Center, from the files of its nodes (`<local home>/log/audit`) or by REST."""

    type: Literal["jira_datacenter"]
    """Which kind of source this is."""


class ConfluenceDataCenterConfig(DataCenterConfig):
    """The audit log of Confluence Data Center, from the files of its nodes (`<local home>/log/audit`) or by REST."""

    type: Literal["confluence_datacenter"]
    """Which kind of source this is."""


class BitbucketDataCenterConfig(DataCenterConfig):
    """The audit log of Bitbucket Data Center, from the files of its nodes (`<home>/log/audit`) or by REST."""

    type: Literal["bitbucket_datacenter"]
    """Which kind of source this is."""


class JiraDataCenter(DataCenterSource):
    """Jira."""

    Config = JiraDataCenterConfig
    feed = "jira_datacenter"


class ConfluenceDataCenter(DataCenterSource):
    """Confluence."""

    Config = ConfluenceDataCenterConfig
    feed = "confluence_datacenter"


class BitbucketDataCenter(DataCenterSource):
    """Bitbucket."""

    Config = BitbucketDataCenterConfig
    feed = "bitbucket_datacenter"
