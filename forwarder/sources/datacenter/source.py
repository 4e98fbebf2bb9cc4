"""The audit log of a Data Center product: Jira, Confluence or Bitbucket, read from the files of its nodes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from forwarder.contracts import (
    ByteSize,
    CursorState,
    Duration,
    Finding,
    Normalizer,
    Origin,
    Page,
    SourceConfig,
    SourceContext,
)
from forwarder.contracts.identity import EventKeys
from forwarder.contracts.secret_file import expanded
from forwarder.contracts.settings import Within
from forwarder.sources.datacenter.from_files import FromFiles
from forwarder.sources.datacenter.nodes import Nodes
from forwarder.sources.datacenter.normalizer import DataCenterNormalizer

_SITE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?:/[A-Za-z0-9._~-]{1,100}){0,4}")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class DataCenterConfig(SourceConfig):
    """The audit log of a Data Center product, from the files of its nodes (`<home>/log/audit`)."""

    site: str
    """Host of the product, such as `jira.example.com`, with the path when it has one: part of every document id, so it
    stays when folders move."""
    nodes: Annotated[dict[str, Path], Field(min_length=1, max_length=100)]
    """Folder with the audit log files of each node, by the node's name. A path with `*` stands for as many nodes as
    there are folders that it fits. The name is part of document ids as well."""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most records of a page."""
    max_line: Annotated[ByteSize, Within("64KB", "64MB")] = 8 * 2**20
    """Longest record in a file; of a longer line only its beginning is kept, and becomes a dead letter."""
    read_timeout: Annotated[Duration, Within("100ms", "10m")] = 30.0
    """How long to wait for a disk; the other nodes are read on meanwhile."""

    @field_validator("site")
    @classmethod
    def _is_a_host(cls, value: str) -> str:
        if not _SITE.fullmatch(value):
            raise PydanticCustomError("site", "not the name of a host; write it alone, such as jira.example.com")
        return value

    @field_validator("nodes")
    @classmethod
    def _are_folders(cls, value: dict[str, Path]) -> dict[str, Path]:
        seen: dict[str, str] = {}
        for name, path in value.items():
            if not _NODE.fullmatch(name):
                raise PydanticCustomError("nodes", "a node's name is letters, digits, dots and dashes; write node1")
            if ".audit.log" in path.name:
                raise PydanticCustomError(
                    "nodes", "{name}: a file, not a folder; name the folder that holds the files", {"name": name}
                )
            try:
                place = os.path.normpath(expanded(path))
            except ValueError as error:
                raise PydanticCustomError("path", "{said}", {"said": f"{name}: {error}"}) from None
            if place in seen:
                raise PydanticCustomError(
                    "nodes", "{one} and {other} are one folder, so each record would come twice; keep one",
                    {"one": seen[place], "other": name},
                )  # fmt: skip
            seen[place] = name
        return {name: expanded(path) for name, path in value.items()}


class DataCenterSource:
    """Follows the audit log of one product."""

    Config: ClassVar[type[SourceConfig]] = DataCenterConfig
    feed: ClassVar[str] = ""
    reads: ClassVar[Literal["stream", "windows", "places"]] = "places"
    retention_ms: ClassVar[int | None] = None

    def __init__(self, config: DataCenterConfig, context: SourceContext) -> None:
        self.origin = Origin(source=context.name, feed=self.feed, organization="", site=config.site)
        keys = EventKeys(self.feed, self.origin.scope)
        nodes = Nodes(config.nodes, limit=config.limit, longest=config.max_line, within=config.read_timeout)
        self._way = FromFiles(nodes, keys, context.clock)

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives these records their meaning."""
        return DataCenterNormalizer()

    def walk(self, since_ms: int, until_ms: int | None = None) -> CursorState:
        """Return the state of a cursor that begins with records of `since_ms`."""
        return self._way.walk(since_ms, until_ms)

    async def fetch(self, state: CursorState) -> Page:
        """Read on. Raises Retryable, Held or AuthFailed."""
        return await self._way.fetch(state)

    async def probe(self) -> list[Finding]:
        """Say what can be read, and what the product does not record."""
        return await self._way.probe()

    async def close(self) -> None:
        """Release what is open. Safe to call twice."""
        await self._way.close()


class JiraDataCenterConfig(DataCenterConfig):
    """The audit log of Jira Data Center, from the files of its nodes (`<local home>/log/audit`)."""

    type: Literal["jira_datacenter"]
    """Which kind of source this is."""


class ConfluenceDataCenterConfig(DataCenterConfig):
    """The audit log of Confluence Data Center, from the files of its nodes (`<local home>/log/audit`)."""

    type: Literal["confluence_datacenter"]
    """Which kind of source this is."""


class BitbucketDataCenterConfig(DataCenterConfig):
    """The audit log of Bitbucket Data Center, from the files of its nodes (`<home>/log/audit`)."""

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
