"""Connecting to a host of several addresses: the first that answers counts, and no other stays open."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from forwarder.net import dial as dial_module
from forwarder.net.dial import dial
from tests.sockets import held_port, listening


def named(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Give a host these ports of loopback for its addresses."""
    ways = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ways)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note every socket; an address with port 1 or 2 never answers."""
    made: list[Any] = []
    attempt = dial_module._attempt

    async def noted(way: Any) -> Any:
        if way[4][1] <= 2:
            made.append("silent")
            await asyncio.Event().wait()
        made.append(await attempt(way))
        return made[-1]

    monkeypatch.setattr(dial_module, "_attempt", noted)
    return made


async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("before", ["nothing", "refused", "silent"])
async def test_the_first_that_answers_is_the_connection(
    monkeypatch: pytest.MonkeyPatch, tried: list[Any], before: str
) -> None:
    monkeypatch.setattr(dial_module, "_STAGGER", 0.01)
    async with listening(serve) as port:
        with held_port() as refused:
            named(monkeypatch, *{"nothing": [], "refused": [refused], "silent": [1]}[before], port)
            sock = await dial("name.example", 443)
            assert sock.getpeername() == ("127.0.0.1", port)
            assert not sock.getblocking()
            assert sock is tried[-1]
            sock.close()


@pytest.mark.parametrize("end", ["answers", "cancelled"])
async def test_of_two_that_answer_at_once_at_most_one_stays_open(
    monkeypatch: pytest.MonkeyPatch, tried: list[Any], end: str
) -> None:
    noted, connected, go_on = dial_module._attempt, asyncio.Semaphore(0), asyncio.Event()

    async def together(way: Any) -> Any:
        sock = await noted(way)
        connected.release()
        await go_on.wait()
        return sock

    monkeypatch.setattr(dial_module, "_attempt", together)
    monkeypatch.setattr(dial_module, "_STAGGER", 0)
    async with listening(serve) as one, listening(serve) as other:
        named(monkeypatch, one, other)
        task = asyncio.create_task(dial("name.example", 443))
        for _ in range(2):
            await connected.acquire()
        go_on.set()
        if end == "answers":
            with await task as sock:
                assert [each for each in tried if each.fileno() >= 0] == [sock]
        else:
            await asyncio.sleep(0)  # both have their result, and whoever waits for them does not know
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            assert [each.fileno() for each in tried] == [-1, -1]


async def test_when_none_answers_the_first_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with held_port() as one, held_port() as other:
        named(monkeypatch, one, other)
        with pytest.raises(ConnectionRefusedError, match=str(one)):
            await dial("name.example", 443)


async def test_cancelled_it_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tried: list[Any]) -> None:
    monkeypatch.setattr(dial_module, "_STAGGER", 0)
    named(monkeypatch, 1, 2)
    task = asyncio.create_task(dial("name.example", 443))
    while len(tried) < 2:  # noqa: ASYNC110 -- the stagger is zero
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) - 1 <= 2
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_families_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    ways = [(six, 1), (six, 2), (six, 1), (four, 3), (six, 4)]
    assert dial_module._in_turn(ways) == [(six, 1), (four, 3), (six, 2), (six, 4)]
