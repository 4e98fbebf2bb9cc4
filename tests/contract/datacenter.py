"""The audit logs of Data Center products under the control of a test: the files of a node."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path
from typing import Any, ClassVar

from forwarder.testing.feed import FEED_FAULTS, Feed, FeedFault

_NO_SERVER = "files are read, and no server is asked"


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
        body = json.dumps(
            {
                "affectedObjects": [{"id": str(self._count), "name": "ops", "type": "GROUP"}],
                "auditType": {"action": "Group created", "category": "group management"},
                "author": {"id": "JIRAUSER10100", "name": "admin", "type": "ApplicationUser"},
                "timestamp": {"epochSecond": now // 10**9, "nano": now % 10**9},
            }
        )
        return body[:-1].encode() + b', "more": ' + extra + b"}"

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


DATACENTER_FEEDS: list[type[Feed]] = [JiraFiles, ConfluenceFiles, BitbucketFiles]
