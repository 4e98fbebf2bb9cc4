"""The far end of a bench: counts syslog records that come over TCP (LF) or RELP, and answers the latter.

Run: `python -m bench.syslog_drain`. It prints its addresses; `GET /count` tells, `GET /reset` begins again at zero.
"""

from __future__ import annotations

import asyncio
import json
import re

from forwarder.simulator.http_types import Request, Response
from forwarder.simulator.httpd import Server

HEAD = re.compile(rb"(\d+) (open|syslog|close) (\d+)[ \n]")
ANSWERS = {b"syslog": b"200 OK", b"open": b"200 OK\nrelp_version=0\ncommands=syslog", b"close": b"200 OK"}

seen = {"documents": 0, "bytes": 0}


class Lines(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        seen["documents"] += data.count(b"\n")
        seen["bytes"] += len(data)


class Relp(asyncio.Protocol):
    def connection_made(self, transport) -> None:
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        content, start, answers = self.rest + data, 0, []
        seen["bytes"] += len(data)
        while head := HEAD.match(content, start):
            length = int(head[3])
            end = head.end() + (length + 1 if length else 0)
            if end > len(content):
                break
            start = end
            seen["documents"] += head[2] == b"syslog"
            answer = ANSWERS[head[2]]
            answers.append(b"%b rsp %d %b\n" % (head[1], len(answer), answer))
        self.rest = content[start:]
        self.transport.write(b"".join(answers))


async def main() -> None:
    async def handle(request: Request) -> Response:
        if request.path == "/reset":
            seen.update(dict.fromkeys(seen, 0))
        return Response.json(seen)

    loop = asyncio.get_running_loop()
    ports = {}
    for scheme, protocol in (("tcp", Lines), ("relp", Relp)):
        server = await loop.create_server(protocol, "127.0.0.1", 0)
        ports[scheme] = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    http = Server(handle)
    await http.start()
    print(json.dumps({"url": http.url, **ports}), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
