"""TLS of the HTTP client: what is trusted, what is refused, and whether the message says how to fix it."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from forwarder.contracts import Held, HttpConfig, Retryable, Secret, TlsConfig
from forwarder.net import tls as tls_module
from forwarder.net.http import HttpClient, build_ssl_context
from simulator.http_types import Request, Response
from simulator.httpd import Server
from tests.sockets import listening

PATIENT = HttpConfig(connect_timeout=10, read_timeout=20, total_timeout=30)
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(autouse=True)
def fresh_contexts() -> Iterator[None]:
    tls_module._build.cache_clear()
    yield
    tls_module._build.cache_clear()


def pem(certificate: trustme.LeafCert, path: Path) -> Path:
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@asynccontextmanager
async def serving(context: ssl.SSLContext | None) -> AsyncIterator[Server]:
    async def handle(request: Request) -> Response:
        subject = dict(pair for group in (request.certificate or {}).get("subject", ()) for pair in group)
        return Response(200, {"x-client": subject.get("commonName", "")}, b"hello")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # asyncio complains of handshakes that fail on purpose
    async with Server(handle, ssl=context) as server:
        yield server


async def ask(url: str, tls: TlsConfig, http: HttpConfig = PATIENT) -> Response:
    client = HttpClient(base_url=url, http=http, tls=tls)
    try:
        return await client.request("GET", "/")  # type: ignore[return-value]
    finally:
        await client.close()


async def refusal(url: str, tls: TlsConfig) -> Retryable:
    with pytest.raises(Retryable) as caught:
        await ask(url, tls)
    assert caught.value.__suppress_context__
    return caught.value


async def test_a_server_of_our_authority(authority: trustme.CA, ca_file: Path) -> None:
    async with serving(server_context(authority.issue_cert("127.0.0.1"))) as server:
        assert (await ask(server.url, TlsConfig(ca_file=ca_file))).body == b"hello"


@pytest.mark.parametrize(
    ("names", "dates", "fix"),
    [
        (["other.example.com"], {}, "name that the certificate was made for"),
        (["127.0.0.2"], {}, "name that the certificate was made for"),
        (["127.0.0.1"], {"not_before": NOW - timedelta(9), "not_after": NOW - timedelta(1)}, "renew"),
        (["127.0.0.1"], {"not_before": NOW + timedelta(9), "not_after": NOW + timedelta(99)}, "clock"),
    ],
    ids=["wrong name", "wrong address", "expired", "not yet"],
)
async def test_a_certificate_that_does_not_fit(
    authority: trustme.CA, ca_file: Path, names: list[str], dates: dict[str, Any], fix: str
) -> None:
    async with serving(server_context(authority.issue_cert(*names, **dates))) as server:
        error = await refusal(server.url, TlsConfig(ca_file=ca_file))
        assert (error.kind, error.sent) == ("tls", False)
        assert fix in str(error)
        assert (await ask(server.url, TlsConfig(verify=False))).body == b"hello"
        assert server.requests == 1


@pytest.mark.parametrize("trusted", ["the system's", "another file"])
async def test_an_unknown_authority(authority: trustme.CA, tmp_path: Path, trusted: str) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    async with serving(server_context(authority.issue_cert("127.0.0.1"))) as server:
        error = await refusal(server.url, TlsConfig(ca_file=other if trusted == "another file" else None))
        assert (error.kind, error.sent) == ("tls", False)
        assert "tls.ca_file" in str(error)
        assert server.requests == 0


async def test_the_systems_store_is_trusted_and_not_one_a_library_brings(
    authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))  # OpenSSL's own way to name the system's store
    async with serving(server_context(authority.issue_cert("127.0.0.1"))) as server:
        assert (await ask(server.url, TlsConfig())).body == b"hello"
    assert len(build_ssl_context(TlsConfig()).get_ca_certs()) == 1


async def test_no_version_in_common(authority: trustme.CA, ca_file: Path) -> None:
    context = server_context(authority.issue_cert("127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(context) as server:
        error = await refusal(server.url, TlsConfig(ca_file=ca_file, min_version="1.3"))
        assert error.kind == "tls"
        assert "tls.min_version" in str(error)
        assert (await ask(server.url, TlsConfig(ca_file=ca_file))).body == b"hello"
    with pytest.raises(ValidationError):
        TlsConfig(min_version="1.1")  # type: ignore[arg-type]


async def test_a_server_that_does_not_speak_tls(ca_file: Path) -> None:
    async with serving(None) as server:
        error = await refusal(server.url.replace("http:", "https:"), TlsConfig(ca_file=ca_file))
        assert (error.kind, error.sent) == ("tls", False)
        assert "does not speak TLS" in str(error) or "scheme" in str(error)


async def test_a_server_that_hangs_up_in_the_handshake(ca_file: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(hang_up) as port:
        error = await refusal(f"https://127.0.0.1:{port}", TlsConfig(ca_file=ca_file))
    assert (error.kind, error.sent) == ("tls", False)


@pytest.mark.parametrize("end", ["connect_timeout", "total_timeout", "cancelled"])
async def test_a_handshake_that_never_ends_leaves_no_socket(ca_file: Path, end: str) -> None:
    reached = asyncio.Event()
    gone = asyncio.Event()

    async def stare(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        with suppress(ConnectionResetError):
            while await reader.read(1000):
                pass
        writer.close()
        gone.set()

    async with listening(stare) as port:
        url = f"https://127.0.0.1:{port}"
        http = HttpConfig(**{"connect_timeout": 20, "total_timeout": 20, end: 0.3} if end != "cancelled" else {})
        client = HttpClient(base_url=url, http=http, tls=TlsConfig(ca_file=ca_file))
        task = asyncio.create_task(client.request("GET", "/"))
        await reached.wait()
        if end == "cancelled":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(Retryable) as caught:
                await task
            assert (caught.value.kind, caught.value.sent) == ("timeout", False)
        del task
        gc.collect()
        await asyncio.wait_for(gone.wait(), 10)  # the other side sees us leave before the client is closed
        await client.close()


# --------------------------------------------------------------------------------------------- our own certificate


def demanding(authority: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context(authority.issue_cert("127.0.0.1"))
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
async def test_we_say_who_we_are(authority: trustme.CA, ca_file: Path, tmp_path: Path, version: ssl.TLSVersion) -> None:
    ours = pem(authority.issue_cert("forwarder@example.com", common_name="forwarder"), tmp_path / "ours.pem")
    async with serving(demanding(authority, version)) as server:
        answer = await ask(server.url, TlsConfig(ca_file=ca_file, cert_file=ours))
        assert answer.headers["x-client"] == "forwarder"  # type: ignore[call-overload]


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize("whose", ["nobody's", "a stranger's"])
async def test_a_missing_or_refused_client_certificate(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, version: ssl.TLSVersion, whose: str
) -> None:
    """With TLS 1.3 our handshake is over when the refusal comes: the request went out, and no one read it."""
    tls = TlsConfig(ca_file=ca_file)
    if whose == "a stranger's":
        tls = TlsConfig(ca_file=ca_file, cert_file=pem(trustme.CA().issue_cert("x@example.com"), tmp_path / "x.pem"))
    async with serving(demanding(authority, version)) as server:
        error = await refusal(server.url, tls)
        assert server.requests == 0
    assert error.kind in {"tls", "reset"}  # a reset can overtake the alert
    if error.kind == "tls":
        assert not error.sent
        assert "tls.cert_file" in str(error) or "TLS" in str(error)


def test_equal_settings_share_a_context_and_a_rotated_file_makes_a_new_one(ca_file: Path) -> None:
    first = build_ssl_context(TlsConfig(ca_file=ca_file))
    assert build_ssl_context(TlsConfig(ca_file=ca_file)) is first
    assert build_ssl_context(TlsConfig(ca_file=ca_file, min_version="1.3")) is not first
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    assert build_ssl_context(TlsConfig(ca_file=ca_file)) is not first


async def test_a_rotated_authority_counts_from_the_next_connection(authority: trustme.CA, ca_file: Path) -> None:
    good = ca_file.read_bytes()
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    async with serving(server_context(authority.issue_cert("127.0.0.1"))) as server:
        client = HttpClient(base_url=server.url, http=PATIENT, tls=TlsConfig(ca_file=ca_file))
        with pytest.raises(Retryable, match=r"tls\.ca_file"):
            await client.request("GET", "/")
        ca_file.write_bytes(good + b"\n")
        assert (await client.request("GET", "/")).body == b"hello"
        await client.close()


@pytest.mark.parametrize("what", ["missing CA", "no PEM", "no key", "wrong password", "no password", "empty password"])
async def test_files_that_cannot_be_used_hold(authority: trustme.CA, tmp_path: Path, what: str) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate = authority.issue_cert("x@example.com")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"right-made-up"),
    )
    chain, keyfile, password = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "password"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    keyfile.write_bytes(locked)
    password.write_text("")
    settings: dict[str, dict[str, Any]] = {
        "missing CA": {"ca_file": tmp_path / "nothing.pem"},
        "no PEM": {"ca_file": keyfile},
        "no key": {"cert_file": chain},
        "wrong password": {"cert_file": chain, "key_file": keyfile, "key_password": Secret("wrong-made-up")},
        "no password": {"cert_file": chain, "key_file": keyfile},
        "empty password": {"cert_file": chain, "key_file": keyfile, "key_password": Secret(path=password)},
    }
    client = HttpClient(base_url="https://127.0.0.1:1", http=PATIENT, tls=TlsConfig(**settings[what]))
    with pytest.raises(Held, match=r"tls\.") as caught:
        await client.request("GET", "/")
    assert caught.value.kind == "tls"
    assert "made-up" not in str(caught.value)
    await client.close()
    right = TlsConfig(cert_file=chain, key_file=keyfile, key_password=Secret("right-made-up"))
    build_ssl_context(right)
