"""Syslog over UDP: one datagram a message (RFC 5426 3.1), and no answer at all.

Invariant: accepted means that the system took the datagram. A message that no datagram can carry is refused; that
no one listens is noticed where the network says so, and only for what was sent just before.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from forwarder.contracts import Delivery, Record, Rejection, Retryable
from forwarder.net.addresses import reason_of
from sinks.syslog.address import Place, Times, look_up

OBJECTION = 0.01
"""Seconds in which the network may object to the last messages before they count as accepted: that no one listens is
an answer of its own (ICMP), also within this machine, and under load it came after the whole batch was sent."""


class DatagramSlot:
    """The socket of one slot.

    Args:
        place: Where to send to.
        times: Longest waits.
        rate: Most messages a second.
    """

    def __init__(self, place: Place, times: Times, rate: int) -> None:
        self._place = place
        self._times = times
        self._rate = rate
        self._burst = max(1, rate // 50)
        self._sock: socket.socket | None = None

    async def send(self, messages: Sequence[bytes], records: Sequence[Record]) -> Delivery:
        """Send each message; refuse what is too long for the network. Raises Retryable."""
        sock = self._sock = self._sock or await connected(self._place, self._times)
        too_long: dict[int, Rejection] = {}
        sent = False
        try:
            for position, message in enumerate(messages):
                try:
                    await self._one(sock, message)
                except OSError as error:
                    if error.errno != errno.EMSGSIZE:
                        raise
                    too_long[position] = Rejection("too_large", "longer than a datagram can be on this way")
                sent = True
                if position % self._burst == self._burst - 1:
                    await asyncio.sleep(self._burst / self._rate)
            await asyncio.sleep(OBJECTION)
            objection = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # what became of the last ones
        except OSError as error:
            objection = error.errno or errno.EIO
        if objection:
            self._drop()
            reason = "no program listens there" if objection == errno.ECONNREFUSED else os.strerror(objection).lower()
            # No event's text can make a network object, so none is suspected.
            raise Retryable(f"{self._place}: {reason}", kind="connection", sent=sent, suspect=False)
        return Delivery(accepted=[n for n in range(len(records)) if n not in too_long], rejected=too_long)

    async def _one(self, sock: socket.socket, message: bytes) -> None:
        with suppress(BlockingIOError):
            sock.send(message)
            return
        try:
            async with asyncio.timeout(self._times.silence):
                await asyncio.get_running_loop().sock_sendall(sock, message)  # one datagram, when there is room
        except TimeoutError:
            raise OSError(errno.ENOBUFS, "no room") from None

    async def close(self) -> None:
        """Close the socket. Safe to call twice."""
        self._drop()

    def _drop(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


async def connected(place: Place, times: Times) -> socket.socket:
    """Return a socket that knows its other side, so that the network's objections come back. Raises Retryable."""
    try:
        async with asyncio.timeout(times.connect):
            found = await look_up(place, socket.SOCK_DGRAM)
    except TimeoutError:
        raise Retryable(f"{place}: the name was not looked up within connect_timeout", kind="timeout") from None
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(0)
        sock.connect(address)
    except OSError as error:
        sock.close()
        raise Retryable(f"{place} cannot be reached: {reason_of(error)}", kind="connection") from None
    return sock
