"""The way to an address: each thing that can be wrong with it, on real sockets, and one sentence that says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from forwarder.contracts import Endpoint, Finding, HttpConfig, TlsConfig
from forwarder.net import reach as network
from forwarder.net.reach import examine

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Ours\x1b[31m")


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> TlsConfig:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return TlsConfig(ca_file=path)


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@asynccontextmanager
async def listening(
    context: ssl.SSLContext | None = None, *, says: bytes = b"", drops: bool = False
) -> AsyncIterator[int]:
    """Serve a port that counts nothing, takes whatever comes, says something, and may hang up."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes fail here on purpose

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if says:
            writer.write(says)
        if drops:
            writer.transport.abort()
            return
        try:
            while await reader.read(1000):
                pass
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def bad(findings: list[Finding]) -> Finding:
    """Return the last finding, which must be the only bad one, and has a fix in one sentence."""
    assert [finding.ok for finding in findings] == [*[True] * (len(findings) - 1), False]
    last = findings[-1]
    assert last.fix[0].isupper()
    assert last.fix.endswith(".")
    assert last.fix.count(". ") == 0
    return last


# ------------------------------------------------------------------------------------------------------- name, TCP


async def test_an_open_way_without_tls():
    async with listening() as port:
        name, tcp = await examine(Endpoint("localhost", port))
        assert (name.subject, name.ok, "127.0.0.1" in name.detail) == ("name localhost", True, True)
        assert (tcp.subject, tcp.ok) == (f"tcp localhost:{port}", True)
        (only,) = await examine(Endpoint("127.0.0.1", port))  # an address needs no name
        assert only.detail.startswith("connected in")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "..", "no\x00name"])
async def test_a_name_that_leads_nowhere(host):
    finding = bad(await examine(Endpoint(host, 443, within=20)))
    assert finding.subject == f"name {host}"
    assert "name" in finding.detail
    assert "name servers" in finding.fix


async def test_a_port_where_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    finding = bad(await examine(Endpoint("127.0.0.1", port)))
    assert finding.subject == f"tcp 127.0.0.1:{port}"
    assert finding.detail == "connection refused"
    assert "listens on this port" in finding.fix


async def test_a_port_that_never_answers():
    """The queue of connections is full, so the kernel drops further ones, as a firewall does."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
            waiting.append(one)
        try:
            finding = bad(await examine(Endpoint("127.0.0.1", deaf.getsockname()[1], within=0.3)))
        finally:
            for one in waiting:
                one.close()
    assert finding.detail == "no answer within 0.3 s"
    assert "firewalls" in finding.fix


async def test_the_second_address_of_a_name_is_tried(monkeypatch):
    async with listening() as port:
        loop = asyncio.get_running_loop()

        async def two(*_, **__):
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("127.0.0.2", 1)), (*kind, ("127.0.0.1", port))]

        monkeypatch.setattr(loop, "getaddrinfo", two)
        name, tcp = await examine(Endpoint("both.example", port))
        assert (name.detail, tcp.ok) == ("127.0.0.2, 127.0.0.1", True)


async def test_through_a_proxy_the_proxy_is_what_is_tried(monkeypatch):
    async with listening() as port:
        proxied = HttpConfig(proxy=f"http://127.0.0.1:{port}")
        findings = await examine(Endpoint("siem.example", 443, TlsConfig(), proxied))
        assert [finding.subject for finding in findings] == [f"proxy tcp 127.0.0.1:{port}", "proxy"]
        assert all(finding.ok for finding in findings)
        assert "siem.example:443" in findings[1].detail
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert len(await examine(Endpoint("siem.example", 443, TlsConfig(), HttpConfig()))) == 2
    finding = bad(await examine(Endpoint("siem.example", 443, TlsConfig(), proxied)))
    assert finding.subject.startswith("proxy tcp")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    assert "HTTPS_PROXY" in bad(await examine(Endpoint("siem.example", 443, TlsConfig(), HttpConfig()))).fix


# ------------------------------------------------------------------------------------------------------------- TLS


async def test_a_good_certificate_says_how_long(authority, trusting):
    leaf = authority.issue_cert("localhost", not_after=NOW + timedelta(days=90, hours=1))
    async with listening(server_context(leaf)) as port:
        _, _, tls, certificate = await examine(Endpoint("localhost", port, trusting))
        assert (tls.detail, tls.ok, tls.fix) == ("TLSv1.3", True, "")
        assert (certificate.ok, certificate.fix) == (True, "")
        assert "90 days" in certificate.detail


async def test_a_certificate_that_ends_soon_is_pointed_out(authority, trusting):
    leaf = authority.issue_cert("localhost", not_after=NOW + timedelta(days=10, hours=1))
    async with listening(server_context(leaf)) as port:
        certificate = (await examine(Endpoint("localhost", port, trusting)))[-1]
        assert certificate.ok
        assert "10 days" in certificate.detail
        assert certificate.fix.startswith("Renew it before")


async def test_the_whole_chain_counts(authority, trusting):
    """The authority between ends in the year 3000; the server's own certificate outlives it."""
    between = authority.create_child_ca()
    leaf = between.issue_cert("localhost", not_after=datetime(3500, 1, 1, tzinfo=UTC))
    async with listening(server_context(leaf)) as port:
        certificate = (await examine(Endpoint("localhost", port, trusting)))[-1]
        assert "good until 3000-01-01" in certificate.detail
        assert "above the server's own" in certificate.detail
        assert "\x1b" not in certificate.detail


async def test_an_expired_certificate(authority, trusting):
    leaf = authority.issue_cert("localhost", not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=2))
    async with listening(server_context(leaf)) as port:
        finding = bad(await examine(Endpoint("localhost", port, trusting)))
        assert finding.subject == f"tls localhost:{port}"
        assert "has expired" in finding.detail
        assert f"{NOW - timedelta(days=2):%Y} GMT" in finding.detail
        assert "Renew" in finding.fix
        assert "\x1b" not in finding.detail
        unchecked = await examine(Endpoint("localhost", port, TlsConfig(verify=False)))
        assert "ended on" in bad(unchecked).detail


async def test_a_certificate_that_is_not_valid_yet(authority, trusting):
    leaf = authority.issue_cert("localhost", not_before=NOW + timedelta(days=2))
    async with listening(server_context(leaf)) as port:
        assert "clock of this machine" in bad(await examine(Endpoint("localhost", port, trusting))).fix


async def test_a_certificate_for_another_name(authority, trusting):
    leaf = authority.issue_cert("siem.example", "other.example")
    async with listening(server_context(leaf)) as port:
        finding = bad(await examine(Endpoint("localhost", port, trusting)))
        assert "for siem.example, other.example" in finding.detail
        assert "the name that the certificate was made for" in finding.fix


async def test_an_unknown_authority(trusting):
    leaf = trustme.CA(organization_name="Theirs").issue_cert("localhost")
    async with listening(server_context(leaf)) as port:
        finding = bad(await examine(Endpoint("localhost", port, trusting)))
        assert "Theirs" in finding.detail
        assert "tls.ca_file" in finding.fix


async def test_a_certificate_that_nobody_checks_is_pointed_out():
    leaf = trustme.CA().issue_cert("elsewhere.example")
    async with listening(server_context(leaf)) as port:
        findings = await examine(Endpoint("localhost", port, TlsConfig(verify=False)))
        assert all(finding.ok for finding in findings)
        assert "not checked" in findings[2].detail
        assert "verify: true" in findings[2].fix


async def test_a_port_that_speaks_no_tls(trusting):
    async with listening(says=b"220 hello\r\n") as port:
        finding = bad(await examine(Endpoint("localhost", port, trusting)))
        assert "does not speak TLS" in finding.detail
        assert "another port" in finding.fix


@pytest.mark.parametrize("drops", [True, False])
async def test_a_port_that_hangs_up_or_is_silent_during_the_handshake(trusting, drops):
    async with listening(drops=drops) as port:
        finding = bad(await examine(Endpoint("localhost", port, trusting, within=0.5)))
        assert ("ended during" if drops else "no handshake within 0.5 s") in finding.detail
        assert "Check the port" in finding.fix


async def test_a_client_certificate_that_is_missing(authority, trusting):
    """With TLS 1.3 the refusal comes after the handshake, and the component's own probe sees it."""
    context = server_context(authority.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(context)

    def serve(server: socket.socket) -> None:  # asyncio's server would hang up without the alert
        connection, _ = server.accept()
        with connection, contextlib.suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        finding = bad(await examine(Endpoint("localhost", server.getsockname()[1], trusting)))
        thread.join()
    assert finding.fix == "Set tls.cert_file if it asks for a client certificate."


async def test_versions_that_do_not_meet(authority, trusting):
    context = server_context(authority.issue_cert("localhost"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(context) as port:
        finding = bad(await examine(Endpoint("localhost", port, trusting.model_copy(update={"min_version": "1.3"}))))
        assert "min_version" in finding.detail + finding.fix


async def test_tls_files_that_cannot_be_used(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    async with listening() as port:
        finding = bad(await examine(Endpoint("localhost", port, TlsConfig(ca_file=tmp_path / "ca.pem"))))
        assert finding.subject == "tls files"
        assert "tls.ca_file" in finding.fix


async def test_the_end_is_told_without_the_chain_where_python_has_no_chain(authority, trusting, monkeypatch):
    monkeypatch.setattr(network, "_CHAINS", ())
    leaf = authority.issue_cert("localhost", not_after=NOW + timedelta(days=10, hours=1))
    async with listening(server_context(leaf)) as port:
        assert "10 days" in (await examine(Endpoint("localhost", port, trusting)))[-1].detail
