"""The Workspace Events API: one log of Jira or Confluence on one site, named by the ARI of its workspace.

Published are the paths, the parameters, that `Accept-Language` is one tag, and that refusals have one shape; what is
not published is a switch (`config.Workspaces`). The order of a request is that of the organizations API.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from simulator import answers, effects
from simulator.actions import ACTIONS
from simulator.cursors import CursorError, Cursors, Position
from simulator.faults import FaultScript, Occasion, Rule
from simulator.feed import Entry, Range
from simulator.http_types import Request, Response
from simulator.limits import RateLimiter
from simulator.products.credentials import basic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulator.config import SimulatorConfig
    from simulator.ledger import Ledger
    from simulator.products.log import ProductLog
    from simulator.products.site import CloudSite

_ROUTE = re.compile(r"/audit-log/v1/workspaces/(?P<workspace>[^/?]+)/(?P<path>events|event-actions)(?:\?.*)?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_PARAMETERS = {"from", "to", "cursor", "limit"}
_JSON = {"content-type": "application/json;charset=UTF-8"}
_DEFAULT_LIMIT = 50
_REFUSALS = {
    "forbidden": (403, "FORBIDDEN", "You may not read the audit log of this workspace."),
    "not_found": (404, "WORKSPACE_NOT_FOUND", "There is no such workspace."),
    "bad_date": (400, "INVALID_RANGE", "from is not a time."),
}
_encode = msgspec.json.encode


class _Page(NamedTuple):
    response: Response
    entries: Sequence[Entry] = ()


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        self.response = response


def route(target: str) -> re.Match[str] | None:
    """Return the route of a request as it was sent, or None; an id that is not percent-encoded is another path."""
    return _ROUTE.fullmatch(target)


class Workspaces:
    """Answers for the workspaces of all sites.

    Args:
        config: Settings; `products.workspaces` holds the switches.
        sites: Whose products have a workspace each.
        ledger: Gets every request.
        script: Faults of the feed `workspace`.
        cursors: Issues cursors.
        clock: Returns epoch seconds.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        sites: list[CloudSite],
        ledger: Ledger,
        script: FaultScript,
        cursors: Cursors,
        clock: Callable[[], float],
    ) -> None:
        self._switches = config.products.workspaces
        self._plan = config.products.plan
        self._logs = {log.workspace: (site, log) for site in sites for log in site.logs.values()}
        self._ledger = ledger
        self._script = script
        self._cursors = cursors
        self._clock = clock
        self._limiter = RateLimiter(config.limits)

    def answer(self, request: Request, route: re.Match[str]) -> Response:
        """Answer one request."""
        now = self._clock()
        ident = unquote(route["workspace"])
        found = self._logs.get(ident)
        feed = "actions" if route["path"] == "event-actions" else "workspace"
        number = found[0].number if found is not None else -1
        due = self._script.due(Occasion(feed, ident, number, now))
        rule = next((rule for rule in due if self._applies(rule, request)), None)
        page, torn = _Page(Response()), False
        if rule is not None and rule.what in effects.ANSWERS:
            page = _Page(_answer(rule, now))
        else:
            try:
                page = self._serve(request, route, found, now, rule)
                if rule is not None and rule.what in effects.WIRES:
                    torn = effects.spoil(rule, page.response)
            except _Refused as refused:
                page, rule = _Page(refused.response), None
        if rule is not None:
            self._script.fire(rule, now)
        label, status = rule.label if rule is not None else "", page.response.status
        self._ledger.note(now, ident, feed, request.query_string, status, page.entries, torn=torn, fault=label)
        return page.response

    @staticmethod
    def _applies(rule: Rule, request: Request) -> bool:
        if rule.what == "cursor_lost":
            return "cursor=" in request.query_string
        return rule.what in effects.ANSWERS or rule.what in effects.WIRES or rule.what in {"empty_page", "loop"}

    def _serve(
        self,
        request: Request,
        route: re.Match[str],
        found: tuple[CloudSite, ProductLog] | None,
        now: float,
        rule: Rule | None,
    ) -> _Page:
        if not self._switches.served:
            raise _Refused(answers.gateway_page(404, b"Not Found"))
        if request.method != "GET":
            raise _Refused(refusal(405, "METHOD_NOT_ALLOWED", "The method is not allowed."))
        email, token = basic(request)
        if found is None:
            raise _Refused(refusal(*_REFUSALS["not_found"]))
        site, log = found
        if email != site.email or token not in {site.token, site.scoped_token}:
            raise _Refused(answers.unauthorized())
        if token != site.scoped_token:
            raise _Refused(Response.json({"code": 401, "message": "Unauthorized"}, 401))
        if self._plan == "free" or not site.may_read:
            raise _Refused(refusal(*_REFUSALS["forbidden"]))
        language = request.headers.get("accept-language")
        if language is not None and not _LANGUAGE.fullmatch(language):
            raise _Refused(refusal(400, "INVALID_LANGUAGE", "Accept-Language is one BCP 47 tag."))
        allowed, given = self._limiter.take(token, log.workspace, now)
        if not allowed:
            raise _Refused(_too_many(given))
        if route["path"] == "event-actions":
            return _Page(_actions(log.product, given))
        return self._events(request, log, int(now * 1000), given, rule)

    def _events(
        self, request: Request, log: ProductLog, now_ms: int, given: dict[str, str], rule: Rule | None
    ) -> _Page:
        switches, query = self._switches, request.query
        if unknown := sorted(set(query) - _PARAMETERS):
            raise _Refused(refusal(400, "INVALID_PARAMETER", f"{unknown[0]} is no parameter."))
        limit = self._limit(query)
        position = self._position(query, log)
        log.events.reveal(now_ms)
        wanted = Range(position.lower, position.upper, by_time=True, inclusive=switches.bounds == "inclusive")
        what = rule.what if rule is not None else ""
        entries = log.events.walk(wanted, position.after, limit + 1, ascending=position.ascending)
        more, entries = len(entries) > limit, [] if what == "empty_page" else entries[:limit]
        after = entries[-1].key if entries and what != "loop" else position.after
        further = msgspec.structs.replace(position, after=after)
        cursor = None
        if more or what in {"empty_page", "loop"} or switches.tip == "resume":
            cursor = self._cursors.issue(further)
        elif switches.tip == "refused":
            cursor = self._cursors.issue(msgspec.structs.replace(further, feed="no more"))
        return _Page(self._render(request, entries, cursor, given), entries)

    def _render(
        self, request: Request, entries: Sequence[Entry], cursor: str | None, given: dict[str, str]
    ) -> Response:
        path = request.target.partition("?")[0]
        links: dict[str, Any] = {"self": f"https://api.example.net{request.target}"}
        meta: dict[str, Any] = {"count": len(entries)}
        if self._switches.cursor_in == "meta":
            meta["next"] = cursor
        elif cursor is not None:
            links["next"] = f"https://api.example.net{path}?cursor={quote(cursor, safe='')}"
        data = b",".join([entry.body for entry in entries])
        body = b'{"data":[' + data + b'],"links":' + _encode(links) + b',"meta":' + _encode(meta) + b"}"
        return Response(200, {**_JSON, **given}, body)

    def _limit(self, query: dict[str, list[str]]) -> int:
        most = self._switches.most
        text = query.get("limit", [str(min(_DEFAULT_LIMIT, most))])[0]
        if not text.isdecimal() or not int(text) >= 1 or (int(text) > most and self._switches.above == "refused"):
            raise _Refused(refusal(400, "INVALID_LIMIT", "limit is out of range."))
        return min(int(text), most)

    def _position(self, query: dict[str, list[str]], log: ProductLog) -> Position:
        if "cursor" in query:
            try:
                position = self._cursors.read(query["cursor"][0])
            except CursorError as error:
                raise _Refused(_bad_cursor()) from error
            if (position.feed, position.organization) != ("workspace", log.workspace):
                raise _Refused(_bad_cursor())
            return position
        lower, upper = _moment(query, "from"), _moment(query, "to")
        if lower is not None and upper is not None and lower > upper:
            raise _Refused(refusal(400, "INVALID_RANGE", "from must not be after to."))
        return Position("workspace", log.workspace, None, lower, upper, self._switches.order == "oldest_first")


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an application's refusal (`PublicApiError`); those of the gateway have another shape."""
    return Response.json({"status": status, "code": code, "message": message}, status, headers)


def _bad_cursor() -> Response:
    return refusal(400, "INVALID_CURSOR", "The cursor is not valid.")


def _too_many(given: dict[str, str]) -> Response:
    return refusal(429, "RATE_LIMITED", "Too many requests.", {**given, "RateLimit-Reason": "audit-log-burst-based"})


def _answer(rule: Rule, now: float) -> Response:
    if rule.what == "rate_limit":
        return _too_many({"Retry-After": str(max(1, round(rule.wait)))} if rule.shape != "none" else {})
    if rule.what == "cursor_lost":
        return _bad_cursor()
    own = _REFUSALS.get(rule.what)
    return refusal(*own) if own is not None else effects.ANSWERS[rule.what](rule, now)


def _actions(product: str, given: dict[str, str]) -> Response:
    items = [
        {
            "id": action.id,
            "type": "event_actions",
            "attributes": {
                "displayName": action.display or action.id.replace("_", " ").capitalize(),
                "groupDisplayNames": [action.group],
            },
        }
        for action in ACTIONS
        if action.product == product
    ]
    return Response.json({"data": items, "links": {}, "meta": {}}, 200, given)


def _moment(query: dict[str, list[str]], name: str) -> int | None:
    """Read a time: epoch milliseconds, or ISO 8601 with a zone."""
    text = query.get(name, [""])[0]
    if not text:
        return None
    if text.isdecimal() and len(text) <= 15:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 -- has no zone, and is refused for it
    if moment.tzinfo is None:
        raise _Refused(refusal(400, "INVALID_RANGE", f"{name} is not a time."))
    return round(moment.astimezone(UTC).timestamp() * 1000)
