"""The audit APIs of Jira and Confluence sites: pages by offset over a list that grows at its front.

A site answers under `/site/<name>`, where the real one has a host of its own, and under `/ex/<product>/<cloud id>`, as
the API gateway does. Tokens without scopes are good for the first, tokens with scopes for the second. The order of a
request is that of the organizations API: fault, credential, permission, rate limit, parameters, page, wire.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from simulator import answers, effects
from simulator.faults import FaultScript, Occasion, Rule
from simulator.http_types import Request, Response
from simulator.limits import RateLimiter
from simulator.products.credentials import basic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulator.config import SimulatorConfig
    from simulator.feed import Entry
    from simulator.ledger import Ledger
    from simulator.products.deeds import Product
    from simulator.products.log import ProductLog
    from simulator.products.site import CloudSite

_ROUTE = re.compile(
    r"/(?:site/(?P<name>[^/]+)|ex/(?P<gateway>jira|confluence)/(?P<cloud>[^/]+))"
    r"/(?P<path>rest/api/[23]/auditing/record|wiki/rest/api/audit(?:/retention)?|_edge/tenant_info)"
)
_JSON = {"content-type": "application/json;charset=UTF-8"}
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?))?(Z|[+-]\d\d:?\d\d)?")
JIRA_MOST = 1_000
_PLAYED = {*effects.ANSWERS, *effects.WIRES, *effects.CLOCKS}
"""Faults that products play."""


class _Page(NamedTuple):
    response: Response
    entries: Sequence[Entry] = ()


class _Refused(Exception):
    def __init__(self, response: Response) -> None:
        self.response = response


class CloudProducts:
    """Answers for every site of every organization.

    Args:
        config: Settings.
        sites: By name and by cloud id.
        ledger: Gets every request.
        script: Faults; the feed of a request is the product's name.
        clock: Returns epoch seconds.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        sites: list[CloudSite],
        ledger: Ledger,
        script: FaultScript,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._sites = {name: site for site in sites for name in (site.name, site.cloud_id)}
        self._ledger = ledger
        self._script = script
        self._clock = clock
        limits = config.limits
        most = config.products.requests or limits.events
        self._limiter = RateLimiter(limits.model_copy(update={"events": most}))
        self._pages = {"jira": self._jira, "confluence": self._confluence}

    def route(self, path: str) -> re.Match[str] | None:
        """Return the route of a path, or None when it is not a site's."""
        return _ROUTE.fullmatch(path)

    def answer(self, request: Request, route: re.Match[str]) -> Response:
        """Answer one request."""
        now = self._clock()
        response, ahead = self._answer(request, route, now)
        return answers.dated(response, now + ahead)

    def _answer(self, request: Request, route: re.Match[str], now: float) -> tuple[Response, float]:
        site = self._sites.get(route["name"] or route["cloud"])
        if route["path"] == "_edge/tenant_info":
            none = _message(404, "Site temporarily unavailable")
            return Response.json({"cloudId": site.cloud_id}) if site else none, 0.0
        product: Product = "jira" if "auditing" in route["path"] else "confluence"
        if site is None or (route["gateway"] or product) != product:
            return _message(404, "No such site, or no permission to see it"), 0.0
        log = site.logs[product]
        due = self._script.due(Occasion(product, log.name, site.number, now))
        rule = next((rule for rule in due if rule.what in _PLAYED), None)
        page, torn = _Page(Response()), False
        if rule is not None and rule.what in effects.ANSWERS:
            page = _Page(_answer(rule, now))
        else:
            try:
                page = self._serve(request, route, site, log, now)
                if rule is not None and rule.what in effects.WIRES:
                    torn = effects.spoil(rule, page.response)
            except _Refused as refused:
                page, rule = _Page(refused.response), None
        if rule is not None:
            self._script.fire(rule, now)
        label = rule.label if rule is not None else ""
        status = page.response.status
        self._ledger.note(now, log.name, product, request.query_string, status, page.entries, torn=torn, fault=label)
        return page.response, rule.ahead if rule is not None and rule.what in effects.CLOCKS else 0.0

    def _serve(self, request: Request, route: re.Match[str], site: CloudSite, log: ProductLog, now: float) -> _Page:
        if request.method != "GET":
            raise _Refused(_message(405, "Method Not Allowed"))
        token = self._token(request, site, scoped=route["gateway"] is not None)
        if self._config.products.plan == "free" or not site.may_read:
            raise _Refused(_message(403, "The audit log is not available to this user or plan"))
        allowed, given = self._limiter.take(token, log.name, now)
        if not allowed:
            raise _Refused(
                Response.json(
                    {"message": "Rate limit exceeded"}, 429, {**given, "RateLimit-Reason": "jira-burst-based"}
                )
            )
        if route["path"].endswith("/retention"):
            return _Page(Response.json({"number": 1, "units": "Years"}, 200, given))
        return self._pages[log.product](request, log, int(now * 1000), given)

    def _token(self, request: Request, site: CloudSite, *, scoped: bool) -> str:
        email, token = basic(request)
        wanted = site.scoped_token if scoped else site.token
        if (email, token) == (site.email, wanted):
            return token
        if self._config.products.login == "page":
            raise _Refused(answers.login_page())
        if self._config.products.login == "redirect":
            raise _Refused(answers.redirect("/login?continue=audit"))
        words = "Unauthorized" if scoped else "Client must be authenticated to access this resource."
        raise _Refused(Response.json({"code": 401, "message": words}, 401))

    # ----------------------------------------------------------------------------------------------------- products

    def _jira(self, request: Request, log: ProductLog, now_ms: int, given: dict[str, str]) -> _Page:
        query = request.query
        products = self._config.products
        step = 1000 if products.jira_times == "seconds" else 1
        lower, upper = (None if at is None else at // step * step for at in (_date(query, "from"), _date(query, "to")))
        offset = _whole(query, "offset", 0)
        limit = min(_whole(query, "limit", JIRA_MOST), JIRA_MOST)
        inside = 1 if products.jira_bounds == "exclusive" else 0
        found = log.newest_first(
            now_ms, None if lower is None else lower + inside, None if upper is None else upper - inside
        )
        if lower is not None and upper is not None and lower >= upper:
            found = []
        page = found[offset : offset + limit]
        total = len(found) + (products.total_excess if found else 0)
        head = b'{"offset":%d,"limit":%d,"total":%d,"records":[' % (offset, limit, total)
        body = head + b",".join([entry.body for entry in page]) + b"]}"
        return _Page(Response(200, {**_JSON, **given}, body), page)

    def _confluence(self, request: Request, log: ProductLog, now_ms: int, given: dict[str, str]) -> _Page:
        query = request.query
        lower, upper = _whole(query, "startDate", None), _whole(query, "endDate", None)
        start = _whole(query, "start", 0)
        limit = min(_whole(query, "limit", 1000), self._config.products.confluence_most)
        found = log.newest_first(now_ms, lower, upper)
        page = found[start : start + limit]
        links = {"base": f"https://{log.site.name}.example.net/wiki", "context": "/wiki", "self": request.target}
        if start + limit < len(found):
            asked = {name: values[0] for name, values in query.items()} | {
                "start": str(start + limit),
                "limit": str(limit),
            }
            links["next"] = f"/rest/api/audit?{urlencode(asked, quote_via=quote)}"
        tail = b'],"start":%d,"limit":%d,"size":%d,"_links":' % (start, limit, len(page))
        shown = Response.json(links).body
        body = b'{"results":[' + b",".join([entry.body for entry in page]) + tail + bytes(shown) + b"}"  # type: ignore[arg-type]
        return _Page(Response(200, {**_JSON, **given}, body), page)


def _message(status: int, words: str) -> Response:
    data = {"authorized": status not in {401, 403}, "errors": []}
    return Response.json({"statusCode": status, "data": data, "message": words}, status)


def _too_many(given: dict[str, str]) -> Response:
    return Response.json({"message": "Rate limit exceeded"}, 429, {**given, "RateLimit-Reason": "jira-burst-based"})


def _answer(rule: Rule, now: float) -> Response:
    if rule.what == "rate_limit":
        waits = {"Retry-After": str(max(1, round(rule.wait)))} if rule.shape != "none" else {}
        return _too_many(waits)
    if rule.what == "forbidden":
        return _message(403, "The audit log is not available to this user or plan")
    if rule.what == "not_found":
        return _message(404, "No such site, or no permission to see it")
    return effects.ANSWERS[rule.what](rule, now)


def _whole(query: dict[str, list[str]], name: str, default: Any) -> Any:
    text = query.get(name, [""])[0]
    if not text:
        return default
    if not text.isdecimal() or len(text) > 15:
        raise _Refused(_message(400, f"{name} is not a whole number"))
    return int(text)


def _date(query: dict[str, list[str]], name: str) -> int | None:
    text = query.get(name, [""])[0]
    if not text:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise _Refused(Response.json({"errorMessages": [f"{name}: {text} is not a date"], "errors": {}}, 400))
    day, hour, zone = found.groups()
    moment = datetime.fromisoformat(f"{day}T{hour or '00:00'}{(zone or 'Z').replace('Z', '+00:00')}")
    return round(moment.astimezone(UTC).timestamp() * 1000)
