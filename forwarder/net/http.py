"""The only module that speaks HTTP to others: one connection, one request at a time, every failure by its kind.

Invariants: nothing secret is in a message (no query, no header, no body); whatever ended before its answer was read
whole takes its connection with it. How a request is made and what its failure was lies in `exchange`, which brings
httpx: it is imported with the first request, for a client that is only built, as by `check`, has no use for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from forwarder import __version__
from forwarder.contracts import AuthFailed, Held, HttpConfig, TlsConfig
from forwarder.net.bodies import answer_to
from forwarder.net.compression import Compressed, compressed
from forwarder.net.json_size import UNREADABLE
from forwarder.net.tls import build_ssl_context, explain
from forwarder.net.urls import check_proxy, check_url

if TYPE_CHECKING:
    from forwarder.net.exchange import Exchange

__all__ = ["UNREADABLE", "HttpClient", "Response", "answer_to", "build_ssl_context", "check_url", "explain"]


class Response(msgspec.Struct, frozen=True):
    """A complete answer, whatever its status. Header names are lower case; the body is decompressed.

    `cookies` are the values of Set-Cookie, one each: in `headers` they are joined, and cannot be told apart again.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()


class HttpClient:
    """One connection to one server; a second request waits for the first.

    Args:
        base_url: Scheme, host and port, and a path to put before every path; see `check_url`.
        http: Times, proxy and the largest answer.
        tls: What to trust and who we are.
        insecure: Allow http:// to another machine.
        headers: Sent with every request.
    """

    def __init__(
        self,
        *,
        base_url: str,
        http: HttpConfig,
        tls: TlsConfig,
        insecure: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._base = check_url(base_url, insecure=insecure)
        if http.proxy is not None:
            check_proxy(http.proxy)
        self._http = http
        self._tls = tls
        self._headers = {"accept-encoding": "gzip", "user-agent": f"audit-forwarder/{__version__}", **(headers or {})}
        self._exchange: Exchange | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Compressed | None = None,
        params: Mapping[str, str] | None = None,
        gzip: bool = False,
        most: int | None = None,
    ) -> Response:
        """Ask and read the whole answer; a status is never an error here.

        Args:
            method: Upper case.
            path: Begins with a slash; what is put behind `base_url`, already percent-encoded.
            headers: For this request; they win over those of the client.
            content: Body, sent with its length. Who has `compressed` it need not hold the plain one meanwhile.
            params: Query.
            gzip: Compress the body.
            most: Most bytes of the answer, within `max_response`. Default: with a body by its length, because an answer
                says a few words of each event and may quote it; else `max_response`.

        Raises:
            Retryable: The answer did not come whole. `sent` is True once the request may have had its effect.
            Held: A TLS file, a proxy or a header cannot be used as configured.
        """
        given = {**self._headers, **(headers or {})}
        limit = self._http.max_response
        if most is not None or content is not None:
            limit = min(limit, most or answer_to(content or b""))
        if gzip and content is not None and not isinstance(content, Compressed):
            content = compressed(content)
        if isinstance(content, Compressed):
            content = content.body
            given["content-encoding"] = "gzip"
        _check_headers(given)
        async with self._turn:
            if self._closed:
                raise RuntimeError("this client is closed")
            if self._exchange is None:
                from forwarder.net.exchange import Exchange  # noqa: PLC0415 -- see above

                self._exchange = Exchange(self._base, self._http, self._tls)
            return await self._exchange.make(method, path, headers=given, content=content, params=params, limit=limit)

    async def close(self) -> None:
        """Close the connection. Safe to call twice; a request that is under way fails."""
        self._closed = True
        if self._exchange is not None:
            await self._exchange.drop()


def _check_headers(headers: Mapping[str, str]) -> None:
    """Refuse what HTTP cannot carry here, because h11 would repeat the value in its message."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            reason = f"The value of the header {name} holds characters that HTTP cannot carry."
            if name.lower() == "authorization":
                raise AuthFailed(reason, fix="Check the credential for stray characters or line ends.")
            raise Held(reason, fix="Correct the setting that it comes from.")
