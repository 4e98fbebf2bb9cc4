"""HTTP/1.1 over one connection of our own, beneath httpx: requests, URLs, proxies and errors are httpx's.

h11 writes and reads heads, and reads bodies in chunks; a body by its length, which nearly all are, is taken from the
socket as it comes. Invariants: a connection serves the next request only when both sides have said all of this one and
nothing more (RFC 9112, section 9.3); a request is never sent twice; what comes before a body has a limit.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import h11

from forwarder.contracts.imports import without
from forwarder.net.dial import dial
from forwarder.net.wire import Wire

with without("httpx._main"):  # its command line, with click, pygments and rich
    import httpx

_LONGEST_HEAD = 100 * 1024  # of one that is not whole yet; a whole one may have a PIECE more
_LONGEST_HEADS = 256 * 1024  # with all that comes before the answer (1xx)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_BODILESS = {204, 304}

_Headers = list[tuple[bytes, bytes]]


class Course:
    """How far a request has come, whether it ended well or not. It is the request's extension `course`.

    Attributes:
        sent: It may have had its effect.
        handshaking: A TLS handshake was not finished.
        tunnelled: The handshake is, or was, with the server behind a proxy and not with the proxy.
    """

    __slots__ = ("handshaking", "sent", "tunnelled")

    def __init__(self) -> None:
        self.sent = self.handshaking = self.tunnelled = False


class OneConnection(httpx.AsyncBaseTransport):
    """Keeps a connection to one server, or to one proxy before it, and makes another when it is no good any more.

    It takes one request at a time, until its answer is read or closed.

    Args:
        context: TLS for a server with https.
        proxy: The way there; its TLS context serves for a proxy that speaks TLS.
        keep: Seconds an idle connection is kept.
    """

    def __init__(self, *, context: ssl.SSLContext | None, proxy: httpx.Proxy | None, keep: float) -> None:
        self._context = context
        self._proxy = proxy
        self._keep = keep
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._idle_since: float | None = None  # None while a request has it
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the head of its answer, with the body to be read.

        Needs the extensions `timeout`, as httpx makes it, and `course`.

        Raises httpx.TransportError of the kind that httpx's own transport would.
        """
        course: Course = request.extensions["course"]
        times: dict[str, float] = request.extensions["timeout"]
        exchange = _Exchange()
        message = self._message(exchange, request)
        wire = self._kept() or await self._connect(request.url, times, course)
        self._wire, self._idle_since = wire, None
        wire.silence = times["read"]
        try:
            course.sent = True
            head, is_sent = await exchange.ask(wire, message)
        except BaseException:
            wire.close()
            raise
        body = _Body(self, wire, exchange.parser, _length(request.method, head), is_kept=is_sent)
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)

    async def aclose(self) -> None:
        """Close the connection at once; a request under way fails. Safe to call twice."""
        self._is_closed = True
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def keep(self, wire: Wire) -> None:
        """Take a connection back that is good for another request."""
        if wire is self._wire:
            self._idle_since = self._loop.time()

    def _kept(self) -> Wire | None:
        """Return the connection of the request before, when it is still good; what a server said unasked is not."""
        wire, since = self._wire, self._idle_since
        if wire is None:
            return None
        if since is not None and self._loop.time() - since <= self._keep and wire.is_quiet():
            return wire
        wire.close()
        self._wire = None
        return None

    def _message(self, exchange: _Exchange, request: httpx.Request) -> bytes:
        """Return the request as bytes; through a proxy in absolute form when in the clear (RFC 9112, section 3.2.2)."""
        headers, target, url = request.headers.raw, request.url.raw_path, request.url
        if self._proxy is not None and url.scheme == "http":
            own = {name.lower() for name, _ in headers}
            headers = [pair for pair in _headers_of(self._proxy) if pair[0].lower() not in own] + headers
            target = b"%b://%b%b" % (url.raw_scheme, url.netloc, target)
        return exchange.written(request.method, target, headers, request.content)

    # ----------------------------------------------------------------------------------------------------- connecting

    async def _connect(self, url: httpx.URL, times: dict[str, float], course: Course) -> Wire:
        proxy, is_secure, within = self._proxy, url.scheme == "https", times["connect"]
        first = url if proxy is None else proxy.url
        with _connecting():
            async with asyncio.timeout(within):
                wire = Wire(await dial(first.host, _port(first)), within)
        if self._is_closed:
            wire.close()
            raise httpx.ConnectError("closed meanwhile")
        self._wire, self._idle_since = wire, None
        try:
            if proxy is not None and first.scheme == "https":
                await self._secure(wire, proxy.ssl_context, first.host, within, course)
            if proxy is not None and is_secure:
                wire.silence = times["read"]
                await _tunnel(wire, proxy, f"[{url.host}]" if ":" in url.host else url.host, _port(url))
                course.tunnelled = True
            if is_secure:
                await self._secure(wire, self._context, url.host, within, course)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _secure(
        self, wire: Wire, context: ssl.SSLContext | None, name: str, within: float, course: Course
    ) -> None:
        assert context is not None  # noqa: S101 -- whoever names such a server or proxy gives one
        course.handshaking = True
        context.set_alpn_protocols(["http/1.1"])
        wire.silence = within
        with _connecting():
            async with asyncio.timeout(within):
                await wire.start_tls(context, name)
        course.handshaking = False


async def _tunnel(wire: Wire, proxy: httpx.Proxy, host: str, port: int) -> None:
    """Have the proxy connect us (RFC 9110, section 9.3.6)."""
    exchange, target = _Exchange(), f"{host}:{port}".encode("ascii")
    headers = [(b"Host", target), (b"Accept", b"*/*"), *_headers_of(proxy)]
    head, _ = await exchange.ask(wire, exchange.written("CONNECT", target, headers, b""))
    if not 200 <= head.status_code < 300:
        raise httpx.ProxyError(str(head.status_code))
    if exchange.parser.trailing_data[0]:
        raise httpx.RemoteProtocolError("the proxy speaks where the server should")


def _headers_of(proxy: httpx.Proxy) -> _Headers:
    headers = proxy.headers.raw
    if proxy.raw_auth is None:
        return headers
    return [(b"Proxy-Authorization", b"Basic " + base64.b64encode(b":".join(proxy.raw_auth))), *headers]


def _port(url: httpx.URL) -> int:
    return url.port or _DEFAULT_PORTS[url.scheme]


# ------------------------------------------------------------------------------------------------------ one exchange


class _Exchange:
    """One request and the head of its answer."""

    def __init__(self) -> None:
        self.parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._room = _LONGEST_HEADS

    def written(self, method: str, target: bytes, headers: _Headers, content: bytes) -> bytes:
        """Return a request as bytes. Raises httpx.LocalProtocolError, without a value, for what would not be one."""
        try:
            head = self.parser.send(h11.Request(method=method, target=target, headers=headers))
            body = self.parser.send(h11.Data(data=content)) if content else b""
            return b"".join((head, body, self.parser.send(h11.EndOfMessage())))
        except h11.LocalProtocolError:
            raise httpx.LocalProtocolError("the request cannot be written as HTTP") from None

    async def ask(self, wire: Wire, message: bytes) -> tuple[h11.Response, bool]:
        """Send a request and return the head of its answer, and whether all of the request was sent.

        A server may refuse what it has not read to its end (RFC 9112, section 9.5); nothing more is sent then. Any
        other answer is an answer only to a whole request.
        """
        head, is_sent = None, False
        with _errors_of(httpx.WriteError, httpx.WriteTimeout):
            wire.put(message)
            try:
                while not (is_sent := await wire.flush(watch=head is None)):
                    head = self._head(wire.look())
                    if wire.has_ended or (head is not None and head.status_code >= 300):
                        break
            except TimeoutError:
                raise
            except OSError:
                is_sent = False  # the answer may have come before the connection broke
        while head is None:
            with _errors_of(httpx.ReadError, httpx.ReadTimeout):
                arrived = await wire.receive()
            if not arrived:
                raise httpx.RemoteProtocolError("disconnected")
            head = self._head(arrived)
        return head, is_sent

    def _head(self, arrived: bytes) -> h11.Response | None:
        """Return the head of the answer once it is whole; hints before it (1xx) say nothing that we asked for."""
        if not arrived:
            return None
        with _not_http():
            self.parser.receive_data(arrived)
            while (event := self.parser.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    return event
        self._room -= len(arrived)
        if self._room < 0:
            raise httpx.RemoteProtocolError("not HTTP")
        return None


def _length(method: str, head: h11.Response) -> int | None:
    """Return how long a body is that says so itself, None for any other (RFC 9112, section 6.3; h11 checked both)."""
    if method == "HEAD" or head.status_code in _BODILESS:
        return None
    framing = {name: value for name, value in head.headers if name in (b"transfer-encoding", b"content-length")}
    return int(framing[b"content-length"]) if framing.keys() == {b"content-length"} else None


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes.

    Args:
        owner: Whose connection it is.
        wire: Where it comes from.
        parser: Which has read the head, and maybe more.
        length: Bytes that it has, or None when only the parser knows its end.
        is_kept: Whether the connection may serve another request then.
    """

    def __init__(
        self, owner: OneConnection, wire: Wire, parser: h11.Connection, length: int | None, *, is_kept: bool
    ) -> None:
        self._owner, self._wire, self._parser = owner, wire, parser
        self._left = length
        # One of the two heads may have said that the connection ends with this exchange (RFC 9112, section 9.6).
        self._is_kept = is_kept and parser.our_state is h11.DONE
        self._held = parser.trailing_data[0] if length is not None else b""
        self._is_whole = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = b"" if self._is_whole else await (self._parsed() if self._left is None else self._counted(self._left))
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Give the connection back when all was read, and end it otherwise."""
        if self._is_whole and self._is_kept:
            self._owner.keep(self._wire)
        else:
            self._wire.close()

    async def _counted(self, left: int) -> bytes:
        piece = self._held
        self._held = b""
        if left and not piece:
            piece = await self._received()
            if not piece:
                raise httpx.RemoteProtocolError("complete message body")
        self._is_kept = self._is_kept and len(piece) <= left
        piece = piece[:left]
        self._left = left - len(piece)
        self._is_whole = not self._left
        return piece

    async def _parsed(self) -> bytes:
        """Return what the parser finds next; it knows chunks, and bodies that end with the connection."""
        while True:
            with _not_http("complete message body" if self._wire.has_ended else "not HTTP"):
                event = self._parser.next_event()
            if event is h11.NEED_DATA:
                self._parser.receive_data(await self._received())
            elif isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            else:  # EndOfMessage
                self._is_whole = True
                said_more = bool(self._parser.trailing_data[0])
                self._is_kept = self._is_kept and self._parser.their_state is h11.DONE and not said_more
                return b""

    async def _received(self) -> bytes:
        with _errors_of(httpx.ReadError, httpx.ReadTimeout):
            return await self._wire.receive()


# ------------------------------------------------------------------------------------------------------------ errors


@contextmanager
def _errors_of(broken: type[httpx.TransportError], late: type[httpx.TransportError]) -> Iterator[None]:
    """Make what the system says into what httpx would say; a time-out of the system itself is a broken connection."""
    try:
        yield
    except OSError as error:
        is_late = isinstance(error, TimeoutError) and error.errno is None
        raise (late if is_late else broken)("") from error


@contextmanager
def _connecting() -> Iterator[None]:
    with _errors_of(httpx.ConnectError, httpx.ConnectTimeout):
        try:
            yield
        except UnicodeError as error:
            raise httpx.ConnectError("") from error


@contextmanager
def _not_http(meaning: str = "not HTTP") -> Iterator[None]:
    try:
        yield
    except h11.RemoteProtocolError:
        raise httpx.RemoteProtocolError(meaning) from None
