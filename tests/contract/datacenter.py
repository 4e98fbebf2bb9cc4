"""The audit logs of Data Center products under the control of a test: the files of a node, and the API."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from forwarder.testing.far_end import SECRET
from forwarder.testing.feed import FEED_FAULTS, Feed, FeedFault
from forwarder.testing.http_feed import FEED_HTTP, HTTP_FEED_CAN, HTTP_FEED_FAULTS, HttpFeed
from simulator.http_types import Request, Response
from simulator.products.datacenter import DataCenter, Habits
from simulator.receivers.rules import Rule
from simulator.render import iso
from simulator.world import World

_NO_SERVER = "files are read, and no server is asked"


def record(number: int, extra: bytes, **more: Any) -> bytes:
    """Return a record with some JSON in it."""
    affected = [{"id": str(number), "name": "ops", "type": "GROUP"}]
    author = {"id": "JIRAUSER10100", "name": "admin", "type": "ApplicationUser"}
    body = json.dumps({"affectedObjects": affected, "author": author, **more})
    return body[:-1].encode() + b', "more": ' + extra + b"}"


class FilesFeed:
    """A folder in which one node writes; away is a folder that has another name."""

    name: ClassVar[str]
    variant: ClassVar[str] = "files"
    can: ClassVar[frozenset[FeedFault]] = frozenset({"restart"})
    cannot: ClassVar[dict[FeedFault, str]] = dict.fromkeys(FEED_FAULTS - {"restart"}, _NO_SERVER)

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "node1"
        self._away = folder / "node1.away"
        self._away.mkdir()
        self._count = 0

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        assert tls is None
        if self._away.exists():
            self._away.rename(self._folder)

    async def close(self) -> None:
        if self._folder.exists():
            self._folder.rename(self._away)

    def settings(self) -> dict[str, Any]:
        return {"site": "dc.example.com", "nodes": {"node1": str(self._folder)}, "limit": 10}

    def add(self, count: int, extra: bytes = b"null") -> list[bytes]:
        added = [self._record(extra) for _ in range(count)]
        with (self._folder / time.strftime("%Y%m%d-00000.audit.log")).open("ab") as file:
            file.write(b"".join(body + b"\n" for body in added))
        return added

    def _record(self, extra: bytes) -> bytes:
        self._count += 1
        now = time.time_ns()
        done = {"action": "Group created", "category": "group management"}
        stamp = {"epochSecond": now // 10**9, "nano": now % 10**9}
        return record(self._count, extra, auditType=done, timestamp=stamp)

    def rotate(self) -> None:
        raise AssertionError(_NO_SERVER)

    def play(self, fault: FeedFault, times: int | None = 1) -> None:
        raise AssertionError(_NO_SERVER)

    def calm(self) -> None:
        """There is nothing to forget."""


class JiraFiles(FilesFeed):
    name = "jira_datacenter"


class ConfluenceFiles(FilesFeed):
    name = "confluence_datacenter"


class BitbucketFiles(FilesFeed):
    name = "bitbucket_datacenter"


class ApiFeed(HttpFeed):
    """A simulated product, with faults of the wire before it; ten records are on a page."""

    name: ClassVar[str]
    variant: ClassVar[str] = "rest"
    can: ClassVar[frozenset[FeedFault]] = HTTP_FEED_CAN | {"cursor_lost", "empty_page"}
    cannot: ClassVar[dict[FeedFault, str]] = {"repeated_page": "a cursor that comes again is an error, and no page"}
    faults: ClassVar[Mapping[Any, Rule]] = {
        **HTTP_FEED_FAULTS,
        "cursor_lost": Rule(answer=Response.json({"message": "no such cursor"}, 400)),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        server: Any = self.name.partition("_")[0]
        habits = Habits(most=10, records_searches=False)
        self._product = DataCenter(server, World(1), random.Random(1), token=SECRET, habits=habits)
        self._empty = 0

    def settings(self) -> dict[str, Any]:
        return {"url": self.url, "token_file": str(self.secret_file), "http": FEED_HTTP}

    def event(self, number: int, extra: bytes) -> bytes:
        now = int(time.time() * 1000)
        done = {"action": "Group created", "category": "group management"}
        body = record(number, extra, type=done, timestamp=iso(now))
        self._product.feed.add(f"e{number}", now, now, now, body)
        return body

    async def answer(self, request: Request) -> Response:
        if self._empty and "pageCursor" in request.query:
            self._empty -= 1
            cursor = f"0{request.query['pageCursor'][0]}"  # another one for the same place
            return Response.json({"entities": [], "pagingInfo": {"nextPageCursor": cursor, "lastPage": False}})
        self._product.token = self.secret
        path = request.path.removeprefix("/rest/auditing/1.0/")
        return self._product.answer(request, path, int(time.time() * 1000)).response

    def play(self, fault: FeedFault, times: int | None = 1) -> None:
        if fault == "empty_page":
            self._empty = times or 0
        else:
            super().play(fault, times)


class JiraApi(ApiFeed):
    name = "jira_datacenter"


class ConfluenceApi(ApiFeed):
    name = "confluence_datacenter"


class BitbucketApi(ApiFeed):
    name = "bitbucket_datacenter"


DATACENTER_FEEDS: list[type[Feed]] = [
    JiraFiles,
    ConfluenceFiles,
    BitbucketFiles,
    JiraApi,
    ConfluenceApi,
    BitbucketApi,
]
