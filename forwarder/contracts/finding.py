"""What `doctor` looks at, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from forwarder.contracts.settings import (
    HttpConfig,
    TlsConfig,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Finding(msgspec.Struct, frozen=True):
    """One result of a probe, for `doctor` and for people; one that is `ok` and has a fix is a warning."""

    subject: str
    ok: bool
    detail: str
    fix: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a component connects to, so that `doctor` can try the way there before it asks the component.

    Attributes:
        tls: Its settings, when TLS begins with the connection.
        http: Its settings, when it is asked by HTTP: there may be a proxy.
        within: Seconds for each step.
    """

    host: str
    port: int
    tls: TlsConfig | None = None
    http: HttpConfig | None = None
    within: float = 5.0

    @classmethod
    def of_url(cls, url: str, tls: TlsConfig, http: HttpConfig) -> Endpoint:
        """Return the endpoint of an http(s) URL that was checked before."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls(parts.hostname or "", port, tls if secure else None, http, http.connect_timeout)


@runtime_checkable
class Connects(Protocol):
    """A source or sink that connects somewhere; `probe` is asked when the way there is open."""

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Where to."""
        ...
