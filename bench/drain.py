"""The far end of a bench: counts the events of bulk requests and of Splunk's collector, and says that all were taken.

Run: `python -m bench.drain [PORT [EVENTS]]`. `GET /count` tells; `GET /reset` begins again at zero. At `/lines` it counts
lines instead, at `/v1/logs` (OTLP) the names of our data set. With EVENTS it also counts how many different ones of `bench.stream` came.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable

from simulator.http_types import Request, Response
from simulator.httpd import Server

ITEM = b'{"create":{"status":201}}'
ID = re.compile(rb'"id":"00000000-0000-4000-8000-(\d{12})"')


class Drain:
    """Counts. `look` is shown every body before it is answered."""

    def __init__(self, events: int = 0, look: Callable[[bytes], None] | None = None) -> None:
        self._given: dict[str | None, int] = {}
        self._seen = {"documents": 0, "requests": 0, "bytes": 0, "wire": 0, "different": 0}
        self._known = bytearray(events)
        self._look = look or (self._compare if events else None)

    def _compare(self, body: bytes) -> None:
        fresh = {number for found in ID.findall(body) if not self._known[number := int(found)]}
        for number in fresh:
            self._known[number] = 1
        self._seen["different"] += len(fresh)

    async def handle(self, request: Request) -> Response:
        seen = self._seen
        if request.path == "/count":
            return Response.json(seen)
        if request.path == "/reset":
            for name in seen:
                seen[name] = 0
            return Response.json(seen)
        if request.path == "/services/collector/ack":
            numbers = json.loads(request.body)["acks"]
            return Response.json({"acks": {str(number): True for number in numbers}})
        body = request.decoded_body()
        splunk = request.path.startswith("/services/collector/")
        lines = request.path == "/lines"
        ends = body.count(b"\n")
        whole = ends + (bool(body) and not body.endswith(b"\n"))  # the last line may have no end
        count = ends + 1 if splunk else whole if lines else ends // 2
        if request.path == "/v1/logs":
            count = body.count(b"atlassian.audit")
        seen["documents"] += count
        seen["requests"] += 1
        seen["bytes"] += len(body)
        seen["wire"] += len(request.body)
        if self._look is not None:
            self._look(body)
        if splunk:
            channel = request.headers.get("x-splunk-request-channel")
            self._given[channel] = self._given.get(channel, -1) + 1
            more = {"ackId": self._given[channel]} if channel else {}
            return Response.json({"text": "Success", "code": 0} | more)
        if lines or request.path == "/v1/logs":
            return Response(200)
        answer = b'{"errors":false,"items":[' + b",".join([ITEM] * count) + b"]}"
        return Response(200, {"content-type": "application/json"}, answer)


async def main(port: int, events: int) -> None:
    server = Server(Drain(events).handle, port=port, max_body=1 << 30)
    await server.start()
    print(json.dumps({"url": server.url}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in (*sys.argv[1:], "0", "0")[:2])))
