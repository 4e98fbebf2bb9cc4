"""Addresses of machines: how one is written, whether it is this machine, how to listen there, and why it cannot be had.

What the system says is made into a few words here and nowhere else; what to do about it is said where it is shown.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket

from forwarder.contracts.errors import ConfigError

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_LONGEST_HOST = 254
_HIGHEST_PORT = 65535
_LONGEST_PORT = 5
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def parse_listen(listen: str, setting: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`. Raises ConfigError that names the setting."""
    host, colon, port = listen.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good = colon and bare and (bare == host) == (":" not in bare) and port.isascii() and port.isdigit()
    good = good and len(port) <= _LONGEST_PORT
    if not good or int(port) > _HIGHEST_PORT:
        raise ConfigError(
            f"{setting}: {listen!r} is not an address; write host:port, such as 127.0.0.1:9464 or [::1]:9464"
        )
    return bare, int(port)


def is_host(text: str) -> bool:
    """Tell whether a text can be the address or the name of a machine."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        # An address of fewer or larger parts is no name either: its last label is a number (RFC 3696, section 2).
        number = text.rstrip(".").rpartition(".")[2].isdigit()
        return bool(_HOST.fullmatch(text)) and not number and len(text) <= _LONGEST_HOST
    return True


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a host, by its name or address alone."""
    try:
        address = ipaddress.ip_address(host)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == "localhost" or name.endswith(".localhost")


def reachable(host: str) -> str:
    """Return the address under which this machine reaches what listens on a host: that of loopback for all of them."""
    return _EVERY_ADDRESS.get(host, host)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket on an address of this machine that does not listen yet. Raises OSError or ValueError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


def reason_of(error: OSError | UnicodeError) -> str:
    """Say why a name or an address cannot be had, as the system says it, in lower case."""
    if isinstance(error, UnicodeError):
        return "the name is unknown"
    if isinstance(error, socket.gaierror):
        return "the name is unknown" if error.errno == socket.EAI_NONAME else "the name cannot be looked up"
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__
