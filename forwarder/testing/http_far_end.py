"""A far end that is asked by HTTP: it plays every fault of the wire; its subclass says how a good request is answered.

Invariant: what a fault answers instead is never seen by `answer`; what it breaks on the wire was taken before.
"""

from __future__ import annotations

import ssl
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from forwarder.testing.far_end import SECOND_SECRET, SECRET, Ability, secret_file
from simulator.http_types import Request, Response, Wire
from simulator.httpd import Server
from simulator.receivers.rules import Rule, due

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


class HttpFarEnd:
    """One server on 127.0.0.1. A subclass has `name`, `settings` and `answer`, and what differs of the rest.

    Attributes:
        url: Scheme, host and port.
        secret: The credential that is good now.
        secret_file: The file that the sink reads it from.
        refused: Ids of events that `answer` is to refuse for good.
        landed: Count here what was taken, by event id.
    """

    name: ClassVar[str]
    variant: ClassVar[str] = ""
    can: ClassVar[frozenset[Ability]] = HTTP_CAN
    cannot: ClassVar[dict[Ability, str]] = HTTP_CANNOT
    patience: ClassVar[str] = "patience"

    def __init__(self, folder: Path) -> None:
        self.secret = SECRET
        self.secret_file = secret_file(folder, SECRET)
        self.refused: set[str] = set()
        self._landed: Counter[str] = Counter()
        self._choked: set[str] = set()
        self._rules: list[Rule] = []
        self._server = Server(self._handle)

    async def answer(self, request: Request) -> Response:
        """Answer one request as the real destination would, and count what it takes in `landed`."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return what the sink is configured with: an address below `url`, `secret_file`, and `http: HTTP_TIMES`."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    @property
    def landed(self) -> Counter[str]:
        """How often each event is there."""
        return self._landed

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, at the address it had before, with this certificate."""
        self._server.ssl = tls
        await self._server.start()

    async def close(self) -> None:
        """Stop listening and cut every connection. Raises what `answer` raised, if it did."""
        await self._server.close()
        if self._server.failures:
            raise ExceptionGroup("the far end failed while it answered", self._server.failures)

    def rotate(self) -> None:
        """Take only the second secret from now on."""
        self.secret = SECOND_SECRET

    def reject(self, ids: set[str]) -> None:
        """Refuse these events for good."""
        self.refused = ids

    def choke(self, ids: set[str]) -> None:
        """Fail on a request with one of these in it, as something between that reads along does."""
        self._choked = ids

    def play(self, fault: Ability, times: int | None = 1) -> None:
        """Misbehave in this way for so many requests, or for all."""
        self._rules.append(replace(HTTP_FAULTS[fault], times=times))

    def calm(self) -> None:
        """Forget every fault."""
        self._choked, self.refused = set(), set()
        self._rules.clear()

    def holds(self, content: bytes, name: str) -> bool:
        """Tell whether a body holds an event: its id in quotes."""
        return b'"%b"' % name.encode() in content

    async def _handle(self, request: Request) -> Response:
        if self._choked:
            content = request.decoded_body()
            if any(self.holds(content, name) for name in self._choked):
                return Response(500)
        rule = due(self._rules)
        if rule.answer is not None:
            return rule.answer
        answer = await self.answer(request)
        return answer if rule.wire is None else replace(answer, misbehave=rule.wire)
