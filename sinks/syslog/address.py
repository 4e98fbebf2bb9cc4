"""Where a syslog receiver is, and the way to its address: names, sockets, and plain words for what fails."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, NamedTuple

import msgspec

from forwarder.contracts import Retryable
from forwarder.net.addresses import reason_of


class Place(NamedTuple):
    """Where to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Times(msgspec.Struct, frozen=True):
    """Longest waits in seconds: for a connection, and for the other side to take or say anything."""

    connect: float
    silence: float


async def connect(place: Place) -> socket.socket:
    """Return a socket that is connected, after trying every address of the host in turn. Raises Retryable."""
    loop = asyncio.get_running_loop()
    reason = "no address"
    for family, kind, protocol, _, address in await look_up(place, socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(0)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            reason = reason_of(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise Retryable(f"{place} cannot be reached: {reason}", kind="connection")


async def look_up(place: Place, kind: socket.SocketKind) -> list[Any]:
    """Return the addresses of a host, as `socket.getaddrinfo` does. Raises Retryable."""
    try:
        return await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=kind)
    except (socket.gaierror, UnicodeError) as error:
        raise Retryable(f"{place} cannot be reached: {reason_of(error)}", kind="connection") from None
