"""Makes requests and reads their answers whole, and says in our own words what kind of failure one was.

Requests, URLs, proxies and errors are httpx's, beneath its client: so there are no redirects, no cookies, no `.netrc`,
no certifi and no URLs in logs that would have to be switched off. The connection is our own (`transport`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from forwarder.contracts import ErrorKind, HttpConfig, Retryable, TlsConfig
from forwarder.contracts.imports import without
from forwarder.net.addresses import reason_of
from forwarder.net.bodies import BodyReader
from forwarder.net.compression import Damaged, TooLong, TooShort
from forwarder.net.http import Response
from forwarder.net.tls import build_ssl_context, explain, refused_our_certificate
from forwarder.net.transport import Course, OneConnection
from forwarder.net.urls import proxy_of_environment

with without("httpx._main"):  # its command line, with click, pygments and rich
    import httpx

_E = TypeVar("_E", bound=BaseException)

# These only say that the connection ended or that more is awaited.
_NO_VERDICT = (ssl.SSLEOFError, ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLZeroReturnError)

_KEEP_IDLE = 45.0
"""Seconds an idle connection is kept: below the minute after which common load balancers drop it."""


class Exchange:
    """Requests and answers over one connection to one server, one after the other.

    Args:
        base: What is put before every path; it was checked.
        http: Times, proxy and the largest answer.
        tls: What to trust and who we are.
    """

    def __init__(self, base: str, http: HttpConfig, tls: TlsConfig) -> None:
        self._base = base
        parts = urlsplit(base)
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or (443 if self._scheme == "https" else 80)
        self._place = f"{self._host}:{self._port}"
        self._http = http
        self._tls = tls
        self._times = httpx.Timeout(http.read_timeout, connect=http.connect_timeout).as_dict()
        self._transport: OneConnection | None = None
        self._proxy = ""  # host and port of the one in use

    async def make(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        params: Mapping[str, str] | None,
        limit: int,
    ) -> Response:
        """Send a request and read its answer, of `limit` bytes at most.

        Raises:
            Retryable: The answer did not come whole.
            Held: A TLS file or a proxy cannot be used as configured.
        """
        course = Course()
        extensions = {"timeout": self._times, "course": course}
        request = httpx.Request(
            method, self._base + path, params=params, headers=headers, content=content, extensions=extensions
        )
        try:
            async with asyncio.timeout(self._http.total_timeout):
                return await self._answer(request, limit)
        except BaseException as error:
            await self.drop()
            if isinstance(error, httpx.TransportError | OSError):
                # `from None`: causes may carry headers, and what the other side chose to say.
                raise self._failure(error, course) from None
            raise

    async def drop(self) -> None:
        """Close the connection; the next request makes another. Safe to call twice."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def _answer(self, request: httpx.Request, limit: int) -> Response:
        transport = self._transport = self._transport or self._open()
        response = await transport.handle_async_request(request)
        headers = dict(response.headers)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 -- the asynchronous transport gives no other
        try:
            body = await self._read(stream, headers, limit)
        finally:
            await response.aclose()
        cookies = tuple(response.headers.get_list("set-cookie")) if "set-cookie" in headers else ()
        return Response(response.status_code, headers, body, cookies)

    async def _read(self, stream: httpx.AsyncByteStream, headers: Mapping[str, str], limit: int) -> bytes:
        reader = BodyReader(headers, limit)
        try:
            async for piece in stream:
                reader.feed(piece)
            return reader.finish()
        except TooLong:
            message = f"the answer of {self._place} is larger than {limit} bytes"
            raise Retryable(message, kind="too_large", sent=True) from None
        except TooShort:
            raise Retryable(f"the answer of {self._place} ends too early", kind="truncated", sent=True) from None
        except Damaged:
            raise Retryable(f"the answer of {self._place} is damaged", kind="truncated", sent=True) from None
        except LookupError:
            message = f"{self._place} compresses its answer in a way we did not ask for"
            raise Retryable(message, kind="other", sent=True) from None

    def _open(self) -> OneConnection:
        context = build_ssl_context(self._tls) if self._scheme == "https" else None
        proxy = self._http.proxy or proxy_of_environment(self._scheme, self._host, self._port)
        self._proxy = "" if proxy is None else urlsplit(proxy).netloc.rpartition("@")[2]
        through = None if proxy is None else httpx.Proxy(proxy, ssl_context=self._proxy_context(proxy))
        return OneConnection(context=context, proxy=through, keep=_KEEP_IDLE)

    def _proxy_context(self, proxy: str) -> ssl.SSLContext | None:
        """Return what to trust of a proxy that speaks TLS itself: the same authorities; not our certificate."""
        if urlsplit(proxy).scheme != "https":
            return None
        return build_ssl_context(self._tls.model_copy(update=_ONLY_TRUST))

    # ------------------------------------------------------------------------------------------------- what failed

    def _failure(self, error: BaseException, course: Course) -> Retryable:
        """Return the failure by its kind, in our own words."""
        way, fix, sent = self._place, "check the port, the scheme and tls.min_version", course.sent
        if self._proxy and not course.tunnelled and not course.sent:
            way = f"the proxy {self._proxy} on the way to {self._place}"
            fix = "write http:// before its address if it does not speak TLS itself"
        if not isinstance(error, httpx.TimeoutException | TimeoutError):
            tls = _cause(error, ssl.SSLError)
            if tls is not None and not isinstance(tls, _NO_VERDICT):
                return Retryable(f"{way}: {explain(tls)}", kind="tls", sent=sent and not refused_our_certificate(tls))
            if course.handshaking:
                return Retryable(f"{way} ended the connection during the TLS handshake; {fix}", kind="tls")
        kind, message = _describe(error)
        return Retryable(f"{way}: {message}{f'; {fix}' if course.handshaking else ''}", kind=kind, sent=sent)


_ONLY_TRUST = dict.fromkeys(("cert_file", "key_file", "key_password", "server_name"))


# Checked in this order: the first that fits names the failure.
_FAILURES: tuple[tuple[type[Exception], str, ErrorKind, str], ...] = (
    (httpx.ProxyError, "", "connection", "the proxy does not connect us"),
    (httpx.ConnectTimeout, "", "timeout", "no connection within connect_timeout"),
    (httpx.TimeoutException, "", "timeout", "silent for read_timeout"),
    (TimeoutError, "", "timeout", "not finished within total_timeout"),
    (httpx.ConnectError, "", "connection", "cannot be reached"),
    (httpx.RemoteProtocolError, "complete message body", "truncated", "the answer ends too early"),
    (httpx.RemoteProtocolError, "disconnected", "reset", "the connection ended before the answer came"),
    (httpx.RemoteProtocolError, "", "other", "the answer is not HTTP"),
)


def _describe(error: BaseException) -> tuple[ErrorKind, str]:
    text = str(error)
    kind: ErrorKind = "reset"
    message = "the connection ended before the answer was complete"
    for type_, fragment, its_kind, meaning in _FAILURES:
        if isinstance(error, type_) and fragment in text:
            kind, message = its_kind, meaning
            break
    if isinstance(error, httpx.ProxyError) and text[:3].isdigit():
        message += f" ({text[:3]})"
    if isinstance(error, httpx.ConnectError):
        message += f": {_reason_of_system(error)}"
    return kind, message


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _cause(error: BaseException, kind: type[_E]) -> _E | None:
    return next((cause for cause in _chain(error) if isinstance(cause, kind)), None)


def _reason_of_system(error: BaseException) -> str:
    for cause in reversed(_chain(error)):
        if isinstance(cause, OSError | UnicodeError):
            return reason_of(cause)
    return "no connection"
