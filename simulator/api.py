"""The organizations REST API as far as the audit log goes: both feeds, one event by id, the catalogue of actions.

Order of a request: fault that replaces the answer, fault that changes the server, key, organization, rate limit,
parameters, page, fault on the wire. Everything served is written into the ledger.
"""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from simulator import answers, effects
from simulator.actions import ACTIONS
from simulator.cursors import CursorError, Cursors, Position
from simulator.faults import FaultScript, Occasion, Rule
from simulator.http_types import Request, Response
from simulator.limits import Key, RateLimiter
from simulator.pages import EventsPager, Page, StreamPager, render
from simulator.render import without_processed

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.config import SimulatorConfig
    from simulator.feed import Entry
    from simulator.ledger import Ledger
    from simulator.organization import Organization

_ROUTE = re.compile(r"/admin/v1/orgs/(?P<org>[^/]+)/(?P<feed>events-stream|events|event-actions)(?:/(?P<event>[^/]+))?")
_FILTERS = ("q", "action", "actor", "ip", "product")
_JSON = {"content-type": "application/json;charset=UTF-8"}


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        self.response = response


class Api:
    """Answers requests for all organizations of one simulator.

    Args:
        config: Settings.
        organizations: By id.
        ledger: Gets every request.
        script: Faults.
        cursors: Issues cursors.
        clock: Returns epoch seconds.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        organizations: dict[str, Organization],
        ledger: Ledger,
        script: FaultScript,
        cursors: Cursors,
        clock: Callable[[], float],
    ) -> None:
        self.base_url = ""
        self._config = config
        self._organizations = organizations
        self._numbers = {ident: number for number, ident in enumerate(organizations)}
        self._ledger = ledger
        self._script = script
        self._cursors = cursors
        self._clock = clock
        self._limiter = RateLimiter(config.limits)
        self._stream = StreamPager(config.switches, cursors)
        self._events = EventsPager(cursors, inclusive=config.switches.bounds == "inclusive")

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        now = self._clock()
        route = _ROUTE.fullmatch(request.path)
        if route is None:
            return answers.dated(self._elsewhere(request, now), now)
        feed = _feed_name(route["feed"], route["event"])
        ident = route["org"]
        rule = self._rule(feed, ident, request, now)
        entries: list[Entry] = []
        torn = False
        if rule is not None and rule.what in effects.ANSWERS:
            response = effects.ANSWERS[rule.what](rule, now)
        else:
            organization = self._organizations.get(ident)
            if rule is not None and rule.what in effects.CHANGES and organization is not None:
                effects.change(rule, organization, self._cursors, now)
            try:
                response, page = self._serve(request, feed, route, now, rule)
                entries = list(page.entries)
                if rule is not None and rule.what in effects.PAGES and page.rule is None:
                    rule = None  # it did not apply to this page
                if rule is not None and rule.what in effects.WIRES:
                    torn = effects.spoil(rule, response)
            except _Refused as refused:
                response = refused.response
                if rule is not None and rule.what not in effects.CHANGES | effects.CLOCKS:
                    rule = None
        if rule is not None:
            self._script.fire(rule, now)
        label = rule.label if rule is not None else ""
        self._ledger.note(now, ident, feed, request.query_string, response.status, entries, torn=torn, fault=label)
        return answers.dated(response, now + (rule.ahead if rule is not None and rule.what in effects.CLOCKS else 0.0))

    def _rule(self, feed: str, ident: str, request: Request, now: float) -> Rule | None:
        has_cursor = "cursor=" in request.query_string
        for rule in self._script.due(Occasion(feed, ident, self._numbers.get(ident, -1), now)):
            if rule.what == "cursor_lost" and not has_cursor:
                continue
            if rule.what in effects.PAGES and feed != "stream":
                continue
            return rule
        return None

    # --------------------------------------------------------------------------------------------------- serving

    def _serve(
        self, request: Request, feed: str, route: re.Match[str], now: float, rule: Rule | None
    ) -> tuple[Response, Page]:
        if request.method != "GET":
            raise _Refused(answers.refusal("ADMIN-405-1"))
        key = self._authenticate(request, now)
        organization = self._organizations.get(route["org"])
        if organization is None:
            raise _Refused(answers.refusal("ADMIN-404-2"))
        if key.organization != organization.id or not key.may_read_events:
            raise _Refused(answers.refusal("ADMIN-403-3"))
        allowed, given = self._limiter.take(key.value, feed, now)
        if not allowed:
            raise _Refused(answers.refusal("ADMIN-429-1", given))
        organization.feed.reveal(int(now * 1000))
        if feed == "actions":
            return self._actions(given), Page([], None)
        if feed == "event":
            return self._one(organization, route["event"], int(now * 1000), given)
        page, limit = self._page(request, organization, feed, now, rule)
        url = f"{self.base_url}{request.path}"
        pieces = render(page, url, limit, processed=feed == "stream")
        if self._config.compress and "gzip" in request.headers.get("accept-encoding", ""):
            packed = gzip.compress(b"".join(pieces), 1)
            return Response(200, {**_JSON, **given, "content-encoding": "gzip"}, packed), page
        return Response(200, {**_JSON, **given}, pieces), page

    def _authenticate(self, request: Request, now: float) -> Key:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            for organization in self._organizations.values():
                key = organization.keys.get(value.strip())
                if key is not None and key.valid(now):
                    return key
        raise _Refused(answers.unauthorized())

    def _page(
        self, request: Request, organization: Organization, feed: str, now: float, rule: Rule | None
    ) -> tuple[Page, int]:
        query = request.query
        limit = self._limit(query, 200 if feed == "stream" else 25)
        asked = query["cursor"][0] if "cursor" in query else None
        position = self._position(query, asked, feed, organization.id)
        oldest = int((now - self._config.retention) * 1000)
        if feed == "stream":
            applied = rule if rule is not None and rule.what in effects.PAGES else None
            return self._stream.page(organization.feed, position, asked, limit, oldest, applied), limit
        return self._events.page(organization.feed, position, limit, oldest), limit

    def _position(self, query: dict[str, list[str]], asked: str | None, feed: str, ident: str) -> Position:
        if asked is not None:
            try:
                position = self._cursors.read(asked)
            except CursorError as error:
                raise _Refused(answers.refusal("ADMIN-400-1")) from error
            if (position.feed, position.organization) != (feed, ident):
                raise _Refused(answers.refusal("ADMIN-400-1"))
            return position
        lower, upper = _milliseconds(query, "from"), _milliseconds(query, "to")
        if lower is not None and upper is not None and lower > upper:
            raise _Refused(answers.refusal("ADMIN-400-3"))
        order = query.get("sortOrder", ["asc"])[0]
        if order not in {"asc", "desc"}:
            raise _Refused(answers.refusal("ADMIN-400-4"))
        filters = {name: query[name] for name in _FILTERS if name in query} if feed == "events" else {}
        return Position(feed, ident, None, lower, upper, order == "asc", filters)

    def _limit(self, query: dict[str, list[str]], default: int) -> int:
        text = query.get("limit", [str(default)])[0]
        most = 500 if self._config.switches.limit_above_200 == "accepted" else 200
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise _Refused(answers.refusal("ADMIN-400"))
        return int(text)

    def _one(self, organization: Organization, ident: str, now_ms: int, given: dict[str, str]) -> tuple[Response, Page]:
        entry = organization.feed.latest(ident, now_ms)
        if entry is None:
            raise _Refused(answers.refusal("ADMIN-404-4"))
        body = b'{"data":' + without_processed(entry.body) + b"}"
        return Response(200, {**_JSON, **given}, body), Page([entry], None)

    @staticmethod
    def _actions(given: dict[str, str]) -> Response:
        items = [
            {
                "id": action.id,
                "type": "event-actions",
                "attributes": {
                    "displayName": action.display or action.id.replace("_", " ").capitalize(),
                    "groupDisplayName": action.group,
                    "groupDisplayNames": [action.group],
                },
            }
            for action in ACTIONS
        ]
        return Response.json({"data": items, "meta": {"next": None}, "links": {}}, 200, given)

    def _elsewhere(self, request: Request, now: float) -> Response:
        if request.path == "/login":
            return answers.login_page()
        if request.path != "/admin/v1/orgs":
            return answers.refusal("ADMIN-404-1")
        try:
            key = self._authenticate(request, now)
        except _Refused as refused:
            return refused.response
        # A key with scopes sees no organization here, so this path is no good as a health check.
        shown = [] if key.scopes else [{"id": key.organization, "type": "orgs"}]
        return Response.json({"data": shown, "links": {"self": f"{self.base_url}/admin/v1/orgs?{urlencode({})}"}})


def _feed_name(feed: str, event: str | None) -> str:
    if feed == "events-stream":
        return "stream"
    if feed == "event-actions":
        return "actions"
    return "events" if event is None else "event"


def _milliseconds(query: dict[str, list[str]], name: str) -> int | None:
    text = query.get(name, [""])[0]
    if not text:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise _Refused(answers.refusal("ADMIN-400-3"))
    return int(text)
