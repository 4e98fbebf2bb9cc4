"""The port by itself: what anybody may send, faults of ours, and how much waits at a time."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Held, Page, Received, WebhookConfig
from forwarder.observe.reports import REFUSALS
from forwarder.receiving.inbox import Answer
from forwarder.receiving.rates import Rates
from forwarder.receiving.server import ReceiverServer, Route
from forwarder.testing.waiting import until
from tests.receiving.sending import SECRET

NOTHING = Page(bodies=[], keys=[], digests=[], minutes=[], next={})
Take = Callable[[str, Received | Held], Awaitable[Answer]]


class Anything:
    """A source that takes whatever is sent."""

    def __init__(self, receive: Callable[[bytes], Received] = lambda _: Received(NOTHING)) -> None:
        self.webhook: WebhookConfig | None = WebhookConfig.model_validate({"secret": SECRET})
        self.receive = receive


async def take_all(_: str, __: Received | Held) -> Answer:
    return Answer(200)


@asynccontextmanager
async def serving(
    take: Take = take_all, *, source: Anything | None = None, names: tuple[str, ...] = ("one",), rate: float = 1e6
) -> AsyncIterator[tuple[int, dict[str, Route]]]:
    source = source or Anything()
    assert source.webhook is not None
    routes = {name: Route(name, source, source.webhook, dict.fromkeys(REFUSALS, 0)) for name in names}
    rates = Rates(rate, 1e6, time.monotonic())
    server = ReceiverServer("127.0.0.1", 0, list(routes.values()), take, rates=rates, max_body=2**20)
    await server.start()
    try:
        yield server.port, routes
    finally:
        await server.close()


async def post(port: int, body: bytes, name: str = "one") -> tuple[int, dict[str, Any]]:
    def send() -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", f"/webhook/{name}", body, {"Authorization": SECRET})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    return await asyncio.to_thread(send)


@pytest.mark.parametrize(
    "target",
    ["http://[", "http://[/webhook/one", "//[::1", "http://[::1", "x://a]b/c", "http://\\[/", "://", "/a://[", "*"],
)
async def test_no_address_that_is_asked_for_is_an_error_of_ours(target, caplog):
    async with serving() as (port, routes):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read()).split()[1] in {b"404", b"400"}
        writer.close()
        assert not any(routes["one"].refused.values())
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_whole_address_is_its_path():
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST http://a.example/webhook/one HTTP/1.1\r\nHost: a\r\nAuthorization: {SECRET}\r\n"
        writer.write(head.encode() + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        assert (await reader.read()).split()[1] == b"200"
        writer.close()


def fail(body: bytes) -> Received:
    raise ZeroDivisionError(body.decode())


async def take_nothing(_: str, __: Received | Held) -> Answer:
    raise ZeroDivisionError("private")


@pytest.mark.parametrize("how", [{"source": Anything(fail)}, {"take": take_nothing}], ids=["source", "daemon"])
async def test_a_fault_of_ours_is_answered_counted_and_said_once(how, caplog):
    with capture_logs() as lines:
        async with serving(**how) as (port, routes):
            answers = [await post(port, b"private") for _ in range(20)]
    assert {status for status, _ in answers} == {500}
    assert routes["one"].refused["other"] == 20
    assert [line["event"] for line in lines] == ["push_not_taken"]
    assert not caplog.records
    assert "private" not in str((answers, lines))
    assert "ZeroDivisionError" in str(answers[0])


class Gate:
    """Stores nothing until it is opened."""

    def __init__(self) -> None:
        self.waiting = 0
        self.open = asyncio.Event()

    async def take(self, _: str, __: Received | Held) -> Answer:
        self.waiting += 1
        await self.open.wait()
        return Answer(200)


async def test_while_the_spool_hangs_only_so_many_bytes_wait(monkeypatch):
    monkeypatch.setattr("forwarder.receiving.server.MOST_UNDER_WAY", 1000)
    monkeypatch.setattr("forwarder.receiving.server.PATIENCE", 600.0)
    gate = Gate()
    async with serving(gate.take) as (port, routes):
        first = [asyncio.create_task(post(port, b"x" * 500)) for _ in range(2)]
        await until(lambda: gate.waiting == 2)
        for size in (1, 500, 100_000):
            status, answer = await post(port, b"x" * size)
            assert (status, answer["reason"]) == (503, "too much waits for the spool")
        assert routes["one"].refused["unavailable"] == 3
        assert gate.waiting == 2
        gate.open.set()
        assert [(await each)[0] for each in first] == [200, 200]
        assert (await post(port, b"x" * 100_000))[0] == 200, "one, however large it is"
        assert (await post(port, b"x" * 1000))[0] == 200


async def test_what_nobody_waits_for_any_more_counts_until_it_is_stored(monkeypatch):
    monkeypatch.setattr("forwarder.receiving.server.MOST_UNDER_WAY", 1000)
    monkeypatch.setattr("forwarder.receiving.server.PATIENCE", 0.01)
    gate = Gate()
    async with serving(gate.take) as (port, _):
        assert (await post(port, b"x" * 900))[1]["reason"] == "the spool takes long"
        assert (await post(port, b"x" * 900))[1]["reason"] == "too much waits for the spool"
        monkeypatch.setattr("forwarder.receiving.server.PATIENCE", 600.0)
        gate.open.set()

        async def is_taken() -> bool:
            return (await post(port, b"x" * 900))[0] == 200

        await until(is_taken)


async def test_what_one_source_is_sent_takes_nothing_of_the_rate_of_another():
    async with serving(names=("one", "two"), rate=2) as (port, _):
        assert [(await post(port, b"x", "one"))[0] for _ in range(3)] == [200, 200, 429]
        assert (await post(port, b"x", "two"))[0] == 200
