"""The far ends of a live bench: note when each event arrived at which of them.

Run: `python -m bench.arrivals NAME=http NAME=tcp NAME=relp …`. It prints an address for each name; `GET /arrivals` on
`control` tells the first moment (epoch seconds) at which a UUID was seen, by name. Which of those are ids of events, who
asks knows.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

from bench.drain import Drain
from bench.syslog_drain import Look, Seen, listen
from simulator.http_types import Request, Response
from simulator.httpd import Server

UUID = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def noting(arrived: dict[str, float]) -> Look:
    """Return what notes the moment of every UUID in what it is shown."""

    def look(content: bytes) -> None:
        now = time.time()
        for found in UUID.findall(content):
            arrived.setdefault(found.decode(), now)

    return look


async def main(wanted: dict[str, str]) -> None:
    arrivals: dict[str, dict[str, float]] = {name: {} for name in wanted}
    addresses = {}
    for name, scheme in wanted.items():
        look = noting(arrivals[name])
        if scheme == "http":
            server = Server(Drain(look=look).handle, max_body=1 << 30)
            await server.start()
            addresses[name] = server.url
        else:
            addresses[name] = await listen(scheme, Seen(), look)

    async def tell(_: Request) -> Response:
        return Response.json(arrivals)

    control = Server(tell)
    await control.start()
    print(json.dumps({"control": control.url, "addresses": addresses}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(dict(word.rsplit("=", 1) for word in sys.argv[1:])))
