"""`tls.server_name`: every TLS connection asks for that name and accepts only its certificate, whatever it connects to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from forwarder.contracts import Endpoint, HttpConfig, Retryable, TlsConfig
from forwarder.net.http import HttpClient
from forwarder.net.reach import examine
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.receivers.syslog import SyslogReceiver
from sinks.syslog.sink import SyslogSink
from tests.sockets import below

NAME = "siem.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def asked() -> list[str | None]:
    """Names that clients asked for."""
    return []


@pytest.fixture
def server_context(authority: trustme.CA, asked: list[str | None]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(made)
    made.sni_callback = lambda _socket, name, _context: asked.append(name)
    return made


@asynccontextmanager
async def https(server_context: ssl.SSLContext) -> AsyncIterator[Server]:
    async def handle(request: Request) -> Response:
        return Response(200, {}, request.target.encode())

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # handshakes that fail on purpose
    async with Server(handle, ssl=server_context) as server:
        yield server


@asynccontextmanager
async def tunnel(own: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a proxy that connects whoever asks with CONNECT; it speaks TLS itself when `own` is given."""
    courses: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        courses.add(asyncio.current_task())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            host, _, port = head.split()[1].decode().rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            both = [asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            below(back).abort()
        finally:  # also of who says nothing that can be read
            below(writer).abort()
        await asyncio.wait(both)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=own)
    try:
        yield f"{'https' if own else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        if courses:
            await asyncio.wait(courses)


async def ask(url: str, tls: TlsConfig, proxy: str | None = None) -> bytes:
    client = HttpClient(base_url=url, http=HttpConfig(proxy=proxy), tls=tls)
    try:
        return (await client.request("GET", "/x")).body
    finally:
        await client.close()


async def test_a_proxy_that_speaks_tls_is_trusted_by_the_same_authority(
    authority: trustme.CA, server_context: ssl.SSLContext, ca_file: Path, asked: list[str | None]
) -> None:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(own)
    async with https(server_context) as server, tunnel(own) as proxy:
        url = f"https://127.0.0.1:{server.port}"
        assert await ask(url, TlsConfig(ca_file=ca_file, server_name=NAME), proxy) == b"/x"
        assert asked == [NAME]  # the name is the server's, and the proxy is not asked for it
        with pytest.raises(Retryable, match=r"the proxy 127.0.0.1:\d+ on the way to .*tls\.ca_file"):
            await ask(url, TlsConfig(server_name=NAME), proxy)


async def test_a_proxy_that_speaks_no_tls_itself_is_named_with_the_fix(
    server_context: ssl.SSLContext, ca_file: Path
) -> None:
    async with https(server_context) as server, tunnel() as proxy:
        url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(Retryable, match=r"the proxy .*(write http://|does not speak TLS)"):
            await ask(url, TlsConfig(ca_file=ca_file, server_name=NAME), proxy.replace("http:", "https:"))


@pytest.mark.parametrize("through", ["directly", "a proxy's tunnel"])
async def test_http(server_context: ssl.SSLContext, ca_file: Path, asked: list[str | None], through: str) -> None:
    async with https(server_context) as server, tunnel() as proxy_url:
        url = f"https://127.0.0.1:{server.port}"
        proxy = None if through == "directly" else proxy_url
        with pytest.raises(Retryable, match=r"tls\.server_name"):
            await ask(url, TlsConfig(ca_file=ca_file), proxy)
        assert await ask(url, TlsConfig(ca_file=ca_file, server_name=NAME), proxy) == b"/x"
        with pytest.raises(Retryable, match="certificate is refused"):
            await ask(url, TlsConfig(ca_file=ca_file, server_name="other.example"), proxy)
    assert asked == [None, NAME, "other.example"]


async def test_the_name_is_asked_for_without_checking_certificates_too(
    server_context: ssl.SSLContext, asked: list[str | None]
) -> None:
    async with https(server_context) as server:
        await ask(f"https://127.0.0.1:{server.port}", TlsConfig(verify=False, server_name=NAME))
    assert asked == [NAME]


async def test_syslog(server_context: ssl.SSLContext, ca_file: Path, asked: list[str | None]) -> None:
    async with SyslogReceiver("tls", ssl=server_context) as receiver:
        config = SyslogSink.Config(
            address=f"tls://127.0.0.1:{receiver.port}", tls={"ca_file": str(ca_file), "server_name": NAME}
        )
        sink = SyslogSink(config, context("siem"))
        try:
            assert all(finding.ok for finding in await sink.probe())
            await sink.send(batch_of(b"CEF:0|one", b"CEF:0|two"))
        finally:
            await sink.close()
    assert set(asked) == {NAME}


async def test_doctor_tries_the_way_with_that_name(
    server_context: ssl.SSLContext, ca_file: Path, asked: list[str | None]
) -> None:
    async with https(server_context) as server:
        wrong = await examine(Endpoint("127.0.0.1", server.port, TlsConfig(ca_file=ca_file)))
        right = await examine(Endpoint("127.0.0.1", server.port, TlsConfig(ca_file=ca_file, server_name=NAME)))
    assert "tls.server_name" in wrong[-1].fix
    assert all(finding.ok for finding in right)
    assert NAME in asked


@pytest.mark.parametrize(
    "name", ["", "https://siem.example", "siem.example:9200", "-siem", "siem.example.", "a b", "é"]
)
def test_a_server_name_is_a_name_alone(name: str) -> None:
    with pytest.raises(ValidationError, match="write it alone"):
        TlsConfig(server_name=name)
