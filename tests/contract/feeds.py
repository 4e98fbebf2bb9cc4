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
from simulator.config import KeyConfig, SimulatorConfig
from simulator.http_types import Request, Response
from simulator.limits import Key
from simulator.render import iso
from simulator.simulator import Simulator

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


FEEDS: list[type[Feed]] = [OrganizationFeed]
"""A new source adds a class and a line."""
