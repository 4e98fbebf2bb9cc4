"""An organization source whose API answers by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from forwarder.contracts import Page, SourceContext
from forwarder.net.retry import RequestBudget
from forwarder.sources.organization.source import OrganizationConfig, OrganizationSource
from simulator.httpd import Request, Response, Server
from tests.clocks import FakeClock

KEY = "ATCTT-made-up+key/with=signs"
ORG = "a1b2c3d4-0000-1111-2222-333344445555"
SINCE = 1_790_000_000_000
ODD_CURSOR = "a+b/c==&d%2B e#ü"


class Harness:
    """A source whose API answers what the test puts into `answers`, the last one forever."""

    def __init__(self, source: OrganizationSource, clock: FakeClock, answers: list[Response], asked: list[Request]):
        self.source, self.clock, self.answers, self.asked = source, clock, answers, asked
        self.state: dict[str, Any] = source.walk(SINCE)

    async def fetch(self, *answers: Response) -> Page:
        self.answers.extend(answers)
        return await self.source.fetch(self.state)

    async def step(self, *answers: Response) -> Page:
        page = await self.fetch(*answers)
        self.state = json.loads(json.dumps(page.next))  # as the spool would give it back
        return page

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the last request."""
        return {name: values[0] for name, values in self.asked[-1].query.items()}


@asynccontextmanager
async def harness(**config: Any) -> AsyncIterator[Harness]:
    answers: list[Response] = []
    asked: list[Request] = []

    async def handler(request: Request) -> Response:
        asked.append(request)
        return answers.pop(0)

    clock = FakeClock()
    async with Server(handler) as server:
        made = OrganizationConfig(type="organization", org_id=ORG, api_key=KEY, base_url=server.url + "/", **config)
        source = OrganizationSource(made, SourceContext("acme", clock, RequestBudget(clock)))
        try:
            yield Harness(source, clock, answers, asked)
        finally:
            await source.close()
    assert server.failures == []


def event(ident: str | None, time: str | None = "2026-01-31T10:00:00Z", processed: str | None = None) -> dict[str, Any]:
    attributes = {"time": time, "processedAt": processed or time}
    return {
        **({} if ident is None else {"id": ident}),
        "attributes": {name: value for name, value in attributes.items() if value is not None},
    }


def page(*events: Any, **members: Any) -> Response:
    whole = [event(e) if isinstance(e, str) else e for e in events]
    return Response.json({"data": whole, **members})


def onward(*events: Any, cursor: str | None) -> Response:
    return page(*events, meta={"next": cursor}, links={})


def refusal(status: int, code: str = "", title: str = "Refused") -> Response:
    error = {"id": "1", "status": str(status), "code": code, "title": title, "detail": "more words"}
    return Response.json({"errors": [error]}, status)
