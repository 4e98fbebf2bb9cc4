"""The simulator's server: good behaviour over keep-alive, and every way to misbehave, seen on a raw socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import gzip
import socket
import ssl

import pytest
import trustme

from simulator.httpd import Request, Response, Server, Wire


async def echo(request: Request) -> Response:
    return Response(200, {"x-path": request.path}, request.decoded_body())


async def raw(server: Server, *requests: bytes) -> bytes:
    """Send bytes, read until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"".join(requests))
        return await reader.read()
    finally:
        writer.close()


def get(path: str = "/", *, close: bool = True) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: h\r\n{'connection: close' if close else 'x: y'}\r\n\r\n".encode()


async def test_requests_on_one_connection_are_answered_in_order_even_when_sent_together():
    async with Server(echo) as server:
        body = await raw(server, get("/a", close=False), get("/b%20c?x=1", close=False), get("/d"))
        assert [line for line in body.split(b"\r\n") if line.startswith(b"x-path")] == [
            b"x-path: /a",
            b"x-path: /b c",
            b"x-path: /d",
        ]
        assert (server.requests, server.connections) == (3, 1)


async def test_query_headers_and_gzip_body_arrive():
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, body=[b"one", b"two"])

    async with Server(handler) as server:
        packed = gzip.compress(b"x" * 300_000)
        head = f"POST /p?a=1&a=2&b= HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\nConnection: close\r\n\r\n"
        answer = await raw(server, head.encode(), packed)
    assert answer.endswith(b"\r\n\r\nonetwo")
    assert b"content-length: 6\r\n" in answer
    (request,) = seen
    assert request.query == {"a": ["1", "2"], "b": [""]}
    assert request.decoded_body() == b"x" * 300_000
    assert request.headers["content-encoding"] == "gzip"


async def test_damaged_gzip_is_a_value_error():
    with pytest.raises(ValueError, match="gzip"):
        Request("POST", "/", {"content-encoding": "gzip"}, b"no gzip").decoded_body()
    with pytest.raises(ValueError, match="br"):
        Request("POST", "/", {"content-encoding": "br"}, b"").decoded_body()


async def test_a_large_body_is_refused_with_413_and_the_connection_goes_on():
    async with Server(echo, max_body=10) as server:
        post = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000
        answer = await raw(server, post, get())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 200 OK" in answer


async def test_what_is_not_http_gets_400():
    async with Server(echo) as server:
        assert (await raw(server, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_failing_handler_is_seen():
    async def broken(request: Request) -> Response:
        raise LookupError("gone")

    async with Server(broken) as server:
        answer = await raw(server, get())
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert isinstance(server.failures[0], LookupError)


async def answer_with(wire: Wire, body: bytes = b"0123456789") -> bytes:
    async def handler(request: Request) -> Response:
        return Response(200, {}, body, misbehave=wire)

    async with Server(handler) as server:
        return await raw(server, get())


async def test_truncated_body_is_shorter_than_its_length():
    answer = await answer_with(Wire(stop_at=4))
    assert b"content-length: 10\r\n" in answer
    assert answer.endswith(b"\r\n\r\n0123")


@pytest.mark.parametrize("stop_at", [-1, 0, 4])
async def test_reset_is_seen_as_a_reset(stop_at):
    with pytest.raises(ConnectionResetError):
        await answer_with(Wire(stop_at=stop_at, ending="reset"))


async def test_reset_in_the_middle_lets_the_first_bytes_through():
    async def handler(request: Request) -> Response:
        return Response(200, {}, b"x" * 2_000_000, misbehave=Wire(stop_at=1_000_000, ending="reset"))

    async with Server(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(get())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_half_close_ends_our_side_only():
    async def handler(request: Request) -> Response:
        return Response(200, {}, b"0123456789", misbehave=Wire(stop_at=4, ending="half_close"))

    async with Server(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(get())
        assert (await reader.read()).endswith(b"0123")
        writer.write(b"still open")
        await writer.drain()
        writer.close()


async def test_garbage_comes_in_place_of_http():
    assert await answer_with(Wire(garbage=b"\x00\x01\xff")) == b"\x00\x01\xff"


async def test_drip_and_stall_send_everything_in_the_end():
    body = bytes(range(200))
    answer = await answer_with(Wire(drip=7, pause=0.0001, stall_at=50, stall=0.001, delay=0.001), body)
    assert answer.endswith(b"\r\n\r\n" + body)


async def test_a_stall_gives_the_first_part_and_then_nothing_until_close():
    async def handler(request: Request) -> Response:
        return Response(200, {}, b"0123456789", misbehave=Wire(stall_at=5, stall=3600))

    server = Server(handler)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(get())
    assert (await reader.readuntil(b"01234")).endswith(b"01234")
    await server.close()
    assert await reader.read() == b""
    writer.close()


async def test_connection_goes_on_after_a_complete_slow_answer():
    async def handler(request: Request) -> Response:
        return Response(200, {}, b"abc", misbehave=Wire(drip=1))

    async with Server(handler) as server:
        assert (await raw(server, get(close=False), get())).count(b"abc") == 2


async def test_restart_takes_the_same_port():
    server = Server(echo)
    await server.start()
    port = server.port
    await server.close()
    await server.close()
    with pytest.raises(ConnectionRefusedError):
        await raw(server, get())
    await server.start()
    assert server.port == port
    assert (await raw(server, get())).startswith(b"HTTP/1.1 200")
    await server.close()


async def test_tls_shows_the_clients_certificate():
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[object] = []

    async def handler(request: Request) -> Response:
        seen.append(request.certificate)
        return Response(200, {}, b"safe")

    client = ssl.create_default_context()
    authority.configure_trust(client)
    authority.issue_cert("client.example.com").configure_cert(client)
    async with Server(handler, ssl=context) as server:
        assert server.url.startswith("https://")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=client)
        writer.write(get())
        assert (await reader.read()).endswith(b"safe")
        writer.close()
    assert seen[0]


async def test_head_has_a_length_and_no_body():
    async with Server(echo) as server:
        answer = await raw(server, b"HEAD /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")


async def test_a_closed_server_keeps_its_port_for_its_next_start():
    server = Server(echo)
    await server.start()
    await server.close()
    port = server.port
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    del server
    gc.collect()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


@pytest.mark.parametrize("body", [b"", [b""], [b"", b"x", b""], [b"x" * 300_000, b"", b"y" * 300_000]])
async def test_an_answer_with_pieces_without_bytes_ends(body):
    async def handler(request: Request) -> Response:
        return Response(200, {}, body)

    async with Server(handler) as server:
        answer = await raw(server, get(close=False), get())
    whole = body if isinstance(body, bytes) else b"".join(body)
    assert answer.endswith(b"\r\n\r\n" + whole)
    assert answer.count(b"HTTP/1.1 200") == 2


async def test_a_server_closes_with_clients_in_every_state():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def never(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with contextlib.AsyncExitStack() as stack:
        for server in (Server(never), Server(never, ssl=context)):
            await server.start()
            opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
            for _, writer in opened:
                stack.callback(writer.close)
            opened[1][1].write(get())
            opened[2][1].write(get()[:10])
            await asyncio.wait_for(server.close(), 10)  # with one in the queue of the kernel, or in its handshake
