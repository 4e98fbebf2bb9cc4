"""The page over HTTP: `/`, its stream, signing in and out, and the acts of people.

Invariants: who may not see the status sees nothing of the page; nothing changes but by POST, from our own page, with a
ticket, and through the verbs that the control socket has; a form is small, and who sends it slowly is cut off.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import socket
from html import unescape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from forwarder.admin.page.document import document, main, no_report
from forwarder.admin.page.forms import ACTS, PATH, Hand
from forwarder.admin.page.session import LASTS, Sessions, is_from_here
from forwarder.admin.page.stream import Rendered, Streams
from forwarder.contracts.errors import ConfigError, ForwarderError
from forwarder.contracts.log import get_logger
from forwarder.investigate.faces.markup import plain
from forwarder.net.listener import ENDLESS
from forwarder.observe.runbooks import runbook_text
from forwarder.observe.status_values import cell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping

    from starlette.requests import Request

    from forwarder.admin.page.forms import Act
    from forwarder.contracts import Clock, Secret

log = get_logger(__name__)

_LONGEST_FORM = 16 * 1024
_PATIENCE = 8.0
"""Seconds for an act to be done before the page says that it is still under way."""

_TITLE = re.compile(r'data-title="([^"]*)"')
_MOST_NOTICES = 50
_NOBODY = "This page is to look at only while there is no admin.token; the page names the command that does the same."
_PAUSE = 0.5
"""Seconds that a wrong token costs."""

_POLICY = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "same-origin",  # without a referrer a browser sends the Origin of a form as null
}
_HTML = "text/html; charset=utf-8"
_STREAM = {"cache-control": "no-store", "x-accel-buffering": "no", **_POLICY}
_PARTS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


class Desk(Protocol):
    """Does what people ask for, in the daemon."""

    @property
    def verbs(self) -> Collection[str]:
        """What can be asked for, by name."""
        ...

    async def do(self, verb: str, argument: Mapping[str, Any], who: str) -> Any:
        """Do it; return what the verb does. Raises ForwarderError with what to change."""
        ...


class StatusPage:
    """The page.

    Args:
        status: Returns the JSON of `/status`, without secrets, and why there is none.
        may_look: Tells whether a request may see the status, by its header or because everybody may.
        token: What people sign in with; None where everybody may look, or nobody.
        desk: Does what people ask for; None where nobody may act on the page.
        clock: Time.
        clean: Takes secrets out of a text.
    """

    def __init__(
        self,
        status: Callable[[], Awaitable[tuple[dict[str, Any] | None, str]]],
        may_look: Callable[[Request], bool],
        token: Secret | None,
        desk: Desk | None,
        clock: Clock,
        clean: Callable[[str], str] = str,
    ) -> None:
        self._status = status
        self._may_look = may_look
        self._token = token
        self._desk = desk
        self._clean = clean
        self.sessions = Sessions(token, clock)
        self._mark = secrets.token_hex(16)
        """Stands in the rendered page where the ticket of each reader goes."""
        self._hand = Hand(desk.verbs if desk is not None else None, self._mark)
        self._rendered = Rendered(self._render, clock)
        self._streams = Streams(self._rendered)
        self._notices: dict[str, str] = {}
        self._acts: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self._page),
            Route("/events", self._events),
            *(Route(f"/{name}", self._part) for name in _PARTS),
            Route("/runbooks/{name}", self._runbook),
            Route("/login", self._login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route(f"{PATH}/{{name}}", self._do, methods=["POST"]),
        ]

    @staticmethod
    def takes_posts(path: str) -> bool:
        """Tell whether something may be changed at this address."""
        return path in {"/login", "/logout"} or path.startswith(f"{PATH}/")

    def close_streams(self) -> None:
        """End the streams, so that nothing keeps the server."""
        self._streams.close()

    # ----------------------------------------------------------------------------------------------------- looking

    async def _page(self, request: Request) -> Response:
        session = self.sessions.of(request)
        if not session and not self._may_look(request):
            return self._sign_in()
        inside = self._own(session)(await self._rendered.text())
        notice = self._notices.get(request.query_params.get("said", ""), "")
        leave = self._own(session)(_leave(self._mark)) if session else ""
        titled = _TITLE.search(inside)
        title = unescape(titled[1]) if titled else "How it goes"
        page = document(inside, title=title, notice=notice, place=socket.gethostname(), leave=leave)
        return Response(page, 200, _POLICY, _HTML)

    def _own(self, session: str) -> Callable[[str], str]:
        ticket = self.sessions.ticket(session)
        return lambda text: text.replace(self._mark, ticket)

    async def _render(self) -> str:
        report, problem = await self._status()
        return no_report(problem) if report is None else main(report, self._hand)

    async def _events(self, request: Request) -> Response:
        def may() -> bool:
            return bool(self.sessions.of(request)) or self._may_look(request)

        if not may():
            return Response("sign in first", 401, _POLICY, "text/plain")
        if request.method == "HEAD":
            return Response(None, 200, _STREAM, "text/event-stream")
        request.scope[ENDLESS] = True
        messages: AsyncIterator[bytes] = self._streams.follow(may, self._own(self.sessions.of(request)))
        return StreamingResponse(messages, 200, _STREAM, "text/event-stream")

    async def _part(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        text = files("forwarder.admin.page").joinpath(name).read_text(encoding="utf-8")
        return Response(text, 200, _POLICY, _PARTS[name])

    async def _runbook(self, request: Request) -> Response:
        if not self.sessions.of(request) and not self._may_look(request):
            return Response("sign in first", 401, _POLICY, "text/plain")
        text = await asyncio.to_thread(runbook_text, request.path_params["name"])
        if text is None:
            return Response("there is no such runbook", 404, _POLICY, "text/plain")
        return Response(text, 200, _POLICY, "text/plain; charset=utf-8")

    # ------------------------------------------------------------------------------------------------- sign in and out

    def _sign_in(self, said: str = "", status: int = 401) -> Response:
        if self._token is None:
            inside = (
                '<main id="main" class="login"><h1>Not from here</h1>'
                "<p>Beyond this machine the page needs a token. Set "
                "<code>admin.token</code> and start the forwarder again.</p></main>"
            )
            return Response(document(inside, title="Not from here", live=False), 403, _POLICY, _HTML)
        note = f'<p class="notice" role="alert">{plain(said)}</p>' if said else ""
        inside = (
            '<main id="main" class="login"><h1>Sign in</h1>'
            f'{note}<form method="post" action="login" class="flow"><label for="token">The token, admin.token'
            '<input type="password" name="token" id="token" autocomplete="current-password" required autofocus></label>'
            '<p><button class="first" id="sign-in">Sign in</button></p></form></main>'
        )
        return Response(document(inside, title="Sign in", live=False), status, _POLICY, _HTML)

    async def _login(self, request: Request) -> Response:
        fields = await self._form(request)
        if isinstance(fields, Response):
            return fields
        if self._token is None:
            return self._sign_in()
        try:
            known = hmac.compare_digest(fields.get("token", "").encode(), self._token.reveal().encode())
            session = self.sessions.begin() if known else ""
        except (OSError, ValueError):
            return self._sign_in("The token cannot be read here; see the file of admin.token.", 503)
        if not session:
            await asyncio.sleep(_PAUSE)
            return self._sign_in("That is not the token.")
        log.info("page_signed_in", client=_client(request))
        answer = _back("./")
        answer.set_cookie(
            self.sessions.cookie_name(request), session, max_age=LASTS, path="/", httponly=True, samesite="strict",
            secure=request.headers.get("x-forwarded-proto", "") == "https",
        )  # fmt: skip
        return answer

    async def _logout(self, request: Request) -> Response:
        fields = await self._form(request)
        if isinstance(fields, Response):
            return fields
        answer = _back("./")
        answer.delete_cookie(self.sessions.cookie_name(request), path="/", httponly=True, samesite="strict")
        return answer

    # --------------------------------------------------------------------------------------------------------- acting

    async def _do(self, request: Request) -> Response:
        session = self.sessions.of(request)
        if not session and not self._may_look(request):
            return self._sign_in()
        fields = await self._form(request)
        if isinstance(fields, Response):
            return fields
        if not self.sessions.holds_ticket(session, fields.get("ticket", "")):
            return _refused("This form is of another time, or of another session: load the page again.")
        act, desk = ACTS.get(request.path_params["name"]), self._desk
        if act is None or desk is None or act.verb not in desk.verbs:
            return _refused("There is no such act here.", 404) if desk is not None else _refused(_NOBODY)
        if act.sure and fields.get("sure") != "yes":
            return self._tell("Not done: it cannot be undone, so tick the box beside it first.")
        who = f"{'who knows admin.token' if self._token is not None else 'the page'}, from {_client(request)}"
        return self._tell(await self._done(act, fields, who, desk))

    async def _done(self, act: Act, fields: Mapping[str, str], who: str, desk: Desk) -> str:
        """Do it; return what to say."""
        try:
            task = asyncio.create_task(desk.do(act.verb, act.argument(fields), who), name=f"page {act.verb}")
        except ConfigError as error:
            return f"Not done: {error}"
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
        await asyncio.wait({task}, timeout=_PATIENCE)
        if not task.done():
            return "It was asked for and is not done yet: what is under way ends first. The log says when it is."
        try:
            return act.done + act.says(task.result())
        except ForwarderError as error:
            log.info("page_act_failed", verb=act.verb, who=who, reason=str(error))
            return f"Not done: {error}"
        except Exception:
            log.exception("page_act_failed", verb=act.verb, who=who)
            return "Not done: the daemon failed; its log says how."

    def _tell(self, said: str) -> Response:
        """Go back to the page, which says it."""
        name = secrets.token_urlsafe(9)
        self._notices[name] = self._clean(cell(said))
        if len(self._notices) > _MOST_NOTICES:
            del self._notices[next(iter(self._notices))]
        return _back(f"../?said={name}")

    async def _form(self, request: Request) -> dict[str, str] | Response:
        """Return the fields of a form that our own page sent, or the answer to what is none."""
        if not is_from_here(request):
            return _refused("Another site asked for this; open the page itself.")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return _refused("That is not a form of this page.", 415)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_FORM:
                return _refused("That is longer than a form of this page.", 413)
        try:
            return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=50))
        except ValueError:
            return _refused("That is not a form of this page.", 400)


def _leave(mark: str) -> str:
    hidden = f'<input type="hidden" name="ticket" value="{mark}">'
    return f'<form method="post" action="logout" class="act">{hidden}<button id="sign-out">Sign out</button></form>'


def _refused(why: str, status: int = 403) -> Response:
    inside = (
        f'<main id="main" class="login"><h1>Not done</h1><p>{plain(why)}</p><p><a href="../">To the page</a></p></main>'
    )
    page = document(inside, title="Not done", live=False).replace('href="page.css"', 'href="../page.css"')
    return Response(page, status, {**_POLICY, "connection": "close"}, _HTML)


def _back(where: str) -> RedirectResponse:
    return RedirectResponse(where, 303, _POLICY)


def _client(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"
