"""The HTTP client over real sockets: every way an answer can fail has its kind, and none of them costs the next one."""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import random
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, ConfigError, ForwarderError, Held, HttpConfig, Retryable, TlsConfig
from forwarder.net.compression import compressed
from forwarder.net.http import HttpClient, answer_to, check_url
from simulator.http_types import Request, Response, Wire
from simulator.httpd import Server
from tests.sockets import listening

SECRET = "tok-made-up-9876543210"
QUERY = "cursor-made-up-777"
PATIENT = HttpConfig(connect_timeout=10, read_timeout=20, total_timeout=30)


def client_of(url: str, http: HttpConfig = PATIENT, **more: Any) -> HttpClient:
    return HttpClient(base_url=url, http=http, tls=more.pop("tls", TlsConfig()), **more)


@asynccontextmanager
async def serving(
    answer: Response | Callable[[Request], Response], http: HttpConfig = PATIENT, **more: Any
) -> AsyncIterator[tuple[HttpClient, Server]]:
    async def handle(request: Request) -> Response:
        return answer(request) if callable(answer) else answer

    async with Server(handle) as server:
        client = client_of(server.url, http, **more)
        try:
            yield client, server
        finally:
            await client.close()
        assert server.failures == []


async def fails(client: HttpClient, path: str = "/") -> Retryable:
    """Ask with a secret everywhere; return the failure after a look that it repeats none of it."""
    with pytest.raises(ForwarderError) as caught:
        await client.request(
            "POST", path, headers={"authorization": f"Bearer {SECRET}"}, params={"cursor": QUERY}, content=b"x" * 10
        )
    error = caught.value
    assert SECRET not in repr(error) + str(error)
    assert QUERY not in repr(error) + str(error)
    assert error.__suppress_context__ or error.__context__ is None
    assert isinstance(error, Retryable)
    return error


# ------------------------------------------------------------------------------------------------------ good answers


async def test_an_answer_comes_as_it_was_given() -> None:
    def answer(request: Request) -> Response:
        assert (request.method, request.path, request.query) == ("POST", "/base/a/b", {"x": ["1,2 3"]})
        assert request.headers["authorization"] == "Bearer t"
        assert request.headers["content-length"] == "4"
        assert "cookie" not in request.headers
        return Response(207, [("X-One", "1"), ("Set-Cookie", "a=b"), ("X-Two", "2"), ("X-Two", "3")], request.body)

    async with serving(answer) as (_, server):
        client = client_of(server.url + "/base/")
        for _ in range(2):  # the second would carry a cookie if they were kept
            got = await client.request(
                "POST", "/a/b", headers={"authorization": "Bearer t"}, params={"x": "1,2 3"}, content=b"abcd"
            )
        await client.close()
    assert (got.status, got.body) == (207, b"abcd")
    assert got.headers["x-one"] == "1"
    assert got.headers["x-two"] == "2, 3"


@pytest.mark.parametrize("status", [204, 301, 302, 304, 400, 401, 403, 404, 413, 429, 500, 503])
async def test_no_status_is_an_error_and_no_redirect_is_followed(status: int) -> None:
    async with serving(Response(status, {"location": "/elsewhere"})) as (client, server):
        assert (await client.request("GET", "/")).status == status
        assert server.requests == 1


async def test_head_has_no_body_and_is_not_truncated() -> None:
    async with serving(Response(200, {}, b"0123456789")) as (client, _):
        assert (await client.request("HEAD", "/")).body == b""
        assert (await client.request("GET", "/")).body == b"0123456789"


async def test_one_connection_serves_one_request_at_a_time() -> None:
    running = most = 0

    async def handle(_: Request) -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return Response()

    async with Server(handle) as server:
        client = client_of(server.url)
        await asyncio.gather(*(client.request("GET", "/") for _ in range(5)))
        await client.close()
        assert (most, server.connections, server.requests) == (1, 1, 5)


async def test_a_connection_the_server_closed_is_replaced() -> None:
    async with serving(Response(200, {}, b"ok", close=True)) as (client, server):
        for _ in range(3):
            assert (await client.request("GET", "/")).body == b"ok"
        assert server.connections == 3


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:])),
        ("gzip", lambda body: gzip.compress(body) + b"\0" * 20),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("identity", bytes),
    ],
)
async def test_compressed_answers_are_undone(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    body = random.Random(1).randbytes(1000) * 3
    async with serving(Response(200, {"content-encoding": encoding}, pack(body))) as (client, _):
        assert (await client.request("GET", "/")).body == body


async def test_bodies_are_compressed_when_asked() -> None:
    def answer(request: Request) -> Response:
        return Response(200, {}, b"%d %s" % (len(request.body), request.decoded_body()[-3:]))

    async with serving(answer) as (client, _):
        plain = await client.request("POST", "/", content=b"a" * 9999 + b"end")
        small = await client.request("POST", "/", content=b"a" * 9999 + b"end", gzip=True)
        before = await client.request("POST", "/", content=compressed(b"a" * 9999 + b"end"))
    assert plain.body == b"10002 end"
    assert small.body.endswith(b"end")
    assert int(small.body.split()[0]) < 1000
    assert before.body == small.body


def test_what_is_compressed_may_be_answered_at_length_as_what_it_was_made_of() -> None:
    assert answer_to(compressed(b"a" * 9999)) == answer_to(b"a" * 9999)


# ------------------------------------------------------------------------------------------------------- bad answers

_HASTY = HttpConfig(connect_timeout=5, read_timeout=0.2, total_timeout=20)
_SHORT = HttpConfig(connect_timeout=5, read_timeout=10, total_timeout=0.4)
_SMALL = HttpConfig(max_response=1000)
_TEN = Response(200, {}, b"0123456789")


def _wire(**how: Any) -> Response:
    return Response(200, {}, b"0123456789", misbehave=Wire(**how))


@cache
def _zeros() -> bytes:
    return gzip.compress(b"\0" * 50_000_000)


def _packed(body: bytes, encoding: str = "gzip") -> Response:
    return Response(200, {"content-encoding": encoding}, body)


@pytest.mark.parametrize(
    ("answer", "http", "kind"),
    [
        pytest.param(_wire(stop_at=4), PATIENT, "truncated", id="closed in the body"),
        pytest.param(_wire(stop_at=0), PATIENT, "truncated", id="closed after the headers"),
        pytest.param(_wire(stop_at=4, ending="half_close"), PATIENT, "truncated", id="half closed in the body"),
        pytest.param(_wire(stop_at=-1), PATIENT, "reset", id="closed before an answer"),
        pytest.param(_wire(stop_at=-1, ending="reset"), PATIENT, "reset", id="reset before an answer"),
        pytest.param(_wire(stop_at=4, ending="reset"), PATIENT, "reset", id="reset in the body"),
        pytest.param(_wire(garbage=b"SSH-2.0-x\r\n\r\n"), PATIENT, "other", id="no HTTP"),
        pytest.param(
            _wire(garbage=b"HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n"), PATIENT, "other", id="bad length"
        ),
        pytest.param(_wire(delay=30), _HASTY, "timeout", id="silent"),
        pytest.param(_wire(stall_at=4, stall=30), _HASTY, "timeout", id="stalls in the body"),
        pytest.param(_wire(drip=1, pause=0.1), _SHORT, "timeout", id="drips beyond the deadline"),
        pytest.param(Response(200, {}, b"x" * 1001), _SMALL, "too_large", id="huge"),
        pytest.param(lambda: _packed(_zeros()), PATIENT, None, id="large but allowed"),
        pytest.param(lambda: _packed(_zeros()), HttpConfig(max_response=10**6), "too_large", id="bomb"),
        pytest.param(_packed(gzip.compress(b"\0" * 999) * 2), _SMALL, "too_large", id="bomb of two members"),
        pytest.param(_packed(gzip.compress(b"abc" * 99)[:-9]), PATIENT, "truncated", id="gzip without its end"),
        pytest.param(_packed(b"\x1f\x8b\x08\x00nonsense-nonsense"), PATIENT, "truncated", id="damaged gzip"),
        pytest.param(_packed(b"<html>"), PATIENT, "truncated", id="called gzip and is none"),
        pytest.param(_packed(b"abc", "br"), PATIENT, "other", id="unknown encoding"),
    ],
)
async def test_every_bad_answer_has_its_kind_and_the_next_is_good(
    answer: Response | Callable[[], Response], http: HttpConfig, kind: str | None
) -> None:
    answers = [answer() if callable(answer) else answer, _TEN]
    async with serving(lambda _: answers.pop(0), http) as (client, server):
        if kind is None:
            assert len((await client.request("GET", "/")).body) == 50_000_000
        else:
            error = await fails(client)
            assert (error.kind, error.sent) == (kind, True)
        assert (await client.request("GET", "/")).body == b"0123456789"
        assert server.connections == (1 if kind is None else 2), "a failure takes its connection with it"


@asynccontextmanager
async def _raw_server(answer: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("chunks", [b"5\r\nhello\r\n", b"5\r\nhel", b"5\r\nhello\r\n0\r\n"])
async def test_a_chunked_answer_without_its_end_is_truncated(chunks: bytes) -> None:
    async with _raw_server(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks) as url:
        client = client_of(url)
        assert (await fails(client)).kind == "truncated"
        await client.close()


async def test_a_body_up_to_the_close_is_whole() -> None:
    async with _raw_server(b"HTTP/1.1 200 OK\r\n\r\nhello") as url:
        client = client_of(url)
        assert (await client.request("GET", "/")).body == b"hello"
        await client.close()


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and never listened on: refused, and no one else can take it
        client = client_of(f"http://127.0.0.1:{taken.getsockname()[1]}")
        error = await fails(client)
        await client.close()
    assert (error.kind, error.sent) == ("connection", False)
    assert "refused" in str(error)


async def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    client = client_of("https://nowhere.example.com")
    error = await fails(client)
    await client.close()
    assert (error.kind, error.sent) == ("connection", False)
    assert "name is unknown" in str(error)


# ------------------------------------------------------------------------------------------------------ cancellation


async def test_a_storm_of_cancellations_leaks_no_slot() -> None:
    """A pool of httpcore loses the place of a cancelled request forever (encode/httpcore#1093); here is no pool."""
    rng = random.Random(7)

    async def handle(_: Request) -> Response:
        await asyncio.sleep(0.002)
        return Response(200, {}, b"ok")

    async with Server(handle) as server:
        client = client_of(server.url)
        cancelled = 0

        async def worker() -> None:
            nonlocal cancelled
            for _ in range(40):
                try:
                    async with asyncio.timeout(rng.uniform(0, 0.006)):
                        await client.request("GET", "/")
                except TimeoutError:
                    cancelled += 1

        await asyncio.gather(*(worker() for _ in range(4)))
        assert cancelled > 20
        for _ in range(3):
            assert (await client.request("GET", "/")).body == b"ok"
        await client.close()
    gc.collect()  # a socket that no one closed would warn here


async def test_a_cancelled_request_ends_its_connection() -> None:
    reached = asyncio.Event()
    held = asyncio.Event()

    async def handle(request: Request) -> Response:
        if request.path == "/held":
            reached.set()
            await held.wait()
        return Response(200, {}, request.path.encode())

    async with Server(handle) as server:
        client = client_of(server.url)
        task = asyncio.create_task(client.request("GET", "/held"))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.request("GET", "/next")).body == b"/next", "never the answer of the one before"
        assert server.connections == 2
        held.set()
        await client.close()


async def test_close_ends_a_request_under_way_and_may_be_called_twice() -> None:
    reached = asyncio.Event()

    async def handle(_: Request) -> Response:
        reached.set()
        await asyncio.sleep(60)
        return Response()

    async with Server(handle) as server:
        client = client_of(server.url)
        task = asyncio.create_task(fails(client))
        await reached.wait()
        await client.close()
        await client.close()
        assert (await task).sent
        with pytest.raises(RuntimeError, match="closed"):
            await client.request("GET", "/")


# ---------------------------------------------------------------------------------------------- headers, logs, proxies


@pytest.mark.parametrize("stray", ["\n", "\r\nx-evil: 1", "\x00", "é", " "])
async def test_a_credential_that_no_header_can_carry(stray: str) -> None:
    async with serving(_TEN) as (client, server):
        with pytest.raises(AuthFailed) as caught:
            await client.request("GET", "/", headers={"Authorization": f"Bearer {SECRET}{stray}"})
        assert SECRET not in repr(caught.value)
        with pytest.raises(Held):
            await client.request("GET", "/", headers={"x-other": f"a{stray}"})
        assert server.requests == 0


async def test_nothing_of_the_libraries_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(_TEN) as (client, _):
        await client.request("GET", "/", params={"cursor": QUERY})
    assert [record.name for record in caplog.records if record.name.startswith(("http", "hpack"))] == []


async def test_netrc_is_not_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login somebody password {SECRET}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    seen: list[dict[str, str]] = []

    def answer(request: Request) -> Response:
        seen.append(request.headers)
        return _TEN

    async with serving(answer) as (client, _):
        await client.request("GET", "/")
    assert "authorization" not in seen[0]


@asynccontextmanager
async def proxying(answer: Response | None = None) -> AsyncIterator[tuple[str, list[str]]]:
    seen: list[str] = []

    async def handle(request: Request) -> Response:
        seen.append(f"{request.method} {request.target}")
        return answer or Response(200, {}, b"through the proxy")

    async with Server(handle) as server:
        yield server.url, seen


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("way", ["setting", "environment", "bare environment"])
async def test_a_proxy_is_used(way: str, environment: pytest.MonkeyPatch) -> None:
    async with proxying() as (url, seen):
        if way != "setting":
            environment.setenv("http_proxy", url if way == "environment" else url.removeprefix("http://"))
        http = HttpConfig(proxy=url) if way == "setting" else HttpConfig()
        client = client_of("http://somewhere.example.com", http, insecure=True)
        assert (await client.request("GET", "/x")).body == b"through the proxy"
        await client.close()
        assert seen == ["GET http://somewhere.example.com/x"]


@pytest.mark.parametrize("no_proxy", ["*", "example.com", ".example.com", "somewhere.example.com"])
async def test_no_proxy_is_heeded(no_proxy: str, environment: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with proxying() as (url, seen):
        environment.setenv("http_proxy", url)
        environment.setenv("no_proxy", no_proxy)
        environment.setattr(socket, "getaddrinfo", unknown)
        client = client_of("http://somewhere.example.com", insecure=True)
        assert (await fails(client)).kind == "connection"
        await client.close()
        assert seen == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("way", ["setting", "environment"])
async def test_a_dead_proxy_is_named_and_not_the_server(scheme: str, way: str, environment: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        place = f"127.0.0.1:{held.getsockname()[1]}"
        url = f"http://me:{SECRET}@{place}"
        if way == "environment":
            environment.setenv("ALL_PROXY", url)
        http = HttpConfig(proxy=url) if way == "setting" else HttpConfig()
        client = client_of(f"{scheme}://somewhere.example.com", http, insecure=True)
        error = await fails(client)
        await client.close()
    assert str(error).startswith(f"the proxy {place} on the way to somewhere.example.com:")
    assert "refused" in str(error)
    assert (error.kind, error.sent) == ("connection", False)
    assert SECRET not in str(error)


async def test_loopback_never_goes_through_a_proxy_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    async with proxying() as (url, seen), serving(_TEN) as (client, _):
        environment.setenv("HTTP_PROXY", url)
        environment.setenv("ALL_PROXY", url)
        assert (await client.request("GET", "/")).body == b"0123456789"
        assert seen == []


async def test_a_proxy_that_refuses_the_tunnel(environment: pytest.MonkeyPatch) -> None:
    async with proxying(Response(407, {"proxy-authenticate": "Basic"})) as (url, seen):
        with_secret = url.replace("http://", f"http://me:{SECRET}@")
        client = client_of("https://somewhere.example.com", HttpConfig(proxy=with_secret))
        error = await fails(client)
        await client.close()
        assert (error.kind, error.sent) == ("connection", False)
        assert "407" in str(error)
        assert seen == ["CONNECT somewhere.example.com:443"]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://:1", "ftp://x", "http://[", "nothing"])
async def test_a_proxy_that_cannot_be_used(proxy: str, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        client_of("https://somewhere.example.com", HttpConfig(proxy=proxy))
    assert caught.value.setting == "http.proxy"
    if "://" in proxy:
        environment.setenv("ALL_PROXY", proxy)
        client = client_of("https://somewhere.example.com")
        with pytest.raises(Held, match="ALL_PROXY"):
            await client.request("GET", "/")
        await client.close()


# --------------------------------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    "url",
    [
        "https://es.example.com:9200",
        "https://es.example.com/p/",
        "http://127.0.0.1:1",
        "http://localhost",
        "http://[::1]:9",
        "http://[::ffff:127.0.0.1]:9",
    ],
)
def test_good_urls(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://es.example.com", "insecure: true"),
        ("http://10.0.0.1:9200", "insecure: true"),
        ("http://localhost.example.com", "insecure: true"),
        ("http://127.0.0.1.example.com", "insecure: true"),
        (f"https://me:{SECRET}@es.example.com", "credential"),
        (f"https://{SECRET}@es.example.com", "credential"),
        (f"https://es.example.com?key={SECRET}", "query"),
        (f"https://es.example.com#{SECRET}", "fragment"),
        ("es.example.com:9200", "https://"),
        ("ftp://es.example.com", "https://"),
        ("https://", "https://"),
        ("https://es.example.com:port", "https://"),
        ("https://[::1", "https://"),
        ("https://es.example.com/a b", "https://"),
        ("https://es.example.com\r\nx: y", "https://"),
        ("", "https://"),
        ("https://münchen.example.com", "xn--"),
        ("https:/es.example.com", "followed by ://"),
        ("https:es.example.com", "followed by ://"),
        ("HTTP:\\\\es.example.com", "followed by ://"),
        ("https://a.example.com:9200,b.example.com:9200", "Not one URL but several"),
        ("https://a.example.com,https://b.example.com", "Not one URL but several"),
        ("https://a.example.com;b.example.com", "Not one URL but several"),
        ("http://[::ffff:192.0.2.1]:9", "insecure: true"),
    ],
)
def test_bad_urls(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        check_url(url)
    assert SECRET not in str(caught.value)


def test_insecure_allows_the_clear() -> None:
    assert check_url("http://es.example.com", insecure=True) == "http://es.example.com"
