"""A feed that is asked by HTTP: it plays every fault of the wire; its subclass says how a page is answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from forwarder.testing.feed import WAIT, Feed, FeedFault
from forwarder.testing.http_server import FaultyServer
from simulator.http_types import Request, Response, Wire
from simulator.receivers.rules import Rule

__all__ = [
    "FEED_HTTP",
    "HTTP_FEED_CAN",
    "HTTP_FEED_FAULTS",
    "Feed",
    "FeedFault",
    "HttpFeed",
    "Request",
    "Response",
    "Rule",
    "Wire",
]

_JSON = {"content-type": "application/json"}

FEED_HTTP = {"connect_timeout": 5, "read_timeout": 1, "total_timeout": 5, "max_response": 1_000_000}
"""For the setting `http`: short enough that a stall ends soon, and an answer too large is soon there."""

HTTP_FEED_FAULTS: dict[FeedFault, Rule] = {
    "rate_limited": Rule(answer=Response(429, {"retry-after": str(WAIT)})),
    "server_error": Rule(answer=Response(503, {"retry-after": str(WAIT)})),
    "login_page": Rule(answer=Response(200, {"content-type": "text/html"}, b"<html><title>Log in</title></html>")),
    "redirect": Rule(answer=Response(302, {"location": "/login"})),
    "truncated": Rule(wire=Wire(stop_at=20)),
    "too_large": Rule(answer=Response(200, _JSON, b'{"x":"' + b"x" * 2_000_000 + b'"}')),
    "garbage": Rule(wire=Wire(garbage=b"\x16\x03\x01\x02\x00\x01 this is not HTTP\r\n\r\n")),
    "reset": Rule(wire=Wire(stop_at=5, ending="reset")),
    "stall": Rule(wire=Wire(stall_at=5, stall=3600)),
}
"""How whatever speaks HTTP plays a fault. A page must have more than twenty bytes to be cut."""

HTTP_FEED_CAN: frozenset[FeedFault] = frozenset({*HTTP_FEED_FAULTS, "auth", "restart"})


class HttpFeed(FaultyServer):
    """One server on 127.0.0.1. A subclass has `name`, `settings`, `event` and `answer`, and what differs of the rest.

    Attributes:
        events: What happened, in order, as it is sent.
    """

    name: ClassVar[str]
    variant: ClassVar[str] = ""
    can: ClassVar[frozenset[FeedFault]] = HTTP_FEED_CAN
    cannot: ClassVar[dict[FeedFault, str]] = {}
    faults: ClassVar[Mapping[Any, Rule]] = HTTP_FEED_FAULTS

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.events: list[bytes] = []

    def event(self, number: int, extra: bytes) -> bytes:
        """Return one event of now, as the API writes it, with some JSON somewhere in it."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return what the source is configured with: `url`, `secret_file`, and `http: FEED_HTTP`."""
        raise NotImplementedError

    def add(self, count: int, extra: bytes = b"null") -> list[bytes]:
        """Let events happen now."""
        added = [self.event(len(self.events) + number, extra) for number in range(count)]
        self.events += added
        return added
