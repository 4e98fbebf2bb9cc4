"""A strict endpoint that takes events over plain HTTP, as lines of JSON or as one JSON array.

Invariant: a request is taken whole or not at all, and only what is sound is taken: the right method, path, content type
and credential, every line (or every member of the array) one JSON object. It shares no code with the sink.
"""

from __future__ import annotations

import json
import ssl as ssl_module
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NoReturn, Self

from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.receivers.rules import Refused, Rule, due

CONTENT_TYPES = {"ndjson": "application/x-ndjson", "array": "application/json"}


class HttpLinesReceiver:
    """Takes events at one path; `async with` starts and stops it.

    Args:
        body: What a request must hold.
        path: Where it is taken.
        require: Headers a request must have, with their values.
        max_content: Longest body in bytes, before decompression and after it.
        host, port, ssl: Where to listen, and how.
    """

    def __init__(
        self,
        *,
        body: Literal["ndjson", "array"] = "ndjson",
        path: str = "/ingest",
        require: Mapping[str, str] | None = None,
        max_content: int = 10 * 2**20,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        self.require = dict(require or {})
        self.rules: list[Rule] = []
        self.taken: list[bytes] = []
        self.bodies: list[bytes] = []  # of the requests that were taken, decompressed
        self._body = body
        self._path = path
        self._max = max_content
        self.server = Server(self._handle, host=host, port=port, ssl=ssl)

    @property
    def url(self) -> str:
        """Where events are taken."""
        return self.server.url + self._path

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.close()

    async def _handle(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        rule = due(self.rules)
        if rule.answer is not None:
            return rule.answer
        try:
            self._take(request, rule.item)
        except Refused as refused:
            return Response.json({"error": refused.type, "reason": refused.reason}, refused.status)
        return replace(Response.json({"taken": True}), misbehave=rule.wire)

    def _refusal(self, request: Request) -> Response | None:
        """Refuse what is no request for us at all."""
        if request.path != self._path:
            return Response(404)
        if request.method not in {"POST", "PUT"}:
            return Response(405, {"allow": "POST, PUT"})
        if any(request.headers.get(name.lower()) != value for name, value in self.require.items()):
            return Response(401, {"www-authenticate": "Bearer"})
        if request.headers.get("content-type", "") != CONTENT_TYPES[self._body]:
            return Response(415)
        return None

    def _take(self, request: Request, judge: Callable[[str, bytes], Refused | None] | None) -> None:
        try:
            body = request.decoded_body()
        except ValueError as error:
            raise Refused("bad_encoding", str(error)) from error
        if max(len(body), len(request.body)) > self._max:
            raise Refused("too_large", "the body is too large", 413)
        events = list(_lines(body) if self._body == "ndjson" else _members(body))
        for event in events:
            if judge is not None and (refused := judge("", event)) is not None:
                raise refused
        self.taken += events
        self.bodies.append(body)


def _lines(body: bytes) -> Iterator[bytes]:
    if not body.endswith(b"\n"):
        raise Refused("bad_body", "the last line has no end")
    for line in body[:-1].split(b"\n"):
        _object(line)
        yield line


def _members(body: bytes) -> Iterator[bytes]:
    try:
        members = json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise Refused("bad_body", str(error)) from error
    if not isinstance(members, list):
        raise Refused("bad_body", "the body is no array")
    for member in members:
        if not isinstance(member, dict):
            raise Refused("bad_event", "a member is no object")
        yield json.dumps(member).encode()


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line, parse_constant=_no_constant)
    except ValueError as error:
        raise Refused("bad_event", str(error)) from error
    if not isinstance(found, dict):
        raise Refused("bad_event", "a line is no object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
