from __future__ import annotations

import errno
import socket

import pytest

from forwarder.contracts.errors import ConfigError
from forwarder.net.addresses import bound, is_loopback, parse_listen, reachable, reason_of


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost.", "a.localhost"]
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "",
        "127.0.0.1%x",
    ],
)
def test_other_machines_or_all_of_the_addresses(host: str) -> None:
    assert not is_loopback(host)


def test_what_listens_on_every_address_is_reached_by_loopback() -> None:
    assert [reachable(host) for host in ("0.0.0.0", "::", "::1", "a.example.com")] == [
        "127.0.0.1", "::1", "::1", "a.example.com",
    ]  # fmt: skip


def test_the_system_says_why() -> None:
    assert reason_of(socket.gaierror(socket.EAI_NONAME, "x")) == "the name is unknown"
    assert reason_of(socket.gaierror(socket.EAI_AGAIN, "x")) == "the name cannot be looked up"
    assert reason_of(UnicodeError()) == "the name is unknown"
    assert reason_of(OSError(errno.ECONNREFUSED, "x")) == "connection refused"
    assert reason_of(TimeoutError()) == "TimeoutError"


def test_an_address_that_is_taken_is_an_error_of_the_system_and_leaves_nothing_open() -> None:
    with bound("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bound("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize("listen", ["", ":1", "host", "::1:80", "[::1]80", "a:b:1", "host:65536", "host:-1"])
def test_what_is_not_an_address_is_an_error_that_names_the_setting(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"^sources\.push\.listen: "):
        parse_listen(listen, "sources.push.listen")
