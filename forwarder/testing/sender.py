"""Who sends events to a source, under the control of a test; and a port that receives them into a spool of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from forwarder.assembly import build_source, build_spool
from forwarder.contracts import Held, Received, SystemClock
from forwarder.net.server_thread import ServerThread
from forwarder.observe.reports import SourceReport
from forwarder.receiving.inbox import Answer, Inbox
from forwarder.receiving.kept import Kept
from forwarder.receiving.pushed import PushedStore
from forwarder.receiving.rates import Rates
from forwarder.receiving.server import ReceiverServer, Route
from forwarder.registry import SOURCES
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Spool, SpoolStatus
from forwarder.testing.far_end import SECRET, secret_file
from forwarder.testing.waiting import until

MANY = 1e6


class Sender(Protocol):
    """What a product sends.

    Attributes:
        name: The type of the source, as it is registered.
    """

    name: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        """Return what the source is configured with, but its webhook."""
        ...

    def event(self, number: int, extra: bytes = b"null") -> bytes:
        """Return an event as it is sent: always the same for a number and an `extra`, some JSON that stands in it."""
        ...


class Reply(NamedTuple):
    """What a request was answered."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class Port:
    """A port that receives for one source."""

    def __init__(self, number: int, path: str, report: SourceReport, spool: Spool) -> None:
        self.number = number
        self.report = report
        self._path = path
        self.spool = spool

    async def post(self, body: bytes, secret: str = f"Bearer {SECRET}", **headers: str) -> Reply:
        """Send a body as a product does."""
        return await asyncio.to_thread(self._post, body, {"Authorization": secret, **headers})

    def _post(self, body: bytes, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=60)
        try:
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, json.loads(answer.read() or b"{}"))
        finally:
            connection.close()

    async def status(self) -> SpoolStatus:
        """Return what the spool says."""
        return await self.spool.status()


def build(kind: type[Sender], folder: Path, name: str = "test") -> Any:
    """Build the source of a sender as the daemon would, with its secret in a file."""
    sender = kind()
    webhook = {"secret_file": str(secret_file(folder, SECRET))}
    config = SOURCES.load(sender.name).Config(type=sender.name, **sender.settings(), webhook=webhook)
    return build_source(name, config)


@asynccontextmanager
async def receiving(kind: type[Sender], folder: Path, **limits: Any) -> AsyncIterator[Port]:
    """Open a port, and a spool behind it that outlives it: opened again, it has what was in it."""
    clock, source = SystemClock(), build(kind, folder)
    spool = build_spool(SpoolConfig(path=folder / "spool.db", **limits), clock)
    await spool.open()
    await spool.open_lane("sink", "somewhere", start=None, on_full="pause")  # it never takes anything
    report = SourceReport("test", kind.name, receives=True)
    identities = [source.origin.identity]
    around: dict[str, Any] = {"spool": spool, "clock": clock, "report": report, "announce": lambda: None}
    store = PushedStore(source, configured=identities, kept=Kept(), **around)
    inbox = Inbox(report, lambda: store, clock, lambda: None, shows_state=True)

    async def take(_: str, found: Received | Held) -> Answer:
        return await inbox.take(found)

    route = Route("test", source, source.webhook, report.refused)
    rates = Rates(MANY, MANY, time.monotonic())
    serve = partial(ReceiverServer, "127.0.0.1", 0, [route], rates=rates, max_body=2**20)
    thread = ServerThread(serve, take, name="receiver")
    task = asyncio.create_task(store.run())
    try:
        await thread.start()
        await until(lambda: report.state == "idle")
        yield Port(thread.port, source.webhook.path_of("test"), report, spool)
    finally:
        await thread.close()
        store.stop()
        await task
        await source.close()
        await spool.close()
