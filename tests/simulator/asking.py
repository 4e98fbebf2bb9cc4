"""A bare HTTP client for the simulator's tests: one request on a raw socket, nothing hidden, nothing retried."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from simulator.simulator import Simulator

BEGINNING = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = BEGINNING) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.json["data"]]

    @property
    def next(self) -> str | None:
        return self.json["meta"]["next"]

    @property
    def code(self) -> str:
        return self.json["errors"][0]["code"]


async def exchange(sim: Simulator, path: str, *, method: str = "GET", body: bytes = b"", key: str | None = "") -> bytes:
    """Send one request and return every byte that comes back; raises ConnectionResetError as it happens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.server.port)
    try:
        bearer = "" if key is None else f"authorization: Bearer {key or sim.api_key}\r\n"
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: h\r\n{bearer}connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        return await reader.read()
    finally:
        writer.close()


def parse(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


async def ask(
    sim: Simulator, feed: str = "events-stream", *, org: str = "", key: str | None = "", **query: Any
) -> Answer:
    """Ask one of the feeds; `since` and `until` are `from` and `to`."""
    names = {"since": "from", "until": "to"}
    encoded = urlencode({names.get(name, name): value for name, value in query.items()})
    return parse(await exchange(sim, f"/admin/v1/orgs/{org or sim.org_id}/{feed}?{encoded}", key=key))


async def walk(sim: Simulator, *, limit: int = 100, **query: Any) -> tuple[list[str], Answer]:
    """Follow the stream until nothing more comes; return all ids in order and the last answer."""
    answer = await ask(sim, limit=limit, **query)
    found = answer.ids
    while answer.next is not None and answer.ids:
        answer = await ask(sim, limit=limit, cursor=answer.next)
        found += answer.ids
    return found, answer
