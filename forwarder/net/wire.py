"""One open TCP connection that a request and its answer go over, with as many layers of TLS as the way to it has.

It drives the socket itself, TLS through `ssl.MemoryBIO`: so an end of the other side is seen at once, an answer is read
while its request is still being sent, what came before a reset is not lost with it, and closing is done when `close`
returns, whoever was cancelled where. Invariant: no byte is read that no one waits for, so that a server that floods us
is held back by TCP.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

PIECE = 64 * 1024
"""Most bytes that are read at once. From some 128 KiB on the allocator asks the system for each anew, and every page of
it costs a fault: it doubles what reading a large answer costs."""

_RECORDS = 64 * 1024  # encrypted at once
_GREED = 1024 * 1024
"""Bytes read without waiting after which the loop has its turn: a fast server must not keep it from the others."""


class Wire:
    """An open connection: whoever has it sends, then receives, one at a time.

    Args:
        sock: Connected, not blocking; it is closed with the wire.
        silence: Seconds to wait for the other side to take something or to say something; may be changed.

    Attributes:
        has_ended: Whether the other side said its last, and all of it was received.
    """

    def __init__(self, sock: socket.socket, silence: float) -> None:
        self._sock = sock
        self._number = sock.fileno()
        self.silence = silence
        self._loop = asyncio.get_running_loop()
        self._layers: list[_Layer] = []
        self._held = b""  # received and not yet asked for
        self._plain, self._cipher = memoryview(b""), memoryview(b"")  # to be encrypted, to be sent
        self._waiter: asyncio.Future[bool] | None = None
        self._greed = 0
        self._speaks = False  # TLS itself has something to say
        self._fault: OSError | None = None
        self.has_ended = False

    # ------------------------------------------------------------------------------------------------------- sending

    def put(self, content: bytes) -> None:
        """Take what `flush` shall send; what was put before must have been sent."""
        self._plain = memoryview(content)

    async def flush(self, *, watch: bool) -> bool:
        """Hand what was put to the system.

        Args:
            watch: Stop and return False as soon as something may have come from the other side.

        Raises TimeoutError when nothing is taken for `silence`, and OSError when the connection is broken.
        """
        while self._cipher or self._plain:
            if not self._cipher:
                self._encrypt()
            try:
                sent = self._sock.send(self._cipher)
            except BlockingIOError:
                if await self._ready(read=watch, write=True):
                    return False
                continue
            self._cipher = self._cipher[sent:]
        return True

    def _encrypt(self) -> None:
        if not self._layers:
            self._cipher, self._plain = self._plain, self._cipher
            return
        piece, self._plain = self._plain[:_RECORDS], self._plain[_RECORDS:]
        self._cipher = memoryview(self._through(self._layers, bytes(piece)))

    @staticmethod
    def _through(layers: list[_Layer], content: bytes) -> bytes:
        for layer in reversed(layers):
            content = layer.encrypt(content)
        return content

    # ----------------------------------------------------------------------------------------------------- receiving

    async def receive(self) -> bytes:
        """Wait for something to come and return it; nothing at the end of the connection.

        Raises TimeoutError when nothing comes for `silence`, and OSError, also as ssl.SSLError, when it is broken.
        """
        while not (found := self.look()) and not self.has_ended:
            if self._speaks:  # TLS 1.2 may shake hands anew, and the other side waits for that
                self._speaks = False
                await self.flush(watch=False)
            await self._ready(read=True, write=False)
        self._greed += len(found)
        if self._greed > _GREED:
            self._greed = 0
            await asyncio.sleep(0)
        return found

    def look(self) -> bytes:
        """Return what has come, without waiting. Raises as `receive` does."""
        if self._held:
            found, self._held = self._held, b""
            return found
        if self.has_ended:
            return b""
        if self._fault is not None:
            raise self._fault
        try:
            found = self._sock.recv(PIECE)
        except BlockingIOError:
            return b""
        self.has_ended = not found
        return self._decrypt(found) if self._layers else found

    def is_quiet(self) -> bool:
        """Tell whether the connection is open and the other side has said nothing that was not asked for."""
        try:
            return not self.look() and not self.has_ended
        except OSError:
            return False

    def _decrypt(self, found: bytes) -> bytes:
        for layer in self._layers:
            found, fault, has_ended = layer.decrypt(found, is_last=self.has_ended)
            self.has_ended = self.has_ended or has_ended
            if fault is not None:
                self._fault, self.has_ended = fault, False
        for number, layer in enumerate(self._layers):
            if layer.outgoing.pending:
                said = self._through(self._layers[:number], layer.outgoing.read())
                self._cipher, self._speaks = memoryview(bytes(self._cipher) + said), True
        if not found and self._fault is not None:
            raise self._fault
        return found

    # ----------------------------------------------------------------------------------------------------------- TLS

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Put TLS over what there is, and shake hands.

        Raises ssl.SSLError, ConnectionError when the other side ends, or TimeoutError.
        """
        layer = _Layer(context, name)
        try:
            while not layer.is_shaken():
                await self._push(layer)
                found = await self.receive()
                if not found:
                    raise ConnectionResetError("ended during the TLS handshake")
                layer.incoming.write(found)
        except ssl.SSLError:
            with suppress(OSError):  # tell the other side why; it is no harm when that fails
                self._sock.send(self._through(self._layers, layer.outgoing.read()))
            raise
        await self._push(layer)
        self._layers.append(layer)
        self._held, self._fault, self.has_ended = layer.decrypt(b"", is_last=False)

    async def _push(self, layer: _Layer) -> None:
        self.put(layer.outgoing.read())
        await self.flush(watch=False)

    # ------------------------------------------------------------------------------------------------ waiting, closing

    async def _ready(self, *, read: bool, write: bool) -> bool:
        """Wait until the socket can be read or written; return whether it is the first."""
        if self._sock.fileno() < 0:
            raise ConnectionAbortedError("closed meanwhile")
        waiter = self._waiter = self._loop.create_future()
        if read:
            self._loop.add_reader(self._number, _settle, waiter, True)  # noqa: FBT003 -- an argument of a callback
        if write:
            self._loop.add_writer(self._number, _settle, waiter, False)  # noqa: FBT003 -- as above
        timer = self._loop.call_later(self.silence, _expire, waiter)
        try:
            return bool(await waiter)
        finally:
            timer.cancel()
            if self._waiter is waiter:
                self._forget()

    def _forget(self) -> None:
        self._waiter = None
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)

    def close(self) -> None:
        """End the connection at once; who waits for it fails. Safe to call twice."""
        waiter = self._waiter
        if waiter is not None:
            self._forget()
            if not waiter.done():
                waiter.set_exception(ConnectionAbortedError("closed meanwhile"))
        self._sock.close()


def _settle(waiter: asyncio.Future[bool], is_read: bool) -> None:
    if not waiter.done():
        waiter.set_result(is_read)


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class _Layer:
    """TLS as a function of bytes; who owns it moves them."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def is_shaken(self) -> bool:
        """Go on with the handshake and tell whether it is over."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, content: bytes) -> bytes:
        """Return the bytes to send, with what TLS itself has to say."""
        rest = memoryview(content)
        while rest:
            rest = rest[self._tls.write(rest) :]
        return self.outgoing.read()

    def decrypt(self, content: bytes, *, is_last: bool) -> tuple[bytes, ssl.SSLError | None, bool]:
        """Return what was said, what is wrong behind it, and whether the other side ended in order.

        An end without a goodbye is one, too: HTTP tells itself whether an answer is whole (RFC 9112, section 9.8).
        """
        self.incoming.write(content)
        if is_last:
            self.incoming.write_eof()
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(_RECORDS):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces), None, False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            return b"".join(pieces), error, False
        return b"".join(pieces), None, True
