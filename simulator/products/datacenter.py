"""The audit log of one Data Center product: a rotating file on every node, and the API over all of them.

Newest first, no id in a record; a page cursor is `timestamp,number` of the last record. Every search through the API is
itself recorded, so a reader feeds the log that it reads.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from simulator import answers
from simulator.feed import Entry, Feed
from simulator.http_types import Request, Response
from simulator.products.deeds import Deed, Deeds
from simulator.products.records import datacenter_entity

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from simulator.world import World

Server = Literal["jira", "confluence", "bitbucket"]

SEARCH = "Audit Log search performed"
_ROUTE = re.compile(r"/dc/(?P<server>[a-z]+)/rest/auditing/1\.0/(?P<path>events|configuration/(?:coverage|denylist))")


class NodeFile:
    """The log file of one node: `YYYYMMDD-NNNNN.audit.log`, a new one each day and above a size.

    Args:
        folder: Where they lie; made when missing.
        most_bytes: Size above which the next record begins a new file.
    """

    def __init__(self, folder: Path, most_bytes: int = 100 * 1024**2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._most = most_bytes
        self._day = ""
        self._number = 0

    @property
    def path(self) -> Path:
        """Return the file that is written at present."""
        return self.folder / f"{self._day}-{self._number:05d}.audit.log"

    def write(self, line: bytes, time_ms: int, *, cut: int | None = None) -> None:
        """Append one record, or only its first `cut` bytes, as an unfinished write leaves it."""
        day = f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y%m%d}"
        if day != self._day:
            self._day, self._number = day, 0
        elif self.path.stat().st_size >= self._most:
            self._number += 1
        with self.path.open("ab") as file:
            file.write((line + b"\n")[:cut])


class DataCenter:
    """One product with its nodes.

    Args:
        nodes: Their files by name; without any, only the API shows the records.
        rng: The only source of chance.
        token: Personal access token that may read.
    """

    def __init__(
        self, server: Server, world: World, rng: random.Random, *, token: str, nodes: dict[str, NodeFile] | None = None
    ) -> None:
        self.server = server
        self.token = token
        self.feed = Feed()
        self.coverage: dict[str, str] = {}
        self.denylist: list[str] = []
        self._nodes = nodes or {}
        self._names = list(self._nodes) or ["node1"]
        product: Any = "confluence" if server == "confluence" else "jira"
        self._deeds = Deeds(world, world.sites[0], product, rng, oddities=1.0)
        self._encode = msgspec.json.Encoder().encode
        self._number = 0

    def happen(self, count: int, now_ms: int) -> list[bytes]:
        """Record new deeds of this moment on the nodes in turn; return the bytes of the records."""
        return [self._record(self._deeds.at(now_ms)).body for _ in range(count)]

    def answer(self, request: Request, path: str, now_ms: int) -> Response:
        """Answer one request to the API."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return answers.unauthorized()
        if path == "configuration/coverage":
            return Response.json({"levelByArea": self.coverage})
        if path == "configuration/denylist":
            return Response.json({"denylist": self.denylist})
        try:
            response = self._events(request, now_ms)
        except ValueError as error:
            return Response.json({"message": str(error)}, 400)
        searched = self._deeds.at(now_ms)
        searched.category, searched.summary, searched.target = "Auditing", SEARCH, None
        self._record(searched)
        return response

    def _record(self, deed: Deed) -> Entry:
        self._number += 1
        node = self._names[self._number % len(self._names)]
        body = self._encode(datacenter_entity(deed, self.server, node))
        if node in self._nodes:
            self._nodes[node].write(body, deed.time_ms)
        return self.feed.add(f"~{self._number}", deed.time_ms, deed.time_ms, deed.time_ms, body)

    def _events(self, request: Request, now_ms: int) -> Response:
        query = {name: values[0] for name, values in request.query.items()}
        limit = int(query.get("limit", "200"))
        if not 1 <= limit <= 100_000:
            raise ValueError("limit is out of range")
        lower, upper = (_moment(query[name]) if name in query else None for name in ("from", "to"))
        after = _cursor(query["pageCursor"]) if "pageCursor" in query else None
        self.feed.reveal(now_ms)
        found = [
            entry
            for entry in self.feed.newest_first()
            if (lower is None or entry.time_ms >= lower)
            and (upper is None or entry.time_ms <= upper)
            and (after is None or (entry.time_ms, entry.seq) < after)
        ]
        first = int(query.get("offset", "0"))
        page = found[first : first + limit]
        last = first + limit >= len(found)
        paging: dict[str, Any] = {"size": len(page), "lastPage": last}
        if not last:
            paging["nextPageOffset"] = first + limit
            paging["nextPageCursor"] = f"{page[-1].time_ms},{page[-1].seq}"
        body = b'{"entities":[' + b",".join([entry.body for entry in page]) + b'],"pagingInfo":'
        return Response(200, {"content-type": "application/json"}, body + self._encode(paging) + b"}")


def route(path: str) -> re.Match[str] | None:
    """Return the route of a path, or None when it is not Data Center's."""
    return _ROUTE.fullmatch(path)


def _moment(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _cursor(text: str) -> tuple[int, int]:
    moment, _, number = text.partition(",")
    return int(moment), int(number)
