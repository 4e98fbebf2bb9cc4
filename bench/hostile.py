"""An organization and receivers that answer as badly as they can. `python -m bench.hostile CASE`.

The first answer to the stream is the hostile one, sent again to whoever asks again; when it was taken, pages are empty.
`GET /count` tells how often it was asked for, and how many events the receivers have.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import Callable

from simulator.http_types import Request, Response
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
        self.case, self.body = case, PAGES[case]()
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
        if b"cursor" in str(request.query).encode() or self.seen["taken"]:
            self.seen["taken"] += 1
            return Response(200, {"content-type": "application/json"}, EMPTY)
        self.seen["asked"] += 1
        headers = {"content-type": "application/json"} | ({"content-encoding": "gzip"} if self.zipped else {})
        return Response(200, headers, self.body)


async def main(case: str) -> None:
    server = Server(Hostile(case).handle, max_body=1 << 30)
    await server.start()
    print(json.dumps({"url": server.url, "org": "bench-org", "key": "key-of-the-bench-7f3a91c2"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
