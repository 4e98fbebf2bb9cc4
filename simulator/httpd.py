"""A small HTTP/1.1 server that can misbehave on purpose; the ground under the simulator and the receivers.

Invariant: a request reaches the handler only when it is complete, one at a time on each connection, and what the
handler answers goes out unchanged, or broken exactly as its `Wire` says. Requests are parsed by h11; answers are
written by hand, because h11 rightly refuses to write wrong ones.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, cast

import h11

from simulator.http_types import Body, Handler, Request, Response, Wire
from simulator.kept_port import KeptPort

if TYPE_CHECKING:
    import ssl as ssl_module

__all__ = ["Body", "Handler", "Request", "Response", "Server", "Wire"]

log = logging.getLogger(__name__)

_HEAD_LIMIT = 256 * 1024  # cursors are long, and someone may well send them twice
_ABORTING = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: closing sends RST
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class _Connection(asyncio.Protocol):
    """One connection: collects a request, runs the handler, writes the answer, begins again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)  # set before anything else is called
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)
        self._head: h11.Request | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._number = 0

    # ------------------------------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._number = self._server.admit(self)
        if not self._server.listening:  # accepted before `close`, and come to us after it
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._parser.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        # A client that shuts down its half after the request still wants the answer.
        return self._task is not None

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # how a client leaves is its own business
        self._gone.set()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()
        self._server.dismiss(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -------------------------------------------------------------------------------------------------- requests

    def _advance(self) -> None:
        """Take what the parser has; at the end of a request stop reading and start the handler."""
        if self._task is not None:
            return
        try:
            self._parse()
        except h11.RemoteProtocolError as error:
            self._write(Response(error.error_status_hint, {"content-type": "text/plain"}, str(error).encode()), "close")
            self._transport.close()

    def _parse(self) -> None:
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.Data):
                self._size += len(event.data)
                if self._size <= self._server.max_body:
                    self._chunks.append(event.data)
                else:
                    self._chunks.clear()  # read on and forget: closing on unread bytes would reset the answer away
            elif isinstance(event, h11.Request):
                self._head = event
                if self._parser.they_are_waiting_for_100_continue:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.EndOfMessage):
                self._transport.pause_reading()
                self._task = asyncio.get_running_loop().create_task(self._answer())
                return
            else:  # NEED_DATA, PAUSED, ConnectionClosed
                return

    def _request(self) -> Request:
        head = self._head
        assert head is not None  # noqa: S101 - the parser gives EndOfMessage only after Request
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        peer = self._transport.get_extra_info("peername") or ("", 0)
        tls = self._transport.get_extra_info("ssl_object")
        return Request(
            head.method.decode("ascii"),
            head.target.decode("latin-1"),
            headers,
            b"".join(self._chunks),  # always bytes: what h11 gives is a bytearray
            (peer[0], peer[1]),
            self._number,
            tls.getpeercert() if tls is not None else None,
        )

    async def _answer(self) -> None:
        request = self._request()
        keep = self._keeps(request)
        self._server.requests += 1
        if self._size > self._server.max_body:
            response = Response(413, {"content-type": "text/plain"}, b"the body is too large")
        else:
            try:
                response = await self._server.handler(request)
            except Exception as error:  # the handler is a test double: its bug must be seen, not hang a client
                log.exception("handler_failed")
                self._server.failures.append(error)
                response = Response(500, {"content-type": "text/plain"}, repr(error).encode(), close=True)
        keep = keep and not response.close
        if response.misbehave is not None:
            await self._misbehave(request, response, response.misbehave, keep)
        else:
            self._write(response, "keep-alive" if keep else "close", bodiless=request.method == "HEAD")
        await self._writable.wait()
        if keep and not self._gone.is_set() and not self._transport.is_closing():
            self._begin_again()
        else:
            self._transport.close()

    def _keeps(self, request: Request) -> bool:
        head = self._head
        wishes = request.headers.get("connection", "").lower()
        return "close" not in wishes and (head is None or head.http_version != b"1.0" or "keep-alive" in wishes)

    def _begin_again(self) -> None:
        rest, closed = self._parser.trailing_data
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)
        self._head, self._chunks, self._size, self._task = None, [], 0, None
        if closed:
            self._transport.close()
            return
        self._transport.resume_reading()
        if rest:
            self.data_received(rest)

    # --------------------------------------------------------------------------------------------------- answers

    def _lines(self, response: Response, connection: str) -> bytes:
        pairs = response.headers.items() if isinstance(response.headers, dict) else response.headers
        size = len(response.body) if isinstance(response.body, bytes) else sum(map(len, response.body))
        given = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        status = f"{response.status} {_REASONS.get(response.status, 'Unknown')}"
        # A 304 and a 204 have no body and must not have a length.
        length = "" if response.status in {204, 304} else f"content-length: {size}\r\n"
        return f"HTTP/1.1 {status}\r\n{given}{length}connection: {connection}\r\n\r\n".encode("latin-1")

    def _write(self, response: Response, connection: str, *, bodiless: bool = False) -> None:
        head = self._lines(response, connection)
        if bodiless:
            self._transport.write(head)
        else:
            pieces = [response.body] if isinstance(response.body, bytes) else response.body
            # Not writelines: since Python 3.12 a piece without bytes stays in its buffer, and the loop spins on it.
            self._transport.write(b"".join([head, *pieces]))

    async def _misbehave(self, request: Request, response: Response, wire: Wire, keep: bool) -> None:
        self._transport.set_write_buffer_limits(high=0)  # so that `_flushed` means handed to the kernel
        if wire.delay:
            await asyncio.sleep(wire.delay)
        if wire.garbage is not None:
            self._transport.write(wire.garbage)
            await self._writable.wait()
            await self._end(wire)
            return
        if wire.stop_at is not None and wire.stop_at < 0:
            await self._end(wire)
            return
        self._transport.write(self._lines(response, "keep-alive" if keep else "close"))
        body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        if request.method == "HEAD":
            body = b""
        await self._send_slowly(body if wire.stop_at is None else body[: wire.stop_at], wire)
        if wire.stop_at is not None:
            await self._end(wire)
        self._transport.set_write_buffer_limits()

    async def _send_slowly(self, body: bytes, wire: Wire) -> None:
        step = wire.drip or len(body) or 1
        stalled = wire.stall_at is None
        position = 0
        while position < len(body) and not self._transport.is_closing():
            end = min(position + step, len(body))
            if not stalled and wire.stall_at is not None and end > wire.stall_at:
                end = max(wire.stall_at, position)
            self._transport.write(body[position:end])
            await self._writable.wait()
            if not stalled and wire.stall_at == end:
                stalled = True
                await asyncio.sleep(wire.stall)
            elif wire.drip:
                await asyncio.sleep(wire.pause)
            position = end

    async def _end(self, wire: Wire) -> None:
        await self._writable.wait()
        if wire.ending == "reset":
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTING)
            self._transport.abort()
        elif wire.ending == "half_close" and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()  # only to see the other side leave
            await self._gone.wait()
        else:
            self._transport.close()

    async def abort(self) -> None:
        """End at once, whatever is going on, and wait until it has ended."""
        task = self._task
        self._transport.abort()
        await self._gone.wait()
        if task is not None and task is not asyncio.current_task():
            await asyncio.wait({task})


class Server:
    """Serve `handler` on one port.

    Args:
        handler: Called with each complete request; its exceptions become a 500 and are kept in `failures`.
        host: Address to listen on.
        port: 0 takes a free one.
        ssl: Context for TLS, or None.
        max_body: Larger request bodies are answered with 413 and never reach the handler.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: ssl_module.SSLContext | None = None,
        max_body: int = 256 * 1024 * 1024,
    ) -> None:
        self.handler = handler
        self.max_body = max_body
        self.requests = 0
        self.connections = 0
        self.failures: list[Exception] = []
        self._address = (host, port)
        self.ssl = ssl
        self._listener: asyncio.Server | None = None
        self._kept = KeptPort()
        self._open: set[_Connection] = set()

    @property
    def port(self) -> int:
        """Return the port that is listened on, also after `close`, so that a restart can take it again."""
        return self._address[1]

    @property
    def listening(self) -> bool:
        """Say whether connections are taken."""
        return self._listener is not None

    @property
    def url(self) -> str:
        """Return scheme, host and port, without a slash at the end."""
        return f"{'https' if self.ssl else 'http'}://{self._address[0]}:{self.port}"

    async def start(self) -> None:
        """Listen. After `close` it may be called again and takes the same port."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        self._listener = await loop.create_server(lambda: _Connection(self), host, port, ssl=self.ssl, backlog=512)
        self._address = (host, self._listener.sockets[0].getsockname()[1])
        self._kept.release()

    async def close(self) -> None:
        """Stop listening and cut every connection, also those that are still in the queue. Safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        family = listener.sockets[0].family
        listener.close()
        self._kept.keep(family, self._address)
        # No wait_closed: since Python 3.12 it waits for connections that this cannot see, those in a TLS handshake.
        while self._open:
            await next(iter(self._open)).abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def admit(self, connection: _Connection) -> int:
        """Count a new connection and remember it until it is gone."""
        self.connections += 1
        self._open.add(connection)
        return self.connections

    def dismiss(self, connection: _Connection) -> None:
        """Forget a connection that is gone."""
        self._open.discard(connection)
