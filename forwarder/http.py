"""HTTP for sources and sinks: TLS, proxy, time-outs, limits; the only module that knows httpx.

One client has one connection and one request at a time (ADR 14). Whatever goes wrong below HTTP is a `Retryable` of the
right kind, whose `sent` says whether the request may have taken effect. Statuses are the caller's business. No message
holds a query, a header or a body: a cursor or a key must not reach a log.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from isal import isal_zlib

from forwarder import __version__
from forwarder.contracts import ConfigError, ErrorKind, HttpConfig, Retryable, TlsConfig

for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # at INFO they log whole URLs, cursors included

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Response(msgspec.Struct, frozen=True):
    """An answer that was read to its end. Header names are lower-case; the body is decoded."""

    status: int
    headers: dict[str, str]
    body: bytes


def check_url(url: str, *, insecure: bool) -> None:
    """Refuse a URL that would send secrets in the clear. Raises ConfigError that names the fix."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise ConfigError("the URL cannot be read; write https://host:port") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError("the URL must begin with https:// and name a host")
    if parts.username or parts.password:
        raise ConfigError(f"the URL of {host} holds a user or password; put them into their own settings")
    if parts.scheme == "http" and not insecure and not _is_loopback(host):
        raise ConfigError(
            f"http:// to {host} would send secrets in the clear; use https://, or set insecure: true in a laboratory"
        )


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def build_ssl_context(tls: TlsConfig) -> ssl.SSLContext:
    """Return the TLS context of these settings; equal settings whose files did not change share one.

    Raises ConfigError when a file cannot be used. The system's authorities are trusted unless `ca_file` is set.
    """
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    try:
        stamps = tuple(path.stat().st_mtime_ns if path else 0 for path in files)
        password = tls.key_password.reveal() if tls.key_password else None
    except OSError as error:
        raise ConfigError(f"a TLS file cannot be read: {error.filename}: {error.strerror}") from error
    return _ssl_context(tls.ca_file, tls.cert_file, tls.key_file, password, tls.min_version, tls.verify, stamps)


@lru_cache(maxsize=64)
def _ssl_context(
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    password: str | None,
    version: str,
    verify: bool,
    _stamps: tuple[int, ...],
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls.ca_file {ca} holds no certificates in PEM form") from error
    context.minimum_version = _VERSIONS[version]
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the client certificate {cert} and its key do not fit or cannot be read; check tls.cert_file, "
                "tls.key_file and tls.key_password"
            ) from error
    return context


class HttpClient:
    """One connection to one place.

    Args:
        base_url: Scheme, host and port; a path is put in front of every request's.
        http: Time-outs, proxy, size limit.
        tls: Certificates.
        insecure: Allow plain HTTP to another machine.
    """

    def __init__(self, *, base_url: str, http: HttpConfig, tls: TlsConfig, insecure: bool = False) -> None:
        check_url(base_url, insecure=insecure)
        self._base = base_url.rstrip("/")
        self._host = urlsplit(base_url).netloc
        self._http = http
        self._tls = tls
        self._turn = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request and read the whole answer. Raises Retryable; ConfigError when a TLS file broke meanwhile."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._http.total_timeout):
                    return await self._exchange(method, path, headers or {}, content, params)
            except TimeoutError as error:
                await self._drop()
                raise Retryable(
                    f"{self._host} did not finish its answer within {self._http.total_timeout:g} s",
                    kind="timeout",
                    sent=True,
                ) from error
            except httpx.HTTPError as error:
                await self._drop()
                raise _translated(error, self._host) from error
            except BaseException:
                await self._drop()  # a cancelled request may keep its place in the pool for ever
                raise

    async def close(self) -> None:
        """Close the connection. Safe to call twice; the client opens again when it is used."""
        await self._drop()

    async def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        params: Mapping[str, str] | None,
    ) -> Response:
        client = self._open()
        async with client.stream(method, self._base + path, headers=headers, content=content, params=params) as answer:
            body = await self._read(answer.headers.get("content-encoding", ""), answer.aiter_raw())
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, found, body)

    async def _read(self, encoding: str, chunks: AsyncIterator[bytes]) -> bytes:
        """Return the decoded body. An answer larger than `max_response`, packed or not, is not read to its end."""
        limit, size = self._http.max_response, 0
        unpack = _decoder(encoding)
        parts: list[bytes] = []
        async for chunk in chunks:
            try:
                part = unpack.decompress(chunk, limit - size + 1) if unpack else chunk
            except isal_zlib.error as error:  # type: ignore[misc]
                raise Retryable(
                    f"the compressed answer of {self._host} cannot be unpacked", kind="truncated", sent=True
                ) from error
            size += len(part)
            if size > limit:
                raise Retryable(
                    f"the answer of {self._host} is larger than http.max_response", kind="too_large", sent=True
                )
            parts.append(part)
        if unpack is not None and size and not unpack.eof:
            raise Retryable(f"the compressed answer of {self._host} was cut", kind="truncated", sent=True)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            http = self._http
            self._client = httpx.AsyncClient(
                verify=build_ssl_context(self._tls),
                proxy=http.proxy,
                trust_env=http.proxy is None,
                auth=_no_auth,  # or a .netrc could add credentials
                timeout=httpx.Timeout(
                    connect=http.connect_timeout,
                    read=http.read_timeout,
                    write=http.read_timeout,
                    pool=http.connect_timeout,
                ),
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=60),
                headers={"user-agent": f"audit-forwarder/{__version__}"},
                follow_redirects=False,
            )
        return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _no_auth(request: httpx.Request) -> httpx.Request:
    return request


def _decoder(encoding: str) -> Any:
    """Return what unpacks a body, or None. Bodies that say nothing are plain."""
    if encoding in {"gzip", "x-gzip"}:
        return isal_zlib.decompressobj(wbits=31)
    if encoding == "deflate":
        return isal_zlib.decompressobj(wbits=15)
    if encoding in {"", "identity"}:
        return None
    raise Retryable(f"the answer is packed in a way nobody asked for ({encoding[:20]!r})", kind="not_json", sent=True)


_KINDS: list[tuple[type[httpx.HTTPError], ErrorKind, str, bool]] = [
    (httpx.ConnectTimeout, "timeout", "does not accept the connection in time", False),
    (httpx.PoolTimeout, "timeout", "was not asked: no connection was free", False),
    (httpx.ReadTimeout, "timeout", "fell silent before its answer was complete", True),
    (httpx.WriteTimeout, "timeout", "stopped taking the request", True),
    (httpx.ConnectError, "connection", "cannot be reached", False),
    (httpx.ProxyError, "connection", "cannot be reached through the proxy", False),
    (httpx.RemoteProtocolError, "truncated", "ended its answer early or broke the protocol", True),
    (httpx.ReadError, "reset", "broke the connection", True),
    (httpx.WriteError, "reset", "broke the connection", True),
]


def _translated(error: httpx.HTTPError, host: str) -> Retryable:
    cause = _tls_cause(error)
    if cause is not None:
        return Retryable(f"TLS with {host} failed: {_tls_words(cause)}", kind="tls")
    for kind, label, words, sent in _KINDS:
        if isinstance(error, kind):
            return Retryable(f"{host} {words}", kind=label, sent=sent)
    return Retryable(f"the request to {host} failed: {type(error).__name__}", kind="other", sent=True)


def _tls_cause(error: BaseException | None) -> ssl.SSLError | None:
    for _ in range(8):
        if error is None:
            return None
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        if "expired" in said:
            return f"{said}; renew the server's certificate"
        if "match" in said or "mismatch" in said.lower():
            return f"{said}; use the name that stands in the certificate"
        return f"{said}; name the authority's certificate in tls.ca_file"
    return f"{error.reason or 'handshake failure'}; the server may want a client certificate (tls.cert_file)"
