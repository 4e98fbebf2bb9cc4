"""An audit log behind a socket, in any shape its answers may take: for sources that must read it whole all the same."""

from __future__ import annotations

import datetime as dt
import json
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from simulator.httpd import Request, Response

START = 1_780_000_000_000


def iso(at_ms: int) -> str:
    seconds, millis = divmod(at_ms, 1000)
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{millis:03d}Z"


@dataclass
class Log:
    """Events in order of processing.

    Attributes:
        shape: Members of a page beside its events, from the next cursor or None.
        cap: Most events of a page, whatever was asked for.
        by_time: `from` compares the time of the event.
        inclusive: It includes the bound.
        resumes: There is a cursor at the tip as well.
        refuse: Answers a request with a cursor instead of the log, or returns None.
        instead: Answers any request instead of the log, or returns None.
        wrap, unwrap: What a cursor is written as.
    """

    shape: Callable[[str | None], dict[str, Any]] = lambda cursor: {"meta": {"next": cursor}}
    cap: int = 10_000
    by_time: bool = False
    inclusive: bool = True
    resumes: bool = False
    refuse: Callable[[str], Response | None] = lambda _: None
    instead: Callable[[dict[str, str]], Response | None] = lambda _: None
    wrap: Callable[[str], str] = str
    unwrap: Callable[[str], str] = str
    events: list[tuple[int, int, str]] = field(default_factory=list)  # processed, happened, body
    asked: list[dict[str, str]] = field(default_factory=list)

    def happen(self, count: int, *, at: int, every: int = 1000, late: int = 0) -> None:
        """Add events; each of them `every` ms after the one before, and `late` ms after it happened."""
        for number in range(count):
            self.add(at + number * every, at + number * every - late, f"e{len(self.events)}")

    def add(self, processed: int, happened: int, ident: str | None) -> None:
        body: dict[str, Any] = {} if ident is None else {"id": ident}
        body["attributes"] = {"time": iso(happened), "processedAt": iso(processed), "action": "made_up"}
        insort(self.events, (processed, happened, json.dumps(body)), key=lambda entry: entry[0])

    async def handle(self, request: Request) -> Response:
        query = {name: values[0] for name, values in request.query.items()}
        self.asked.append(query)
        if (answer := self.instead(query)) is not None:
            return answer
        if "cursor" in query:
            refused = self.refuse(query["cursor"])
            if refused is not None:
                return refused
            after, lower = json.loads(self.unwrap(query["cursor"]))
        else:
            after, lower = 0, int(query["from"])
        limit = min(int(query["limit"]), self.cap)
        found: list[str] = []
        place = after
        more = False
        for at, (processed, happened, body) in enumerate(self.events[after:], start=after):
            bound = happened if self.by_time else processed
            if bound > lower or (self.inclusive and bound == lower):
                if len(found) == limit:
                    more = True
                    break
                found.append(body)
                place = at + 1
        following = self.wrap(json.dumps([place, lower])) if more or self.resumes else None
        members = json.dumps({"of": "the log", **self.shape(following)})
        return Response(
            200, {"content-type": "application/json"}, f'{{"data":[{",".join(found)}],{members[1:]}'.encode()
        )


def url(cursor: str | None) -> str | None:
    return None if cursor is None else f"https://api.example.com/x?limit=5&cursor={quote(cursor, safe='')}"
