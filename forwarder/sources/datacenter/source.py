"""The audit log of a Data Center product, read from the files that each node writes.

Reading files neither loads the product nor is recorded by it, as a search through its API is; and a node writes to its
file what the API may have forgotten. The log of a node that is down is read when its folder is there again.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from forwarder.contracts import (
    ByteSize,
    CursorState,
    Finding,
    Normalizer,
    Origin,
    Page,
    Retryable,
    SourceConfig,
    SourceContext,
)
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.contracts.settings import Within
from forwarder.normalize.times import TimeReader, TimeWriter
from forwarder.sources.datacenter.files import Folder, Place
from forwarder.sources.datacenter.normalizer import DataCenterNormalizer

MOST_COPIES = 100
"""Records whose number among equal ones is remembered from page to page."""

_SITE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_TIME = re.compile(rb'"timestamp"\s*:\s*(?:"([^"\\]{10,40})"|\{[^{}]{0,80}"epochSecond"\s*:\s*([0-9]{1,12}))')


class DataCenterConfig(SourceConfig):
    """The audit log of a Data Center product, from the files of its nodes (`<home>/log/audit`)."""

    site: str
    """Host of the product, such as `jira.example.com`: part of every document id, so it stays when the folders move."""
    nodes: Annotated[dict[str, Path], Field(min_length=1, max_length=100)]
    """Folder with the audit log files of each node, by the node's name, which is part of document ids as well."""
    trailing: float = 0.0
    """Files are read to their end; nothing becomes visible behind it."""
    max_line: Annotated[ByteSize, Within("64KB", "64MB")] = 8 * 2**20
    """Longest record."""

    @field_validator("site")
    @classmethod
    def _is_a_host(cls, value: str) -> str:
        if not _SITE.fullmatch(value):
            raise PydanticCustomError("site", "not the name of a host; write it alone, such as jira.example.com")
        return value


class DataCenterSource:
    """Follows the log files of one product."""

    Config: ClassVar[type[SourceConfig]] = DataCenterConfig
    feed: ClassVar[str] = ""

    def __init__(self, config: DataCenterConfig, context: SourceContext) -> None:
        self._config = config
        self._clock = context.clock
        self._folders = [Folder(node, path) for node, path in sorted(config.nodes.items())]
        self.origin = Origin(source=context.name, feed=self.feed, organization="", site=config.site)
        self._keys = EventKeys(self.feed, self.origin.scope)
        self._read, self._write = TimeReader(), TimeWriter()

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives these records their meaning."""
        return DataCenterNormalizer()

    def walk(self, since_ms: int) -> CursorState:
        """Return the state of a cursor that begins with records of `since_ms`."""
        return {"from": since_ms, "nodes": {}}

    async def fetch(self, state: CursorState) -> Page:
        """Read on in the log of the first node that has something new. Raises Retryable."""
        return await asyncio.to_thread(self._fetch, state)

    def _fetch(self, state: CursorState) -> Page:
        places: dict[str, Any] = dict(state["nodes"])
        troubles: list[Retryable] = []
        for folder in self._in_turn(state.get("last")):
            try:
                page = self._from(folder, state, places)
            except Retryable as error:
                troubles.append(error)
                continue
            if page is not None:
                return msgspec.structs.replace(page, next={**page.next, "last": folder.node})
        if troubles:
            raise troubles[0]  # the other nodes have nothing new
        after = {**state, "nodes": places}
        return Page(bodies=(), keys=(), digests=(), minutes=(), next=after, done=True)

    def _in_turn(self, last: str | None) -> list[Folder]:
        """Return the folders, first the one behind the one that gave the last page: none waits for another's end."""
        names = [folder.node for folder in self._folders]
        first = names.index(last) + 1 if last in names else 0
        return self._folders[first:] + self._folders[:first]

    def _from(self, folder: Folder, state: CursorState, places: dict[str, Any]) -> Page | None:
        """Return a page of one node, or None when there is nothing new; then its place may have moved all the same."""
        since = state["from"]
        stored = places.get(folder.node)
        place = folder.begin(since) if stored is None else msgspec.convert(stored["place"], Place)
        copies: dict[str, int] = dict(stored["copies"]) if stored is not None else {}
        while True:
            stretch = folder.read(place, self._config.max_line, int(self._clock.time() * 1000))
            if stretch.begins:
                copies.clear()
            place = stretch.place
            page = self._page(folder.node, stretch.lines, since, copies)
            places[folder.node] = {"place": msgspec.to_builtins(place), "copies": copies}
            if page is not None:
                return msgspec.structs.replace(page, next={**state, "nodes": places}, more=True)
            if not stretch.more:
                return None

    def _page(self, node: str, lines: list[bytes], since_ms: int, copies: dict[str, int]) -> Page | None:
        bodies: list[bytes] = []
        keys: list[bytes] = []
        minutes: list[str] = []
        newest: int | None = None
        named = node.encode() + b"\0"
        for line in lines:
            moment = self._moment(line)
            digest = self._keys.derived(named + line)
            number = copies.pop(digest.hex(), -1) + 1
            copies[digest.hex()] = number
            while len(copies) > MOST_COPIES:
                del copies[next(iter(copies))]
            if moment is not None and moment < since_ms:
                continue
            bodies.append(line)
            keys.append(digest if number == 0 else self._keys.derived(named + line, number))
            minutes.append(self._write.write(moment)[:16] if moment is not None else "")
            if moment is not None and (newest is None or moment > newest):
                newest = moment
        if not bodies:
            return None
        return Page(
            bodies=bodies,
            keys=keys,
            digests=content_digests(bodies),
            minutes=minutes,
            derived=frozenset(range(len(bodies))),
            next={},
            newest=newest,
        )

    def _moment(self, line: bytes) -> int | None:
        found = _TIME.search(line)
        if found is None:
            return None
        if found[2] is not None:
            return int(found[2]) * 1000
        return self._read.read(found[1].decode("latin-1"))

    async def probe(self) -> list[Finding]:
        """Look into every folder: is it there, may it be read, does anyone write into it."""
        return [await asyncio.to_thread(self._examine, folder) for folder in self._folders]

    def _examine(self, folder: Folder) -> Finding:
        what = f"log of {folder.node}"
        try:
            files = folder.files()
            if files:
                folder.read(Place(), 1, 0)
        except Retryable as error:
            if error.kind != "too_large":
                return Finding(what, ok=False, detail=str(error), fix=error.fix)
        if not files:
            return Finding(
                what,
                ok=False,
                detail=f"there is no file such as 20260131-00000.audit.log in {folder.path}",
                fix="Name the folder log/audit in the home of the node; see that its log is not switched off.",
            )
        return Finding(what, ok=True, detail=f"{len(files)} files, the newest is {files[-1].name}")

    async def close(self) -> None:
        """Nothing is open between two reads."""


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
