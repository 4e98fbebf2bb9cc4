"""What a handler of the simulator's server gets and gives back, and how an answer may go wrong on the wire.

Plain values without behaviour of their own; `httpd` acts on them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

import msgspec

Body = bytes | Sequence[bytes]
"""A body in one piece, or in pieces that are written one after the other without being joined first."""


@dataclass(slots=True)
class Request:
    """One complete HTTP request.

    Attributes:
        method: Upper case, as sent.
        target: Path and query as sent, still percent-encoded.
        headers: Lower-case names; a repeated header is joined by `, `.
        body: As sent, still compressed when `content-encoding` says so.
        peer: Address and port of the other side.
        connection: Number of the connection, counted from 1 for each server.
        certificate: What `ssl.SSLObject.getpeercert()` says of a verified client, or None.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    peer: tuple[str, int] = ("", 0)
    connection: int = 0
    certificate: dict[str, Any] | None = None
    path: str = field(init=False)
    query_string: str = field(init=False)

    def __post_init__(self) -> None:
        path, _, self.query_string = self.target.partition("?")
        self.path = unquote(path)

    @property
    def query(self) -> dict[str, list[str]]:
        """Return the parameters, blank ones included."""
        return parse_qs(self.query_string, keep_blank_values=True)

    def decoded_body(self) -> bytes:
        """Return the body without its content encoding. Raises ValueError when it is damaged or unknown."""
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        try:
            if encoding == "gzip":
                return gzip.decompress(self.body)
            if encoding == "deflate":
                return zlib.decompress(self.body)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"the body is not valid {encoding}: {error}") from error
        if encoding in {"", "identity"}:
            return self.body
        raise ValueError(f"unknown content-encoding {encoding!r}")


@dataclass(frozen=True, slots=True)
class Wire:
    """How an answer misbehaves below HTTP. The default is good behaviour.

    Attributes:
        delay: Seconds of silence before the first byte.
        stall_at: Body bytes after which nothing comes for `stall` seconds.
        stall: Seconds of that silence.
        drip: Bytes a piece when the body is sent in small pieces; 0 sends it at once.
        pause: Seconds between two pieces.
        stop_at: The connection ends after this many body bytes although content-length promised more;
            0 is right after the headers, -1 before the first byte.
        ending: How it ends there: an orderly close, a reset (RST), or only our half closed.
        garbage: Sent in place of any HTTP; the connection is closed after it.
    """

    delay: float = 0.0
    stall_at: int | None = None
    stall: float = 0.0
    drip: int = 0
    pause: float = 0.0
    stop_at: int | None = None
    ending: Literal["close", "reset", "half_close"] = "close"
    garbage: bytes | None = None


@dataclass(slots=True)
class Response:
    """One answer. `content-length` is added; nothing else is.

    `headers` may be pairs, for a header that comes twice. `close` ends the connection after the answer.
    """

    status: int = 200
    headers: dict[str, str] | Sequence[tuple[str, str]] = field(default_factory=dict)
    body: Body = b""
    misbehave: Wire | None = None
    close: bool = False

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """Build an answer that carries `value` as JSON."""
        return cls(status, {"content-type": "application/json", **(headers or {})}, msgspec.json.encode(value))


Handler = Callable[[Request], Awaitable[Response]]
