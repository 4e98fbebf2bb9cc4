"""The source of a soak: an organization in which events happen at an even rate, and whose API fails now and then.

Run: `python -m bench.soak.source EVENTS PER_SECOND FAULT_EVERY`. Nothing has happened before `GET /begin`; `GET /count`
tells how many events exist and which faults were played; `GET /end` ends the events, `GET /calm` the faults. Ids count, so a far end can tell which it has; nothing grows
with their number, but for a number for each block of 500.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from bisect import bisect_left

from bench.soak.dice import Dice
from bench.stream import PAGE, Stream
from simulator import effects
from simulator.faults import Rule
from simulator.http_types import Request, Response
from simulator.httpd import Server

AHEAD = 20.0
"""Seconds of events that may wait to be read: a machine that is too slow makes the run slower, not another one."""

RULES = {
    rule.label: rule
    for rule in (
        Rule(what="rate_limit", wait=2),
        Rule(what="rate_limit", name="rate_limit_retry_after", wait=1, shape="retry_after"),
        Rule(what="server_error", status=500),
        Rule(what="server_error", name="unavailable", status=503),
        Rule(what="html", status=502),
        Rule(what="cursor_lost"),
        Rule(what="empty_page"),
        Rule(what="repeated_ids", count=200),
        Rule(what="truncated"),
        Rule(what="invalid_json"),
        Rule(what="reset_before"),
        Rule(what="reset_after_headers"),
        Rule(what="reset_mid"),
        Rule(what="half_close"),
        Rule(what="garbage"),
        Rule(what="delay", wait=2),
    )
}


class Source(Stream):
    """The log. It gets a block of PAGE events at a time, and waits while a reader lags by `AHEAD` seconds of them.

    Attributes:
        moments: When each block happened, epoch seconds.
    """

    def __init__(self, total: int, per_second: float, every: float) -> None:
        super().__init__(0, per_second)
        self.total = total
        self.moments: list[float] = []
        self.dice = Dice(list(RULES), every, "source")
        self._due = float("inf")
        self._read = 0

    def grow(self, now: float) -> None:
        """Let happen what is due."""
        while now >= self._due and self.events < self.total:
            if self.events - self._read > AHEAD * self.per_second:
                self._due = now
                return
            self.moments.append(self._due)
            self._due += PAGE / self.per_second
            self.events = min(self.total, len(self.moments) * PAGE)

    def moment(self, first: int) -> float:
        return self.moments[first // PAGE]

    def first_since(self, since: float) -> int:
        return min(self.events, bisect_left(self.moments, since) * PAGE)

    async def answer(self, request: Request) -> Response:
        now = time.time()
        if request.path == "/begin":
            self._due = now
        if request.path == "/calm":
            self.dice.stop()
        self.grow(now)
        if request.path == "/end":
            self.total = self.events
        if not request.path.endswith("/events-stream"):
            return Response.json({"events": self.events, "faults": self.dice.thrown})
        rule = RULES.get(self.dice.due())
        if rule is not None and rule.what in effects.ANSWERS:
            return effects.ANSWERS[rule.what](rule, now)
        response = self._page(request, rule)
        if rule is not None and rule.what in effects.WIRES:
            effects.spoil(rule, response)
        return response

    def _page(self, request: Request, rule: Rule | None) -> Response:
        query = request.query
        limit, asked = int(query["limit"][0]), query.get("cursor", [""])[0]
        first = int(asked.removeprefix("at-")) if asked else self.first_since(int(query["from"][0]) / 1000)
        headers = {"content-type": "application/json"}
        if rule is not None and rule.what == "empty_page":
            other = f"at-{first:015d}" if asked == f"at-{first}" else f"at-{first}"  # another cursor, the same place
            return Response(200, headers, b'{"data":[],"meta":{"next":"%b"},"links":{}}' % other.encode())
        if rule is not None and rule.what == "repeated_ids" and asked:
            first = max(0, first - rule.count)
        self._read = max(self._read, min(first + limit, self.events))
        return Response(200, headers, self.page(first, limit))


async def main(total: int, per_second: float, every: float) -> None:
    source = Source(total, per_second, every)
    async with Server(source.answer) as server:
        print(json.dumps({"url": server.url, "org": source.org, "key": source.key}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
