"""An organization and receivers that answer as badly as they can. `python -m bench.hostile CASE`.

The first answers to the stream are the hostile ones, sent again to whoever asks again; when they were taken, pages are
empty. `GET /count` tells how often they were asked for, and how many events the receivers have.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from simulator.http_types import Request, Response, Wire
from simulator.httpd import Server

MB = 2**20
EMPTY = b'{"data":[],"meta":{"next":null}}'
TIMES = b'"time":"2026-01-31T10:00:00Z","processedAt":"2026-01-31T10:00:01Z"'


def event(number: int, more: bytes = b"", text: bytes = b"x") -> bytes:
    given = b'%s,"action":"user_login","actor":{"id":"a","name":"Ann"}%s' % (TIMES, more)
    return b'{"id":"e%d","attributes":{%s},"message":{"content":"%s"}}' % (number, given, text)


def page(*events: bytes) -> bytes:
    return b'{"data":[' + b",".join(events) + b'],"meta":{"next":"c"}}'


def settings(size: int) -> bytes:
    one = b'{"id":"%d","type":"settings","attributes":{"settingName":"n%d","settingValues":"v"}}'
    return b',"context":[%s]' % b",".join(one % (number, number) for number in range(size // 85))


def actions() -> bytes:
    item = {"id": "", "attributes": {"displayName": "n" * 200, "groupDisplayNames": ["g" * 200] * 10}}
    items = [json.dumps({**item, "id": f"action-{number}"}) for number in range(10_000)]
    return ('{"data":[' + ",".join(items) + '],"meta":{"next":"more"}}').encode()


def large(number: int, size: int) -> bytes:
    """Return an event with a text that hardly shrinks by compression."""
    return event(number, text=random.Random(number).randbytes(size // 2).hex().encode())


@dataclass(frozen=True)
class Receivers:
    """How those behave that deliver to the address under `/bad`; the file takes everything.

    Attributes:
        answer: `hang`, `503`, `slow`, `reset`; else they take everything.
        pages: Of the kind that `page` makes; each has other ids.
        page: Makes one.
        sinks: So many deliver, one of four to a file.
    """

    answer: str
    pages: int
    page: Callable[[], bytes]
    sinks: int = 4


def _seven() -> bytes:
    return page(*(large(number, 8_000_000) for number in range(7)))


def _wide() -> bytes:
    """Return a page of texts of which each character takes four bytes once it is read."""
    return page(
        *(large(number, 8_000_000).replace(b'content":"', 'content":"\U0001f600'.encode()) for number in range(7))
    )


def _twenty() -> bytes:
    return page(*(large(number, 3_000_000) for number in range(20)))


def _many() -> bytes:
    return page(*(large(number, 120_000) for number in range(450)))


BAD: dict[str, Receivers] = {
    **{f"six pages of 7 x 8 MB, receivers {answer}": Receivers(answer, 6, _seven)
       for answer in ("well", "hang", "503", "slow", "reset")},
    **{f"six pages of 7 x 8 MB, one emoji each, receivers {answer}": Receivers(answer, 6, _wide)
       for answer in ("hang", "503")},
    "three pages of 20 x 3 MB, receivers 503": Receivers("503", 3, _twenty),
    "three pages of 450 x 120 KB, receivers hang": Receivers("hang", 3, _many),
    **{f"six pages of 7 x 8 MB, {sinks} sinks, receivers {answer}": Receivers(answer, 6, _seven, sinks)
       for sinks in (8, 16) for answer in ("hang", "503", "slow")},
}  # fmt: skip
"""Receivers that do not take what comes."""

PAGES: dict[str, Callable[[], bytes]] = {
    "nothing hostile": lambda: page(*(event(number) for number in range(500))),
    "5 million empty objects": lambda: page(b",".join([b"{}"] * 5_000_000)),
    "5 million of them, and a NaN": lambda: page(b",".join([b"NaN", *[b"{}"] * 5_000_000])),
    "2 MB of empty gzip members": lambda: gzip.compress(b"") * (2 * MB // 20),
    "a gzip bomb of 1 GB": lambda: gzip.compress(bytes(1024 * MB), 1),
    "an event with 4 MB of settings": lambda: page(event(0, settings(4 * MB))),
    "an event with 16 MB of settings": lambda: page(event(0, settings(16 * MB))),
    "an event with 5 million objects in it": lambda: page(event(0, b',"context":[%s]' % b",".join([b"{}"] * 5_000_000))),
    "an event of 33 MB": lambda: page(event(0, text=b"x" * 33 * MB)),
    "an event of 60 MB": lambda: page(event(0, text=b"x" * 60 * MB)),
    "an event of 60 MB, and a NaN": lambda: page(event(0, b',"n":NaN', "\U0001f600".encode() + b"x" * 60 * MB)),
    "60 MB in events of 120 KB": lambda: page(*(event(number, text=b"x" * 120_000) for number in range(500))),
    "60 MB in events of 6 MB": lambda: page(*(event(number, text=b"\xc3\xa9" * 3 * MB) for number in range(10))),
    "60 MB of brackets": lambda: page(b"[" * 30 * MB + b"]" * 30 * MB),
    "a list of actions without an end": lambda: page(event(0)),
    "an answer of 40 MB to a bulk": lambda: page(*(event(number) for number in range(40))),
}  # fmt: skip


class Hostile:
    def __init__(self, case: str) -> None:
        self.case, self.bad = case, BAD.get(case)
        self.pages = self.bad.pages if self.bad is not None else 1
        self.body = PAGES[case]() if self.bad is None else self.bad.page()
        self.zipped = case.startswith(("2 MB of", "a gzip"))
        self.seen = {"asked": 0, "taken": 0, "documents": 0, "lists": 0}
        self.actions = actions() if case.startswith("a list") else b'{"data":[]}'
        self.answer = json.dumps(
            {"errors": True, "items": [{"create": {"status": 400, "error": {"type": "x" * MB}}}] * 40}
        ).encode()

    async def handle(self, request: Request) -> Response:
        if request.path == "/count":
            return Response.json(self.seen)
        if request.path.endswith("/event-actions"):
            self.seen["lists"] += 1
            return Response(200, {"content-type": "application/json"}, self.actions)
        if request.path.endswith("/events-stream"):
            return self._page(request)
        return await self._receive(request)

    async def _receive(self, request: Request) -> Response:
        match self.bad.answer if self.bad is not None else "":
            case "hang":
                await asyncio.Event().wait()
            case "503":
                return Response(503, {}, b"")
            case "reset":
                return Response(misbehave=Wire(stop_at=-1, ending="reset"))
            case "slow":
                await asyncio.sleep(1)
        body = request.decoded_body()
        if request.path.endswith("/_bulk"):
            if self.case.startswith("an answer"):
                return Response(200, {"content-type": "application/json"}, self.answer)
            count = body.count(b"\n") // 2
            self.seen["documents"] += count
            items = b",".join([b'{"create":{"status":201}}'] * count)
            return Response(200, {"content-type": "application/json"}, b'{"errors":false,"items":[%s]}' % items)
        self.seen["documents"] += 1
        return Response.json({"text": "Success", "code": 0})

    def _page(self, request: Request) -> Response:
        [cursor] = request.query.get("cursor", [""])
        number = int(cursor.strip("c") or self.pages) if cursor else 0
        if number >= self.pages or (self.pages == 1 and self.seen["taken"]):
            self.seen["taken"] += 1
            return Response(200, {"content-type": "application/json"}, EMPTY)
        self.seen["asked"] += 1
        headers = {"content-type": "application/json"} | ({"content-encoding": "gzip"} if self.zipped else {})
        body = self.body
        if self.pages > 1:
            body = body.replace(b'{"id":"e', b'{"id":"p%d-e' % number)[: -len(b'"c"}}')] + b'"c%d"}}' % (number + 1)
        return Response(200, headers, body)


async def main(case: str) -> None:
    server = Server(Hostile(case).handle, max_body=1 << 30)
    await server.start()
    print(json.dumps({"url": server.url, "org": "bench-org", "key": "key-of-the-bench-7f3a91c2"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
