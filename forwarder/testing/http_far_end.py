"""A far end that is asked by HTTP: it plays every fault of the wire; its subclass says how a request is answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from forwarder.testing.far_end import Ability, FarEnd, event_id
from forwarder.testing.http_server import FaultyServer
from simulator.http_types import Request, Response, Wire
from simulator.receivers.rules import Rule

__all__ = ["HTTP_CAN", "HTTP_CANNOT", "HTTP_TIMES", "FarEnd", "HttpFarEnd", "Request", "Response", "event_id"]

HTTP_FAULTS: dict[Ability, Rule] = {
    "busy": Rule(answer=Response(503, {"retry-after": "0"})),
    "too_large": Rule(answer=Response(413)),
    "slow": Rule(wire=Wire(delay=0.2, drip=20, pause=0.005)),
    "stall": Rule(wire=Wire(stall_at=5, stall=3600)),
    "reset": Rule(wire=Wire(stop_at=5, ending="reset")),
    "other_words": Rule(answer=Response(200, {"content-type": "text/html"}, b"<html><title>Welcome</title></html>")),
    "garbage": Rule(wire=Wire(garbage=b"\x16\x03\x01\x02\x00\x01 this is not HTTP\r\n\r\n")),
}
"""How whatever speaks HTTP plays a fault. An answer must have more than five bytes to be broken in the middle."""

HTTP_CAN: frozenset[Ability] = frozenset(
    {*HTTP_FAULTS, "reject", "reject_all", "choke", "away", "auth", "restart", "tls"}
)

HTTP_CANNOT: dict[Ability, str] = {
    "late": "the answer is the last word",
    "idempotent": "what comes again is taken again",
}

HTTP_TIMES = {"connect_timeout": 5, "read_timeout": 1, "total_timeout": 5}
"""For the setting `http`: short enough that a stall ends soon, and long enough for a busy machine."""


class HttpFarEnd(FaultyServer):
    """One server on 127.0.0.1. A subclass has `name`, `settings` and `answer`, and what differs of the rest.

    Attributes:
        refused: Ids of events that `answer` is to refuse for good.
        landed: Count here what was taken, by event id.
    """

    name: ClassVar[str]
    variant: ClassVar[str] = ""
    can: ClassVar[frozenset[Ability]] = HTTP_CAN
    cannot: ClassVar[dict[Ability, str]] = HTTP_CANNOT
    patience: ClassVar[str] = "patience"
    faults: ClassVar[Mapping[Any, Rule]] = HTTP_FAULTS

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.refused: set[str] = set()
        self._landed: Counter[str] = Counter()
        self._choked: set[str] = set()

    def settings(self) -> dict[str, Any]:
        """Return what the sink is configured with: an address below `url`, `secret_file`, and `http: HTTP_TIMES`."""
        raise NotImplementedError

    @property
    def landed(self) -> Counter[str]:
        """How often each event is there."""
        return self._landed

    def reject(self, ids: set[str]) -> None:
        """Refuse these events for good."""
        self.refused = ids

    def choke(self, ids: set[str]) -> None:
        """Fail on a request with one of these in it, as something between that reads along does."""
        self._choked = ids

    def calm(self) -> None:
        """Forget every fault."""
        super().calm()
        self._choked, self.refused = set(), set()

    def holds(self, content: bytes, name: str) -> bool:
        """Tell whether a body holds an event: its id in quotes."""
        return b'"%b"' % name.encode() in content

    async def _handle(self, request: Request) -> Response:
        if self._choked:
            content = request.decoded_body()
            if any(self.holds(content, name) for name in self._choked):
                return Response(500)
        return await super()._handle(request)
