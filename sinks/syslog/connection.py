"""One TCP connection, with or without TLS, that knows when it has ended and how much of it was taken.

Invariants: nothing is written after an end of the other side could be seen; what could not be written whole ends the
connection. asyncio's streams hide both from their user: an end that has arrived shows only a turn of the loop later,
and a flushed writer may still hold 64 KiB. So this drives the socket itself, TLS through `ssl.MemoryBIO`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Self

from forwarder.contracts import Retryable, TlsConfig
from forwarder.net.addresses import reason_of
from forwarder.net.http import build_ssl_context, explain
from sinks.syslog.address import Place, Times, connect

_CHUNK = 64 * 1024
_MOST_CHUNKS = 16
"""Most that is read at once, in chunks: nothing that speaks a protocol of ours says more, and one that floods us would
never let go otherwise."""
_GOODBYE = 2.0
"""Longest time to wait for the other side when a good connection is closed, seconds."""

# struct tcp_info of Linux: eight bytes, 24 words, two rates, then how many bytes the other side acknowledged; the one
# of opening the connection counts too.
_BYTES_ACKED = 120


class Taken(NamedTuple):
    """How many bytes the other side's system acknowledged, and how many it has not yet."""

    acknowledged: int
    waiting: int


class Pipe:
    """A connection that is open. `open` makes one."""

    def __init__(self, place: Place, sock: socket.socket, silence: float) -> None:
        self._place = place
        self._sock = sock
        self.silence = silence
        self._tls: ssl.SSLObject | None = None
        self._end: Retryable | None = None
        self._written = 0
        self._unsaid = self._acknowledged() or 0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    @classmethod
    async def open(cls, place: Place, tls: TlsConfig | None, times: Times, *, settle: float = 0.0) -> Self:
        """Look up, connect, shake hands.

        Args:
            place: Where to.
            tls: Settings of TLS; None speaks in the clear.
            times: Longest waits.
            settle: Shortest time to wait after a TLS handshake for a refusal of our certificate: with TLS 1.3 that
                comes after what looks like a good handshake (RFC 8446 4.4.2.4).

        Raises:
            Retryable: No connection, or no trust between the two.
            Held: A TLS file cannot be used.
        """
        context = build_ssl_context(tls) if tls is not None else None
        try:
            async with asyncio.timeout(times.connect):
                pipe = cls(place, await connect(place), times.silence)
        except TimeoutError:
            raise Retryable(f"{place}: no connection within connect_timeout", kind="timeout") from None
        pipe._prepare()
        if context is not None:
            try:
                await pipe._shake_hands(context, times.connect, settle)
            except BaseException:
                pipe.abort()
                raise
        return pipe

    @property
    def version(self) -> str:
        """Version of TLS, or empty."""
        return (self._tls.version() or "") if self._tls is not None else ""

    # ------------------------------------------------------------------------------------------------------- writing

    async def write(self, content: bytes) -> None:
        """Hand all of it to the system. Raises Retryable when that cannot be; the connection is no good then."""
        if self._tls is None:
            await self._push(content)
            return
        for start in range(0, len(content), _CHUNK):
            try:
                self._tls.write(content[start : start + _CHUNK])
            except ssl.SSLError as error:
                raise self._failure(error) from None
            await self._push(self._outgoing.read())

    async def _push(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            try:
                sent = self._sock.send(rest[:_CHUNK])
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await self._wait(loop.add_writer, loop.remove_writer, self.silence)
            except OSError as error:
                raise self._failure(error) from None
            else:
                self._written += sent
                rest = rest[sent:]

    def taken(self) -> Taken | None:
        """Say how far the other side's system has come; None where this system does not tell.

        One look: what waits is what we wrote and is not acknowledged, so the two always add up to what was written.
        """
        acknowledged = self._acknowledged()
        if acknowledged is None:
            return None
        acknowledged = min(acknowledged - self._unsaid, self._written)
        return Taken(acknowledged, self._written - acknowledged)

    def _acknowledged(self) -> int | None:
        """Return what the system counts as acknowledged since the connection is."""
        try:
            facts = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
        except (OSError, AttributeError):
            return None
        return int.from_bytes(facts[_BYTES_ACKED:], sys.byteorder) if len(facts) == _BYTES_ACKED + 8 else None

    # ------------------------------------------------------------------------------------------------------- reading

    def look(self) -> bytes:
        """Return what has arrived, at most 1 MiB, without waiting. Raises Retryable when the other side has ended."""
        found = b""
        for _ in range(_MOST_CHUNKS):
            if self._end is not None:
                break
            try:
                arrived = self._sock.recv(_CHUNK)
            except BlockingIOError:
                return found
            except OSError as error:
                self._end = self._failure(error)
                break
            found += self._decrypt(arrived) if self._tls is not None else arrived
            if not arrived:
                self._end = self._end or self._over()
        if found or self._end is None:  # what was said before the end counts; the end is told next time
            return found
        raise self._end

    async def read(self, within: float | None = None) -> bytes:
        """Wait for something to arrive and return it. Raises Retryable at the end, and after a long silence.

        Args:
            within: Seconds to wait; default: `silence`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + (self.silence if within is None else within)
        while not (found := self.look()):
            await self._wait(loop.add_reader, loop.remove_reader, end - loop.time())
        return found

    def _decrypt(self, arrived: bytes) -> bytes:
        tls = self._tls
        assert tls is not None  # noqa: S101 -- asked for with TLS only
        if arrived:
            self._incoming.write(arrived)
        else:
            self._incoming.write_eof()
        found = b""
        try:
            while piece := tls.read(_CHUNK):
                found += piece
        except ssl.SSLWantReadError:
            return found
        except ssl.SSLError as error:
            self._end = self._failure(error)
        else:
            self._end = self._over()
        return found

    # ------------------------------------------------------------------------------------------------------- opening

    def _prepare(self) -> None:
        """Let the system notice a machine that vanished, and hold back no small record."""
        options = [
            (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
            (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
            (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
            (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
            (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
            (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", max(1000, int(self.silence * 1000))),
        ]
        for level, name, value in options:
            with suppress(OSError, AttributeError):  # what a system does not have is not worth a refusal
                self._sock.setsockopt(level, getattr(socket, name), value)

    async def _shake_hands(self, context: ssl.SSLContext, within: float, settle: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._place.host)
        while not self._shaken():
            await self._push(self._outgoing.read())
            await self._wait(loop.add_reader, loop.remove_reader, began + within - loop.time())
            try:
                arrived = self._sock.recv(_CHUNK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._failure(error) from None
            if not arrived:
                fix = "check the port and tls.min_version, or it wants a client certificate (tls.cert_file)"
                raise Retryable(f"{self._place} ended the connection during the TLS handshake; {fix}", kind="tls")
            self._incoming.write(arrived)
        await self._push(self._outgoing.read())
        # A refusal is one more way there and back; a far or busy server gets more time than a near one.
        end = loop.time() + max(settle, 4 * (loop.time() - began)) if settle else 0.0
        while (left := end - loop.time()) > 0:
            with suppress(Retryable):
                await self._wait(loop.add_reader, loop.remove_reader, left)
            self._look_for_refusal()

    def _look_for_refusal(self) -> None:
        try:
            self.look()
        except Retryable as error:
            if error.kind == "tls":
                raise
            fix = "it may want a client certificate, or another one (tls.cert_file)"
            raise Retryable(f"{self._place} ended the connection after the TLS handshake; {fix}", kind="tls") from None

    def _shaken(self) -> bool:
        assert self._tls is not None  # noqa: S101 -- made by the caller
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            with suppress(OSError):  # tell the other side why; it is no harm when that fails
                self._sock.send(self._outgoing.read())
            raise self._failure(error) from None
        return True

    # ------------------------------------------------------------------------------------------------------- ending

    async def close(self) -> None:
        """End in order: say so, let the other side read all of it and end too, within a short time."""
        with suppress(Retryable, OSError, ssl.SSLError):
            if self._tls is not None:
                with suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                async with asyncio.timeout(_GOODBYE):
                    await self._push(self._outgoing.read())
            self._sock.shutdown(socket.SHUT_WR)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(_GOODBYE):
                for _ in range(_MOST_CHUNKS):
                    await self._wait(loop.add_reader, loop.remove_reader, _GOODBYE)
                    if not self._sock.recv(_CHUNK):
                        break
        self.abort()

    def abort(self) -> None:
        """End at once. Safe to call twice.

        What arrived is read first: closing over it would make a reset, and that may cost the other side what it has not
        read yet.
        """
        with suppress(OSError):
            for _ in range(_MOST_CHUNKS):
                if not self._sock.recv(_CHUNK):
                    break
        if self._sock.fileno() >= 0:
            loop = asyncio.get_running_loop()  # somebody may wait for it
            loop.remove_reader(self._sock)
            loop.remove_writer(self._sock)
        self._sock.close()

    # --------------------------------------------------------------------------------------------------- small things

    async def _wait(self, add: Callable[..., Any], remove: Callable[..., Any], seconds: float) -> None:
        """Wait until the socket is ready. Nothing is lost when this is cancelled or late: it only looks."""
        ready = asyncio.get_running_loop().create_future()

        def note() -> None:
            if not ready.done():
                ready.set_result(None)

        add(self._sock, note)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await ready
        except TimeoutError:
            raise Retryable(f"{self._place}: silent for too long", kind="timeout") from None
        finally:
            if self._sock.fileno() >= 0:
                remove(self._sock)

    def _failure(self, error: OSError) -> Retryable:
        """Return a failure by its kind, in our own words."""
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return self._over()
        if isinstance(error, ssl.SSLError):
            return Retryable(f"{self._place}: {explain(error)}", kind="tls")
        return Retryable(f"{self._place}: {reason_of(error)}", kind="reset")

    def _over(self) -> Retryable:
        return Retryable(f"{self._place} has ended the connection", kind="reset")
