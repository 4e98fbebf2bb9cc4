"""An endless organization, served fast: pages of 500 ready-made events whose ids and times are filled in.

Run: `python -m bench.stream EVENTS PER_SECOND`. Event n was processed PER_SECOND a second after event 0, and the last of
EVENTS two hours ago, so that a poller's history ends where they do. Ids count, so a far end can tell which it has.
`GET /grow?by=N` lets N more happen. At `/events`, the older address, the last page leads no further. With a third word
the events are written to that file, one a line, and nothing is served.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from simulator.config import SimulatorConfig
from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.simulator import Simulator

PAGE = 500
KINDS = 20_000
"""Different bodies; they come again and again under new ids."""

ID = b"00000000-0000-4000-8000-%012d"


_USUAL = re.compile(
    rb'\{"id":"[^"]{36}","type":"events","attributes":\{"time":"[^"]{23}Z(","processedAt":")[^"]{23}Z(".*)', re.DOTALL
)


def cut(body: bytes) -> tuple[bytes, bytes] | None:
    """Return what stands between the two times and what follows them; None for one of an unusual shape."""
    found = _USUAL.fullmatch(body)
    return (found[1], found[2]) if found else None


class Stream:
    """The log: what happens is decided by the number of an event alone."""

    def __init__(self, events: int, per_second: float) -> None:
        self.events, self.per_second = events, per_second
        self.began = time.time() - 7200 - events / per_second
        sim = Simulator(SimulatorConfig(events=KINDS, history="6d", oddities=0.2))
        pieces = [piece for found in sim.ledger.bodies().values() if (piece := cut(found[0])) is not None]
        self._pieces = pieces[: len(pieces) // PAGE * PAGE]
        self.org, self.key = sim.org_id, sim.api_key

    def page(self, first: int, most: int, *, ends: bool = False) -> bytes:
        """Render the page that begins with event `first`; one that ends has no cursor behind the last event."""
        end = first + max(0, min(most, self.events - first))
        edges = [first, *range(first // PAGE * PAGE + PAGE, end, PAGE), end]
        bodies = b",".join(self._block(*edge) for edge in pairwise(edges) if edge[0] < edge[1])
        following = b"null" if ends and end >= self.events else b'"at-%d"' % end
        return b'{"data":[' + bodies + b'],"meta":{"next":' + following + b'},"links":{}}'

    def _block(self, first: int, end: int) -> bytes:
        """Render events first..end-1. A block of PAGE has one moment, so an event is the same wherever a page begins."""
        moment = datetime.fromtimestamp(self.moment(first), UTC)
        when = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23].encode() + b"Z"
        at = first % len(self._pieces)
        return b",".join(
            b'{"id":"' + ID % number + b'","type":"events","attributes":{"time":"' + when + between
            + when + rest
            for number, (between, rest) in enumerate(self._pieces[at : at + end - first], first)
        )  # fmt: skip

    def moment(self, first: int) -> float:
        """Return when the block of an event was processed, epoch seconds."""
        return self.began + first // PAGE * PAGE / self.per_second

    def first_since(self, since: float) -> int:
        """Return the number of the first event processed at or after a moment."""
        return max(0, min(self.events, int((since - self.began) * self.per_second)))

    async def answer(self, request: Request) -> Response:
        query = request.query
        if request.path == "/grow":
            self.events += int(query["by"][0])
            return Response.json({"events": self.events})
        if not request.path.endswith(("/events-stream", "/events")):
            return Response(404)
        if "cursor" in query:
            first = int(query["cursor"][0].removeprefix("at-"))
        else:
            first = self.first_since(int(query["from"][0]) / 1000)
        most, ends = int(query.get("limit", [str(PAGE)])[0]), request.path.endswith("/events")
        return Response(200, {"content-type": "application/json"}, self.page(first, most, ends=ends))


async def main(events: int, per_second: float) -> None:
    stream = Stream(events, per_second)
    async with Server(stream.answer) as server:
        print(json.dumps({"url": server.url, "org": stream.org, "key": stream.key}), flush=True)
        await asyncio.Event().wait()


def write(events: int, per_second: float, file: str) -> None:
    """Write the events, one a line."""
    stream = Stream(events, per_second)
    with open(file, "wb") as out:  # noqa: PTH123
        for first in range(0, events, PAGE):
            page = stream.page(first, PAGE)
            out.writelines(bytes(body) + b"\n" for body in msgspec.json.decode(page, type=Lines).data)


class Lines(msgspec.Struct):
    data: list[msgspec.Raw]


if __name__ == "__main__":
    if sys.argv[3:]:
        write(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
    else:
        asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
