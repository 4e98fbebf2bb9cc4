"""The two syslog daemons themselves: they start, take a record on every transport, and are found again."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress

import pytest

from tests.servers.syslog_daemons import Daemon

RECORD = b"<110>1 2026-01-31T10:00:00.000001Z host app - id-%b - hello %b"


@pytest.fixture(params=["rsyslog", "syslog_ng"])
def daemon(request: pytest.FixtureRequest) -> Daemon:
    found: Daemon = request.getfixturevalue(request.param)
    return found


def _send(daemon: Daemon, transport: str, record: bytes) -> None:
    address = ("127.0.0.1", daemon.ports[transport])
    if transport == "udp":
        with socket.socket(type=socket.SOCK_DGRAM) as opened:
            opened.sendto(record, address)
        return
    framed = record + b"\n" if transport == "lf" else b"%d %b" % (len(record), record)
    with socket.create_connection(address, 10) as opened:
        if transport not in {"tls", "mtls"}:
            opened.sendall(framed)
            return
        context = ssl.create_default_context(cafile=str(daemon.certificates.ca_file))
        context.load_cert_chain(str(daemon.certificates.client))
        with context.wrap_socket(opened, server_hostname="localhost") as stream:
            stream.sendall(framed)
            with suppress(ssl.SSLEOFError):  # syslog-ng leaves without a farewell
                stream.unwrap()


def _until(daemon: Daemon, msgid: str) -> dict[str, object]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for record in daemon.records():
            if record["msgid"] == msgid:
                return record
        time.sleep(0.02)
    raise AssertionError(f"{msgid} did not come: {(daemon.folder / 'internal.log').read_text()[-1000:]}")


def test_a_record_comes_over_every_transport_also_after_a_restart(daemon: Daemon) -> None:
    for life in (b"1", b"2"):
        for transport in daemon.ports:
            if transport in {"relp", "relps"}:
                continue  # takes a client of its own
            name = transport.encode() + life
            _send(daemon, transport, RECORD % (name, name))
            record = _until(daemon, f"id-{name.decode()}")
            assert (record["input"], record["pri"], str(record["msg"]).strip()) == (
                transport,
                "110",
                f"hello {name.decode()}",
            )
        daemon.restart()


def test_a_client_of_another_name_is_refused(daemon: Daemon) -> None:
    context = ssl.create_default_context(cafile=str(daemon.certificates.ca_file))
    context.load_cert_chain(str(daemon.certificates.stranger))
    with socket.create_connection(("127.0.0.1", daemon.ports["mtls"]), 10) as opened:
        try:
            with context.wrap_socket(opened, server_hostname="localhost") as stream:
                answer = stream.recv(1)
        except OSError as refused:
            answer = b""
            assert isinstance(refused, ssl.SSLError | ConnectionError)
        assert answer == b"", "it was let in"
