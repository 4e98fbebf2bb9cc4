"""The API of each source of ours, for the clauses of `forwarder.testing`: the simulator."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path
from typing import Any, ClassVar

from forwarder.testing.far_end import SECOND_SECRET, SECRET
from forwarder.testing.feed import Feed, FeedFault
from forwarder.testing.http_feed import FEED_HTTP, HTTP_FEED_CAN, HttpFeed
from forwarder.testing.sender import Sender
from simulator.config import KeyConfig, Products, SimulatorConfig, Workspaces
from simulator.http_types import Request, Response
from simulator.limits import Key
from simulator.products.deeds import Product
from simulator.render import iso
from simulator.simulator import Simulator
from tests.contract.datacenter import DATACENTER_FEEDS

PAGES: dict[FeedFault, str] = {
    "cursor_lost": "cursor_lost",
    "empty_page": "empty_page",
    "repeated_page": "loop",
}
"""What of a fault the simulator has a name for."""


class OrganizationFeed(HttpFeed):
    """A simulated organization, with faults of the wire before it."""

    name: ClassVar[str] = "organization"
    can: ClassVar[frozenset[FeedFault]] = HTTP_FEED_CAN | frozenset(PAGES)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._simulator = Simulator(SimulatorConfig(events=0, key=KeyConfig(value=SECRET)))
        self._server = self._simulator.server
        self._behind = self._server.handler
        self._server.handler = self._handle

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        assert tls is None
        await self._simulator.up()

    def settings(self) -> dict[str, Any]:
        return {
            "org_id": self._simulator.org_id,
            "base_url": self.url,
            "api_key_file": str(self.secret_file),
            "limit": 10,
            "http": FEED_HTTP,
        }

    def event(self, number: int, extra: bytes) -> bytes:
        now = iso(int(time.time() * 1000))
        attributes = {"time": now, "processedAt": now, "action": "user_login", "actor": {"id": "a1"}}
        body = json.dumps({"id": f"e{number}", "type": "events", "attributes": attributes}).encode()
        body = body[:-1] + b', "more": ' + extra + b"}"
        self._simulator.add_raw(body, f"e{number}")
        return body

    async def answer(self, request: Request) -> Response:
        return await self._behind(request)

    def rotate(self) -> None:
        organization = self._simulator.organizations[self._simulator.org_id]
        organization.rotate_key()
        organization.key = Key(SECOND_SECRET, organization.id, None, organization.key.scopes)
        organization.keys[SECOND_SECRET] = organization.key

    def play(self, fault: FeedFault, times: int | None = 1) -> None:
        if fault in PAGES:
            self._simulator.faults.add(PAGES[fault], times=times)
        else:
            super().play(fault, times)

    def calm(self) -> None:
        super().calm()
        self._simulator.faults.clear()


class SiteFeed(HttpFeed):
    """One product of a simulated site, with faults of the wire before it. A subclass writes the records."""

    cannot: ClassVar[dict[FeedFault, str]] = {
        "cursor_lost": "there are no cursors",
        "empty_page": "an empty page is the end of a window",
        "repeated_page": "an offset grows with every page",
    }
    product: ClassVar[Product]
    switches: ClassVar[Workspaces] = Workspaces()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._simulator = Simulator(
            SimulatorConfig(events=0, products=Products(rate=1, workspaces=self.switches))
        )  # there are sites; time stands
        self._server = self._simulator.server
        self._behind = self._server.handler
        self._server.handler = self._handle
        self.site = next(iter(self._simulator.sites.values()))
        self.site.token = SECRET

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        assert tls is None
        await self._simulator.up()

    def settings(self) -> dict[str, Any]:
        return {
            "site": self.site.name,
            "site_url": f"{self.url}/site/{{site}}",
            "gateway": self.url,
            "email": self.site.email,
            "token_file": str(self.secret_file),
            "http": FEED_HTTP,
        }

    def record(self, number: int, time_ms: int) -> dict[str, Any]:
        """Return what a record says."""
        raise NotImplementedError

    def event(self, number: int, extra: bytes) -> bytes:
        now = int(time.time() * 1000)
        body = json.dumps(self.record(number, now)).encode()[:-1] + b', "more": ' + extra + b"}"
        self.site.logs[self.product].feed.add(f"e{number}", now, now, now, body)
        return body

    async def answer(self, request: Request) -> Response:
        return await self._behind(request)

    def rotate(self) -> None:
        self.site.token = SECOND_SECRET


class JiraFeed(SiteFeed):
    """Jira on a simulated site."""

    name: ClassVar[str] = "jira"
    product: ClassVar[Product] = "jira"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "limit": 10}

    def record(self, number: int, time_ms: int) -> dict[str, Any]:
        created = f"{iso(time_ms)[:-1]}+0000"
        return {"id": number, "summary": "User created", "category": "user management", "created": created}


class ConfluenceFeed(SiteFeed):
    """Confluence on a simulated site."""

    name: ClassVar[str] = "confluence"
    product: ClassVar[Product] = "confluence"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "limit": 10}

    def record(self, number: int, time_ms: int) -> dict[str, Any]:
        author = {"displayName": f"Person {number}", "accountId": f"a{number}"}
        return {"author": author, "creationDate": time_ms, "summary": "User created", "category": "Users and groups"}


class WorkspaceFeed(SiteFeed):
    """The Workspace Events API, as the second way to what Jira recorded."""

    name: ClassVar[str] = "jira"
    variant: ClassVar[str] = "workspace_events"
    product: ClassVar[Product] = "jira"
    can: ClassVar[frozenset[FeedFault]] = HTTP_FEED_CAN | frozenset(PAGES)
    cannot: ClassVar[dict[FeedFault, str]] = {}
    switches: ClassVar[Workspaces] = Workspaces(served=True)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site.scoped_token = SECRET

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "api": "workspace_events", "limit": 10}

    def event(self, number: int, extra: bytes) -> bytes:
        now = int(time.time() * 1000)
        attributes = {"time": iso(now), "action": "jira_project_created", "actor": {"id": "a1"}}
        body = json.dumps({"id": f"e{number}", "type": "events", "attributes": attributes}).encode()
        body = body[:-1] + b', "more": ' + extra + b"}"
        self.site.logs[self.product].events.add(f"e{number}", now, now, now, body)
        return body

    def rotate(self) -> None:
        self.site.token = self.site.scoped_token = SECOND_SECRET

    def play(self, fault: FeedFault, times: int | None = 1) -> None:
        if fault in PAGES:
            self._simulator.faults.add(PAGES[fault], feed="workspace", times=times)
        else:
            super().play(fault, times)

    def calm(self) -> None:
        super().calm()
        self._simulator.faults.clear()


class ConfluenceWorkspaceFeed(WorkspaceFeed):
    """The Workspace Events API, as the second way to what Confluence recorded."""

    name: ClassVar[str] = "confluence"
    product: ClassVar[Product] = "confluence"


FEEDS: list[type[Feed]] = [
    OrganizationFeed,
    JiraFeed,
    WorkspaceFeed,
    ConfluenceFeed,
    ConfluenceWorkspaceFeed,
    *DATACENTER_FEEDS,
]
"""A new source adds a class and a line."""


class GuardDetectSender:
    """Guard Detect, as far as it sends alerts."""

    name: ClassVar[str] = "guard_detect"

    def settings(self) -> dict[str, Any]:
        return {"org_id": "11111111-2222-3333-4444-555555555555"}

    def event(self, number: int, extra: bytes = b"null") -> bytes:
        body = {"alertId": f"alert-{number}", "alertTitle": "Suspicious search", "detectionTime": 1_780_000_000_000}
        return json.dumps(body).encode()[:-1] + b', "more": ' + extra + b"}"


SENDERS: list[type[Sender]] = [GuardDetectSender]
"""A new source that receives adds a class and a line."""
