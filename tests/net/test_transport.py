"""Our own connection beneath httpx: what it makes of hostile servers beside httpx's own, and what no answer may cost."""

from __future__ import annotations

import asyncio
import gc
import ssl
import types
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import ForwarderError, HttpConfig, Retryable, TlsConfig
from forwarder.net import exchange as exchange_module
from forwarder.net import transport as transport_module
from forwarder.net.http import HttpClient
from forwarder.net.wire import Wire
from tests.examples import examples
from tests.sockets import listening

PATIENT = HttpConfig(connect_timeout=10, read_timeout=20, total_timeout=30)
HASTY = HttpConfig(connect_timeout=10, read_timeout=0.2, total_timeout=30)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LARGE = bytes(8 * 2**20)


def client_of(port: int, http: HttpConfig = PATIENT, *, tls: bool = False) -> HttpClient:
    return HttpClient(
        base_url=f"{'https' if tls else 'http'}://127.0.0.1:{port}", http=http, tls=TlsConfig(verify=not tls)
    )


@pytest.fixture(scope="module")
def own() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def request_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


# ------------------------------------------------------------------------------------------- beside httpx's transport


class Theirs(httpx.AsyncBaseTransport):
    """httpx's own transport, which tells how far a request came in its own way (the `trace` of httpcore)."""

    def __init__(self, *, context: ssl.SSLContext | None, proxy: httpx.Proxy | None, keep: float) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=keep)
        verify = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._inner = httpx.AsyncHTTPTransport(verify=verify, proxy=proxy, limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        course = request.extensions["course"]

        async def trace(step: str, facts: dict[str, Any]) -> None:
            course.sent = course.sent or step.endswith(".send_request_headers.started")

        request.extensions = {**request.extensions, "trace": trace}
        response = await self._inner.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers.raw, stream=response.stream)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def outcome(script: list[bytes], method: str, http: HttpConfig, *, is_open: bool) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for piece in script:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if is_open:
            await reader.read()
        writer.close()

    async with listening(serve) as port:
        client = client_of(port, http)
        try:
            return await client.request(method, "/x", content=b"abc" if method == "POST" else None)
        except Retryable as error:
            return error.kind, error.sent, str(error).replace(str(port), "PORT")
        finally:
            await client.close()


async def both(
    script: list[bytes], method: str, http: HttpConfig = PATIENT, *, is_open: bool = False
) -> tuple[Any, Any]:
    ours = await outcome(script, method, http, is_open=is_open)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange_module, "OneConnection", Theirs)
        return ours, await outcome(script, method, http, is_open=is_open)


BEGINNINGS = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 304 \r\n",
    b"HTTP/1.1 500\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n",
    b"HTTP/1.1 103 Hint\r\nlink: x\r\n\r\nHTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\n", b"HTTP/1.1 101 Switch\r\n",
    b"HTTP/2 200 OK\r\n", b"\r\nHTTP/1.1 200 OK\r\n", b"http/1.1 200 ok\r\n", b"HTTP/1.1  200 OK\r\n", b"",
    b"HTTP/1.1 99 X\r\n", b"HTTP/1.1 two OK\r\n", b"HTTP/1.1 200 OK\n", b"\x16\x03\x01\x00\x05hello",
]  # fmt: skip
HEADERS = [
    b"content-length: 5\r\n", b"content-length: 0\r\n", b"content-length: 5, 5\r\n", b"content-length: 4\r\n",
    b"content-length: -5\r\n", b"content-length: 99999999999999999999999\r\n", b"content-length: +5\r\n",
    b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip, chunked\r\n", b"Transfer-Encoding: CHUNKED\r\n",
    b"connection: close\r\n", b"connection: keep-alive\r\n", b"x: \r\n", b"x:y\r\n", b" folded\r\n", b"x : y\r\n",
    b"x: \x00\r\n", b"x: \xe9\r\n", b"no colon\r\n", b"set-cookie: a=b\r\nset-cookie: c=d\r\n", b"content-encoding: br\r\n",
    b"upgrade: h2c\r\nconnection: upgrade\r\n", b"x: " + b"y" * 2000 + b"\r\n", b"trailer: x\r\n",
]  # fmt: skip
BODIES = [
    b"", b"hello", b"hello world", b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nx: y\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\nmore",
    b"5;ext=1\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n", b"5\r\nhelloworld\r\n", b"0\r\n\r\n", b"ffffffffffffffffffff\r\nx",
    b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"hello" + OK,
]  # fmt: skip


@st.composite
def scripts(draw: st.DrawFn) -> list[bytes]:
    """Draw an answer in pieces: mostly one that could be good, and something wrong with it now and then."""
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    text = draw(st.sampled_from(BEGINNINGS)) + b"".join(headers) + b"\r\n" + draw(st.sampled_from(BODIES))
    if draw(st.booleans()):
        text = text[: draw(st.integers(0, len(text)))]
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True) if end > start]


@given(script=scripts(), method=st.sampled_from(["GET", "HEAD", "POST"]))
@example(script=[b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello world"], method="GET")
@example(script=[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"], method="GET")
@example(script=[b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"], method="HEAD")
@settings(max_examples=examples(150))
def test_whatever_a_server_says_it_means_the_same_as_with_httpx_alone(script: list[bytes], method: str) -> None:
    ours, theirs = asyncio.run(both(script, method))
    if isinstance(theirs, tuple) and isinstance(ours, tuple) and theirs[0] == "other":
        # Of an answer that ends within the line before a chunk, httpx says that it is not HTTP.
        assert ours[:2] in [theirs[:2], ("truncated", True)]
    else:
        assert ours == theirs


@pytest.mark.parametrize(
    "script",
    [
        [],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\nhello"],
        [b"HTTP/1.1 204 No Content\r\n\r\n"],
        [OK],
        [OK, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"],
        [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000],
        [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 60_000],
    ],
    ids=range(11),
)
async def test_a_server_that_keeps_the_connection_means_the_same_too(script: list[bytes]) -> None:
    ours, theirs = await both(script, "GET", HASTY, is_open=True)
    assert ours == theirs


@pytest.mark.parametrize("words", [b"disconnected", b"complete message body"])
async def test_the_words_of_a_server_do_not_choose_how_it_failed(words: bytes) -> None:
    kind, _, _ = await outcome([b"HTTP/1.1 " + words + b"\r\n\r\n"], "GET", PATIENT, is_open=True)
    assert kind == "other"


async def test_hints_without_end_are_no_answer() -> None:
    kind, sent, words = await outcome([b"HTTP/1.1 103 Hint\r\n\r\n" * 50_000, OK], "GET", PATIENT, is_open=True)
    assert (kind, sent) == ("other", True)
    assert "not HTTP" in words


# --------------------------------------------------------------------------------------- answers before the request is


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("then", ["stays", "closes"])
async def test_a_refusal_of_what_was_not_read_is_read(own: ssl.SSLContext, then: str, tls: bool) -> None:
    """RFC 9112, section 9.5; httpx waits until the server has read what it will not read."""
    heads = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heads
        head = await reader.readuntil(b"\r\n\r\n")
        heads += 1
        if head.startswith(b"GET"):
            writer.write(OK)
            await reader.read()
            return
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 8\r\n\r\ntoo much")
        await writer.drain()
        if then == "stays":
            writer.transport.pause_reading()
            await asyncio.Event().wait()
        writer.close()

    async with listening(serve, own if tls else None) as port:
        client = client_of(port, tls=tls)
        got = await client.request("POST", "/", content=LARGE)
        assert (got.status, got.body) == (413, b"too much")
        assert (await client.request("GET", "/")).body == b"ok"
        assert heads == 2
        await client.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_success_counts_only_for_a_request_that_was_sent_whole(own: ssl.SSLContext, tls: bool) -> None:
    got = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        await writer.drain()
        got = len(await reader.readexactly(len(LARGE)))
        await request_of(reader)
        writer.write(OK)
        await reader.read()

    async with listening(serve, own if tls else None) as port:
        client = client_of(port, tls=tls)
        for content in (LARGE, b"next"):
            assert (await client.request("POST", "/", content=content)).status == 200
        assert got == len(LARGE)
        await client.close()


async def test_a_server_that_reads_nothing_is_a_time_out() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with listening(serve) as port:
        client = client_of(port, HASTY)
        with pytest.raises(Retryable) as caught:
            await client.request("POST", "/", content=LARGE)
        assert (caught.value.kind, caught.value.sent) == ("timeout", True)
        await client.close()


# ---------------------------------------------------------------------------------------------- the connection kept


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"\r\n", b""])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"])
async def test_what_a_server_says_unasked_answers_nothing(surplus: bytes, late: bool, answer: bytes) -> None:
    requests: list[int] = []
    told = asyncio.Event()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for number in range(2):
            await request_of(reader)
            requests.append(connections)
            writer.write(answer if late or number else answer + surplus)
            if late and not number:
                await told.wait()
                writer.write(surplus)
                if not surplus:
                    writer.close()
                    await writer.wait_closed()
                told.clear()
                if not surplus:
                    return

    async with listening(serve) as port:
        client = client_of(port)
        assert (await client.request("GET", "/")).body == b"ok"
        if late:
            told.set()
            while told.is_set():  # noqa: ASYNC110 -- what is written is there once the server's turn is over
                await asyncio.sleep(0)
        told.set()
        assert (await client.request("GET", "/")).body == b"ok"
        assert requests == ([1, 1] if not surplus and not late else [1, 2]), "each request is sent once"
        await client.close()


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: Close\r\n"])
async def test_a_connection_that_ends_with_an_answer_is_not_used_again(head: bytes) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_of(reader)
        writer.write(head + b"content-length: 2\r\n\r\nok")
        await reader.read()

    async with listening(serve) as port:
        client = client_of(port)
        for _ in range(2):
            assert (await client.request("GET", "/")).body == b"ok"
        assert connections == 2
        await client.close()


# ------------------------------------------------------------------------------------------------------ cancellation


@types.coroutine
def _driven(course: Coroutine[Any, Any, Any], stop: int) -> Iterator[Any]:
    """Run a coroutine and cancel it where it waits for the `stop`-th time; return whether it came that far."""
    waits = 0
    step, value = course.send, None
    while True:
        try:
            awaited = step(value)
        except StopIteration:
            return False
        except asyncio.CancelledError:
            return True
        waits += 1
        step, value = course.send, None
        if waits == stop:
            if awaited is not None:
                awaited._asyncio_future_blocking = False
                awaited.cancel()
            step, value = course.throw, asyncio.CancelledError()
        else:
            yield awaited


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Give the sockets of the connections that are made."""
    made: list[Any] = []
    dial = transport_module.dial

    async def noted(host: str, port: int) -> Any:
        sock = await dial(host, port)
        made.append(sock)
        return sock

    monkeypatch.setattr(transport_module, "dial", noted)
    yield made


@asynccontextmanager
async def tunnel(own: ssl.SSLContext) -> AsyncIterator[str]:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, port = head.split()[1].decode().rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(pump(reader, back))
                both_ways.create_task(pump(there, writer))
        except* OSError:
            pass
        finally:
            back.transport.abort()

    async with listening(serve, own) as port:
        yield f"https://127.0.0.1:{port}"


@pytest.mark.parametrize("way", ["in the clear", "TLS", "TLS through a proxy with TLS"])
async def test_cancelled_wherever_it_waits_it_leaves_nothing_open_and_the_next_is_good(
    own: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    tls = way != "in the clear"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            name = (await request_of(reader)).split()[1]
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in (name[:2], name[2:]):
                await asyncio.sleep(0)
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            writer.write(b"0\r\n\r\n")

    async with listening(serve, own if tls else None) as port, tunnel(own) as proxy:
        with counted(monkeypatch) as made:
            client = client_of(port, HttpConfig(proxy=proxy) if "proxy" in way else PATIENT, tls=tls)
            stop, is_cancelled = 0, True
            while is_cancelled:
                stop += 1
                if client._exchange is not None:
                    await client._exchange.drop()  # so that each begins with a connection of its own
                is_cancelled = await _driven(client.request("POST", f"/first{stop}", content=LARGE[:200_000]), stop)
                assert sum(sock.fileno() >= 0 for sock in made) == (not is_cancelled)
                again = await client.request("GET", f"/again{stop}")
                assert again.body == f"/again{stop}".encode(), "never the answer of another request"
            await client.close()
            assert stop > (3 if way == "in the clear" else 5)
            assert all(sock.fileno() < 0 for sock in made)
    gc.collect()  # a socket that no one closed would warn here


async def test_closed_while_it_waits_the_request_fails_and_the_number_of_the_socket_is_free() -> None:
    waiting = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        waiting.set()
        await reader.read()

    async with listening(serve) as port:
        client = client_of(port)
        task = asyncio.create_task(client.request("GET", "/"))
        await waiting.wait()
        await client.close()
        with pytest.raises(ForwarderError):
            await task


async def test_closed_while_it_connects_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += bool(await reader.read(1))

    async with listening(serve) as port:
        with counted(monkeypatch) as made:
            dial = transport_module.dial

            async def slow(host: str, port: int) -> Any:
                sock = await dial(host, port)
                begun.set()
                await go_on.wait()
                return sock

            monkeypatch.setattr(transport_module, "dial", slow)
            client = client_of(port)
            task = asyncio.create_task(client.request("GET", "/"))
            await begun.wait()
            await client.close()
            go_on.set()
            with pytest.raises(Retryable) as caught:
                await task
            assert (caught.value.kind, caught.value.sent, requests) == ("connection", False, 0)
            assert [sock.fileno() for sock in made] == [-1]


def test_a_reader_is_not_left_behind_for_whoever_gets_the_number_next() -> None:
    """The system gives the number of a closed socket away at once; a watch that stays would be on another's socket."""

    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with listening(serve) as port:
            sock = await transport_module.dial("127.0.0.1", port)
            wire = Wire(sock, 10)
            number, task = sock.fileno(), asyncio.create_task(wire.receive())
            await asyncio.sleep(0)
            wire.close()
            assert not asyncio.get_running_loop().remove_reader(number)
            with pytest.raises(ConnectionAbortedError):
                await task

    asyncio.run(run())
