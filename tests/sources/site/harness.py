"""A Jira source between a site and a gateway that answer by hand."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from forwarder.contracts import SourceContext
from forwarder.net.retry import RequestBudget
from forwarder.sources.jira.source import JiraConfig, JiraSource
from simulator.httpd import Request, Response, Server
from tests.clocks import FakeClock

TOKEN = "ATATT3xFfGF0-made+up/token=with-signs"
EMAIL = "audit@example.com"
BASIC = base64.b64encode(f"{EMAIL}:{TOKEN}".encode()).decode()
CLOUD = "11111111-2222-3333-4444-555555555555"
HTML = {"content-type": "text/html"}
SINCE = 1_790_000_000_000

Answer = Response | Callable[[Request], Response]


def records(*numbers: int, total: int = 0) -> Response:
    listed = [
        {"id": number, "summary": "User created", "created": "2026-09-21T13:33:20.000+0000"} for number in numbers
    ]
    return Response.json({"offset": 0, "limit": 1000, "total": total or len(listed), "records": listed})


class Hosts:
    """Answers for both hosts; what they are asked is kept.

    Attributes:
        site: What the site answers; 401 to begin with.
        gateway: What the gateway answers.
        info: What stands at `/_edge/tenant_info`.
        asked: The host and path of each request, in order.
    """

    def __init__(self) -> None:
        self.site: Answer = Response.json({"message": "no"}, 401)
        self.gateway: Answer = Response.json({"code": 401, "message": "Unauthorized"}, 401)
        self.info: Answer = Response.json({"cloudId": CLOUD})
        self.asked: list[str] = []
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        host = "gateway" if request.path.startswith("/gate") else "site"
        path = request.path.removeprefix("/gate").removeprefix("/at/acme")
        answer = self.gateway if host == "gateway" else self.info if path.startswith("/_edge") else self.site
        self.asked.append(f"{host} {path}")
        self.requests.append(request)
        return answer(request) if callable(answer) else answer


@asynccontextmanager
async def harness(**config: Any) -> AsyncIterator[tuple[Hosts, JiraSource, FakeClock]]:
    """Serve a site at `/at/<name>` and the gateway at `/gate`."""
    made, clock = Hosts(), FakeClock()
    async with Server(made) as server:
        settings = {
            "type": "jira",
            "site": "acme",
            "email": EMAIL,
            "token": TOKEN,
            "site_url": f"{server.url}/at/{{site}}",
            "gateway": f"{server.url}/gate/",
            **config,
        }
        source = JiraSource(JiraConfig(**settings), SourceContext("acme", clock, RequestBudget(clock)))
        try:
            yield made, source, clock
        finally:
            await source.close()
    assert server.failures == []
