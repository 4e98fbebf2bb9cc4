"""Who may use the page: a session in a cookie for whoever knew the token, and proof that a form is ours.

A session is signed with the token, so it outlives a restart and ends with the token. Nothing is kept here.

Invariants: the token is never in an address or a page; a request that changes something comes from our own page, by
`Origin` or `Sec-Fetch-Site`, and holds a ticket that only a page of this process and session has.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request

    from forwarder.contracts import Clock, Secret

LASTS = 12 * 3600
"""Seconds of a session."""

_SIGNED = b"audit-forwarder session of the page"


class Sessions:
    """Makes and judges sessions.

    Args:
        token: What signs them; None where nobody has to sign in.
        clock: Time.
    """

    def __init__(self, token: Secret | None, clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._own = secrets.token_bytes(32)

    @staticmethod
    def cookie_name(request: Request) -> str:
        """Return the name of the cookie: browsers do not tell ports apart, and one machine may run two forwarders."""
        server = request.scope.get("server")
        return f"audit-forwarder-{server[1] if server else 0}"

    def begin(self) -> str:
        """Return a new session. Raises OSError or ValueError when the token cannot be read."""
        stem = f"{int(self._clock.time()) + LASTS}.{secrets.token_urlsafe(16)}"
        return f"{stem}.{self._sign(stem)}"

    def of(self, request: Request) -> str:
        """Return the session of a request, when it is a good one, or nothing."""
        found = request.cookies.get(self.cookie_name(request), "")
        stem, _, signature = found.rpartition(".")
        ends = stem.partition(".")[0]
        if self._token is None or not ends.isascii() or not ends.isdigit() or len(ends) > len("9999999999"):
            return ""
        try:
            good = hmac.compare_digest(self._sign(stem).encode(), signature.encode())
        except (OSError, ValueError):
            return ""
        return found if good and self._clock.time() < int(ends) else ""

    def ticket(self, session: str) -> str:
        """Return what the forms of this session hold."""
        return hmac.digest(self._own, session.encode(), "sha256").hex()

    def holds_ticket(self, session: str, ticket: str) -> bool:
        """Tell whether a form is of this process and session."""
        return hmac.compare_digest(self.ticket(session).encode(), ticket.encode())

    def _sign(self, stem: str) -> str:
        token = "" if self._token is None else self._token.reveal()
        key = hmac.digest(token.encode(), _SIGNED, "sha256")
        return hmac.digest(key, stem.encode(), "sha256").hex()


def is_from_here(request: Request) -> bool:
    """Tell whether a request that changes something comes from our own page.

    A browser says so in `Origin`, which every one sends with a form, and in `Sec-Fetch-Site` besides. Who says neither
    is no browser, and has to say so.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return _host(origin) == request.headers.get("host", "").lower()
    return site == "same-origin"


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
