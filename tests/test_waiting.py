"""A wait that is in vain says so, and for what."""

from __future__ import annotations

import asyncio
import socket

import pytest

from forwarder.testing.waiting import describe, until
from tests.sockets import held_port, listening


async def test_a_wait_returns_what_it_was_for() -> None:
    found: list[int] = []

    async def later() -> list[int]:
        found.append(len(found))
        return found[2:]

    assert await until(later, every=0) == [2]
    assert await until(lambda: found[-1]) == 2


async def test_a_wait_in_vain_says_what_it_was_for_and_what_is_there() -> None:
    arrived = ["one", "two"]
    with pytest.raises(AssertionError) as caught:
        await until(
            lambda: len(arrived) == 3,
            within=0,
            shown=lambda: "the last line of its log",
        )
    text = str(caught.value)
    assert "lambda: len(arrived) == 3" in text
    assert "test_waiting.py:" in text
    assert "arrived = ['one', 'two']" in text
    assert text.endswith("the last line of its log")


async def test_a_wait_ends_with_what_it_watches() -> None:
    def watch() -> None:
        raise LookupError("it ended by itself")

    with pytest.raises(LookupError):
        await until(lambda: False, watch=watch)


def test_anything_can_be_described() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("half built")

        def __len__(self) -> int:
            return 0

    unprintable = Unprintable()
    assert "repr failed: RuntimeError('half built')" in describe(lambda: len(unprintable))
    assert describe(asyncio.Event().is_set)
    assert len(describe(lambda x="x" * 10_000: x)) < 1000


def test_a_held_port_refuses_and_is_free_for_a_server_that_names_it() -> None:
    with held_port() as port:
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0
        with socket.create_server(("127.0.0.1", port)), socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) == 0
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0


async def test_a_server_of_a_test_ends_with_connections_open() -> None:
    async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with listening(never) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"anybody?")
        await writer.drain()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_fault_of_a_double_fails_the_test() -> None:
    read = asyncio.Event()

    async def broken(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        found = await reader.read(1)
        read.set()
        assert found == b"a"

    async def meets_it() -> None:
        async with listening(broken) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"b")
            await read.wait()
            writer.close()

    with pytest.raises(AssertionError):
        await meets_it()
