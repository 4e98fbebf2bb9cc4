"""The far end of a bench: counts syslog records that come over TCP (LF) or RELP, and answers the latter.

Run: `python -m bench.syslog_drain`. It prints its addresses; `GET /count` tells, `GET /reset` begins again at zero.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable

from simulator.http_types import Request, Response
from simulator.httpd import Server

HEAD = re.compile(rb"(\d+) (open|syslog|close) (\d+)[ \n]")
ANSWERS = {b"syslog": b"200 OK", b"open": b"200 OK\nrelp_version=0\ncommands=syslog", b"close": b"200 OK"}

Look = Callable[[bytes], None]
"""Is shown what is whole."""


class Seen:
    def __init__(self) -> None:
        self.counts = {"documents": 0, "bytes": 0}


class Lines(asyncio.Protocol):
    """Records that end with a line feed."""

    def __init__(self, seen: Seen, look: Look | None = None) -> None:
        self.counts, self.look, self.rest = seen.counts, look, b""

    def data_received(self, data: bytes) -> None:
        self.counts["documents"] += data.count(b"\n")
        self.counts["bytes"] += len(data)
        if self.look is not None:
            whole, end, rest = (self.rest + data).rpartition(b"\n")
            self.rest = rest
            self.look(whole + end)


class Relp(asyncio.Protocol):
    """Records of RELP, all answered with 200."""

    def __init__(self, seen: Seen, look: Look | None = None) -> None:
        self.counts, self.look, self.rest = seen.counts, look, b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        content, start, answers = self.rest + data, 0, []
        self.counts["bytes"] += len(data)
        while head := HEAD.match(content, start):
            length = int(head[3])
            end = head.end() + (length + 1 if length else 0)
            if end > len(content):
                break
            start = end
            self.counts["documents"] += head[2] == b"syslog"
            answer = ANSWERS[head[2]]
            answers.append(b"%b rsp %d %b\n" % (head[1], len(answer), answer))
        if self.look is not None:
            self.look(content[:start])
        self.rest = content[start:]
        self.transport.write(b"".join(answers))


PROTOCOLS = {"tcp": Lines, "relp": Relp}


async def listen(scheme: str, seen: Seen, look: Look | None = None) -> str:
    """Listen on a free port; return the address."""
    protocol = PROTOCOLS[scheme]
    server = await asyncio.get_running_loop().create_server(lambda: protocol(seen, look), "127.0.0.1", 0)
    return f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def main() -> None:
    seen = Seen()

    async def handle(request: Request) -> Response:
        if request.path == "/reset":
            seen.counts.update(dict.fromkeys(seen.counts, 0))
        return Response.json(seen.counts)

    addresses = {scheme: await listen(scheme, seen) for scheme in PROTOCOLS}
    http = Server(handle)
    await http.start()
    print(json.dumps({"url": http.url, **addresses}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
