"""The admin port: `/metrics`, `/livez`, `/readyz`, `/status`, the page at `/`, and the pages under `/investigate`.

::

    request ─► guard: Host header · method · security headers ─► route ─► Snapshots ─► report() of the daemon

Invariants: nothing here changes anything but what people do on the page, by POST; a slow report or a slow client delays
no one else; beyond loopback `/status` and the page need a token, without which a probe learns yes or no and not why;
and a browser that was lured to us by a foreign name gets nothing.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from forwarder.admin.investigate_pages import InvestigatePages
from forwarder.admin.page.routes import StatusPage
from forwarder.admin.snapshots import Snapshots
from forwarder.contracts import Clock, SystemClock
from forwarder.net.addresses import is_loopback, parse_listen
from forwarder.net.listener import Listener
from forwarder.observe.exposition import Exposition
from forwarder.observe.health import why_degraded, why_not_live, why_not_ready
from forwarder.observe.status_json import report_to_dict

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from forwarder.admin.kept_places import Place
    from forwarder.admin.page.routes import Desk
    from forwarder.contracts import Secret
    from forwarder.observe.redaction import Redactor
    from forwarder.observe.reports import DaemonReport

_EVERY = 1_000_000
_LIVE_PATIENCE = 0.1  # seconds: when the loop and the spool turned last is in an older report as well
_READY_LOOK = 0.1  # seconds for which a report serves that says "not ready"
_HOST = re.compile(rb"(?:\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|([\w-]+(?:\.[\w-]+)*\.?))(?::[0-9]{0,5})?")
"""A whole Host header: an IPv6 address in brackets or a name, and nothing behind it but a port."""
_BASIC = 'Basic realm="audit-forwarder", charset="UTF-8"'
_SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class AdminServer:
    """Serves one daemon's reports.

    Args:
        listen: `host:port`; port 0 takes a free one, see `port` after `start`.
        token: What `/status`, and the reasons of the probes, ask for; needed beyond loopback, and asked for on
            loopback too when it is set.
        allowed_hosts: Further names that a Host header may have.
        report: Makes a report; may be asynchronous, may be slow, may fail.
        desk: Does what people ask for on the page; without one it is to look at only.
        places: What can be asked by the pages under `/investigate`, by name.
        redactor: Takes secrets out of `/status`, should one have come into a reason.
        live_within: Seconds within which the loop and the spool's thread must have turned.
        patience: Seconds for a client to send its request or to take its answer.
    """

    def __init__(
        self,
        listen: str,
        token: Secret | None,
        allowed_hosts: Collection[str],
        report: Callable[[], Awaitable[DaemonReport] | DaemonReport],
        *,
        desk: Desk | None = None,
        places: Mapping[str, Place] | None = None,
        redactor: Redactor | None = None,
        clock: Clock | None = None,
        live_within: float = 30.0,
        patience: float = 15.0,
    ) -> None:
        host, port = parse_listen(listen, "admin.listen")
        self._clock = clock or SystemClock()
        self._snapshots = Snapshots(report, self._clock)
        self._exposition = Exposition(lambda: self._snapshots.latest)
        self._redactor = redactor
        self._token = token
        self._open = is_loopback(host) and token is None
        self._live_within = live_within
        self._began = self._clock.monotonic()
        clean = redactor.text if redactor is not None else str
        self._page = StatusPage(
            self._shown, lambda request: self._refusal(request) is None, token, desk, self._clock, clean
        )
        self._investigate = InvestigatePages(
            places or {},
            self._no_pages,
            missing="" if token is not None else "set admin.token",
            clean=clean,
        )
        routes = [
            *self._page.routes(),
            Route("/metrics", self._metrics),
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/status", self._status),
            *self._investigate.routes(),
        ]
        pages = Starlette(routes=routes)
        pages.router.redirect_slashes = False
        app = _Guard(pages, {host, *allowed_hosts})
        self._listener = Listener(app, host, port, patience=patience)

    @property
    def port(self) -> int:
        """The port that is listened on; after `start` never 0."""
        return self._listener.port

    async def start(self) -> None:
        """Listen and serve. Raises ConfigError that names the setting when the address cannot be had."""
        await self._listener.start()

    async def close(self) -> None:
        """Stop; no client can hold it up. Safe to call twice."""
        self._page.close_streams()
        await self._listener.close()
        await self._investigate.close()
        await self._snapshots.close()

    async def _metrics(self, request: Request) -> Response:
        if await self._snapshots.fresh() is None:
            return _json({"reasons": [self._snapshots.problem]}, 503)
        page, content_type = self._exposition.render(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": content_type})

    async def _livez(self, request: Request) -> Response:
        report, now = await self._snapshots.fresh(_LIVE_PATIENCE), self._clock.monotonic()
        if report is not None:
            reasons = why_not_live(report, now, self._live_within)
        elif now - self._began > self._live_within:
            reasons = [self._snapshots.problem]
        else:
            reasons = []
        answer: dict[str, Any] = {"live": not reasons}
        if self._refusal(request) is None:
            answer |= {"reasons": reasons}
        return _json(answer, 503 if reasons else 200)

    async def _readyz(self, request: Request) -> Response:
        last = self._snapshots.latest
        starting = last is not None and why_not_ready(last)  # a start is over in less time than a report serves for
        report = await self._snapshots.fresh(max_age=_READY_LOOK if starting else None)
        reasons = [self._snapshots.problem] if report is None else why_not_ready(report)
        degraded = [] if report is None else why_degraded(report)
        answer: dict[str, Any] = {"ready": not reasons}
        if self._refusal(request) is None:
            answer |= {"reasons": reasons, "degraded": self._clean(degraded)}
        return _json(answer, 503 if reasons else 200)

    async def _status(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        shown, problem = await self._shown()
        return _json({"reasons": [problem]}, 503) if shown is None else _json(shown, 200)

    async def _shown(self) -> tuple[dict[str, Any] | None, str]:
        """Return what `/status` shows, or why there is nothing to show."""
        report, problem = await self._snapshots.fresh(), self._snapshots.problem
        return (None if report is None else self._clean({**report_to_dict(report), "problem": problem})), problem

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to someone who may not see the status."""
        if self._open or self._page.sessions.of(request):
            return None
        if self._token is None:
            return _json({"reasons": ["beyond loopback the status needs a token; set admin.token"]}, 403)
        try:
            expected = self._token.reveal()
        except (OSError, ValueError):
            return _json({"reasons": ["the token of the status cannot be read; see the file of admin.token"]}, 503)
        if hmac.compare_digest(_given(request.headers.get("authorization", "")), expected.encode()):
            return None
        return _json(
            {"reasons": ["the status needs the header Authorization: Bearer <admin.token>"]}, 401, challenge="Bearer"
        )

    def _no_pages(self, request: Request) -> Response | None:
        """Return the answer to someone who may not see the pages: a browser is asked for the token, as a password."""
        refusal = self._refusal(request)
        if refusal is None or refusal.status_code == 503:
            return refusal
        if self._token is None:
            return Response(status_code=404)
        return _json({"reasons": ["the password is admin.token; any user name will do"]}, 401, challenge=_BASIC)

    def _clean(self, value: Any) -> Any:
        return value if self._redactor is None else self._redactor.scrub(value, most_items=_EVERY)


class _Guard:
    """Checks the Host header and the method before anything else, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = {_bare(host) for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app: ASGIApp = self._app
        if scope["type"] != "http":
            return
        if not self._knows(scope):
            app = _json({"reasons": ["unknown Host header; add the name to admin.allowed_hosts"]}, 421)
        elif scope["method"] not in {"GET", "HEAD"} and not (
            scope["method"] == "POST" and StatusPage.takes_posts(scope["path"])
        ):
            app = Response(status_code=405, headers={"allow": "GET, HEAD"})
        await app(scope, receive, send_guarded)

    def _knows(self, scope: Scope) -> bool:
        """Accept loopback, the names we were given, and the very address the connection came in on.

        The last one is what probes and scrapers use when we listen on all addresses. A page of a foreign name that
        resolves to us cannot forge it: its requests carry the foreign name.
        """
        names = [value for name, value in scope["headers"] if name == b"host"]
        if len(names) != 1:
            return False
        named = _HOST.fullmatch(names[0])
        if named is None:
            return False
        host = _bare((named[1] or named[2]).decode("ascii"))
        local = scope.get("server")
        return is_loopback(host) or host in self._hosts or (local is not None and host == _bare(local[0]))


def _bare(host: str) -> str:
    """Return the one form in which two spellings of a host compare equal."""
    text = host.lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(text.strip("[]").split("%")[0])
    except ValueError:
        return text
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _given(header: str) -> bytes:
    """Return the token that a client sends: as such, or as a browser does, as the password of any user."""
    scheme, _, given = header.partition(" ")
    sent = given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "bearer":
        return sent
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(sent, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _json(value: Any, status: int, *, challenge: str = "") -> Response:
    headers = {"www-authenticate": challenge} if challenge else None
    return Response(msgspec.json.encode(value), status, headers, "application/json")
