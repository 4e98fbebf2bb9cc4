"""The audit log of one Data Center product: a rotating file on every node, and the API over all of them.

Newest first, no id in a record; a page cursor is `timestamp,number` of the last record. Every search through the API is
itself recorded, by the account whose token it was, so a reader feeds the log that it reads.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec

from simulator import answers
from simulator.feed import Entry, Feed
from simulator.http_types import Request, Response
from simulator.products.deeds import Deed, Deeds
from simulator.products.node_file import NodeFile
from simulator.products.records import datacenter_entity

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from simulator.world import World

Server = Literal["jira", "confluence", "bitbucket"]

SEARCH = "Audit Log search performed"
PASSWORD = "correct horse"
_ROUTE = re.compile(
    r"/dc/(?P<server>[a-z]+)/rest/auditing/1\.0/(?P<path>events|configuration/(?:coverage|denylist|retention))"
)

__all__ = ["PASSWORD", "SEARCH", "DataCenter", "Habits", "NodeFile", "Page", "Server", "route"]


class Habits(msgspec.Struct, frozen=True):
    """What is not documented, or differs between products and versions; a reader must be right under each.

    Attributes:
        bounds: Whether a record exactly at `from` or `to` is inside.
        onward: How a page says where the next is: by cursor, by a link alone, or by offset alone.
        most: Records of a page at most, whatever was asked for.
        records_searches: Whether a search is recorded.
        names_account: Whether answers say who asked (`X-AUSERNAME`).
        late: Milliseconds by which every tenth record becomes visible after it happened.
        twins: Every so-many-th record comes twice, the same bytes in the same millisecond; 0 for none.
        limit: Requests that may come at once; 0 for any.
        fill: Requests a second that may come on and on.
    """

    bounds: Literal["inclusive", "exclusive"] = "inclusive"
    onward: Literal["cursor", "link", "offset"] = "cursor"
    most: int = 100_000
    records_searches: bool = True
    names_account: bool = True
    late: int = 0
    twins: int = 0
    limit: int = 0
    fill: float = 10.0


class Page(NamedTuple):
    """An answer, and the records in it."""

    response: Response
    entries: Sequence[Entry] = ()


class DataCenter:
    """One product with its nodes.

    Args:
        nodes: Their files by name; without any, only the API shows the records.
        rng: The only source of chance.
        token: Personal access token that may read; the account with `PASSWORD` may as well.
    """

    def __init__(
        self,
        server: Server,
        world: World,
        rng: random.Random,
        *,
        token: str,
        nodes: dict[str, NodeFile] | None = None,
        habits: Habits | None = None,
    ) -> None:
        self.server = server
        self.token = token
        self.habits = habits or Habits()
        self.feed = Feed()
        self.coverage: dict[str, str] = {}
        self.denylist: list[str] = []
        self.retention: dict[str, int] = {"years": 3, "months": 0, "days": 0}
        self.account = world.admins[0]
        self.searches: list[str] = []  # names of the records that searches made
        self.nodes = nodes or {}
        self._names = list(self.nodes) or ["node1"]
        product: Any = "confluence" if server == "confluence" else "jira"
        self._deeds = Deeds(world, world.sites[0], product, rng, oddities=1.0)
        self._encode = msgspec.json.Encoder().encode
        self._number = 0
        self._tokens, self._filled = 0.0, 0.0

    def happen(self, count: int, now_ms: int) -> list[bytes]:
        """Record new deeds of this moment on the nodes in turn; return the bytes of the records."""
        return [entry.body for _ in range(count) for entry in self.record(self._deeds.at(now_ms))]

    def record(self, deed: Deed, *, half: int = 0) -> list[Entry]:
        """Record a deed, in a file only its first bytes when `half` says so; now and then it comes twice, or late."""
        self._number += 1
        node = self._names[self._number % len(self._names)]
        entity = datacenter_entity(deed, self.server, node)
        if deed.summary == SEARCH:
            entity["author"]["uri"] = f"https://dc.example.net/secure/ViewProfile.jspa?name={self.account.email}"
        body = self._encode(entity)
        is_late = self.habits.late and self._number % 10 == 0
        visible = deed.time_ms + (self.habits.late if is_late else 0)
        entries = []
        for twin in range(2 if self.habits.twins and self._number % self.habits.twins == 0 else 1):
            if node in self.nodes and half:
                self.nodes[node].write_half(body, deed.time_ms, half)
            elif node in self.nodes:
                self.nodes[node].finish()
                self.nodes[node].write(body, deed.time_ms)
            name = f"~{self._number}{'.twin' * twin}"
            entries.append(self.feed.add(name, deed.time_ms, deed.time_ms, visible, body))
        return entries

    def record_half(self, now_ms: int, cut: int) -> list[bytes]:
        """Record a deed of which a node has written only the first bytes so far."""
        return [entry.body for entry in self.record(self._deeds.at(now_ms), half=cut)]

    def answer(self, request: Request, path: str, now_ms: int) -> Page:
        """Answer one request to the API."""
        if not self._may_read(request):
            return Page(answers.unauthorized())
        given = self._take(now_ms)
        if given is None:
            refused = {"Retry-After": "1", "X-RateLimit-Remaining": "0"} | self._rate()
            return Page(Response.json({"message": "Rate limit exceeded."}, 429, refused))
        if path != "events":
            shown = {"coverage": {"levelByArea": self.coverage}, "denylist": {"denylist": self.denylist}}
            return Page(Response.json(shown.get(path.rpartition("/")[2], self.retention)))
        try:
            page = self._events(request, now_ms)
        except ValueError as error:
            return Page(Response.json({"message": str(error)}, 400))
        if self.habits.names_account:
            given["X-AUSERNAME"] = self.account.email
        page.response.headers = {**dict(page.response.headers), **given}
        if self.habits.records_searches:
            searched = self._deeds.at(now_ms)
            searched.category, searched.summary, searched.target = "Auditing", SEARCH, None
            searched.person = self.account
            self.searches += [entry.id for entry in self.record(searched)]
        return page

    def _may_read(self, request: Request) -> bool:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind == "Bearer":
            return value == self.token
        try:
            return base64.b64decode(value, validate=True).decode() == f"{self.account.email}:{PASSWORD}"
        except (binascii.Error, UnicodeDecodeError):
            return False

    def _rate(self) -> dict[str, str]:
        habits = self.habits
        return {
            "X-RateLimit-Limit": str(habits.limit),
            "X-RateLimit-Interval-Seconds": "1",
            "X-RateLimit-FillRate": f"{habits.fill:g}",
        }

    def _take(self, now_ms: int) -> dict[str, str] | None:
        """Take a token of the bucket; None when there is none. The wait is 0 while some are left."""
        if not self.habits.limit:
            return {}
        now = now_ms / 1000
        self._tokens = min(self.habits.limit, self._tokens + (now - self._filled) * self.habits.fill)
        self._filled = now
        if self._tokens < 1:
            return None
        self._tokens -= 1
        return {**self._rate(), "X-RateLimit-Remaining": str(int(self._tokens)), "retry-after": "0"}

    def _events(self, request: Request, now_ms: int) -> Page:
        query = {name: values[0] for name, values in request.query.items()}
        limit = int(query.get("limit", "200"))
        if not 1 <= limit <= 100_000:
            raise ValueError("limit is out of range")
        limit = min(limit, self.habits.most)
        edge = self.habits.bounds == "exclusive"
        lower = _moment(query["from"]) + edge if "from" in query else None
        upper = _moment(query["to"]) - edge if "to" in query else None
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
            cursor = f"{page[-1].time_ms},{page[-1].seq}"
            onward: dict[str, dict[str, Any]] = {
                "cursor": {"nextPageOffset": first + limit, "nextPageCursor": cursor},
                "link": {"nextPageLink": f"https://elsewhere.example/?{urlencode({**query, 'pageCursor': cursor})}"},
                "offset": {"nextPageOffset": first + limit},
            }
            paging |= onward[self.habits.onward]
        body = b'{"entities":[' + b",".join([entry.body for entry in page]) + b'],"pagingInfo":'
        headers = {"content-type": "application/json"}
        return Page(Response(200, headers, body + self._encode(paging) + b"}"), page)


def route(path: str) -> re.Match[str] | None:
    """Return the route of a path, or None when it is not Data Center's."""
    return _ROUTE.fullmatch(path)


def _moment(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _cursor(text: str) -> tuple[int, int]:
    moment, _, number = text.partition(",")
    return int(moment), int(number)
