"""The audit log of an Atlassian organization, followed through `/events-stream`.

The stream is sorted by processing time, so that late events are not missed; its cursor can be kept at the tip and
asked again (developer.atlassian.com, "Poll events migration"). What a page means is in `reading`, what a refusal
means in `refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from forwarder.contracts import (
    AuthFailed,
    CursorLost,
    CursorState,
    Endpoint,
    Finding,
    ForwarderError,
    Held,
    HttpConfig,
    ListedAction,
    Normalizer,
    Origin,
    Page,
    Received,
    Retryable,
    Secret,
    SourceConfig,
    SourceContext,
    TlsConfig,
    WebhookConfig,
    plain,
)
from forwarder.contracts.credentials import Expiry
from forwarder.contracts.declared import BeforeValidator, Field, PydanticCustomError, field_validator
from forwarder.contracts.export import ExportedRow, SeenEvent
from forwarder.contracts.identity import EventKeys
from forwarder.net.http import HttpClient, Response, check_url
from forwarder.sources.clients import Clients
from forwarder.sources.credentials import Asked, Credentials
from forwarder.sources.headers import budget_finding, clock_finding
from forwarder.sources.organization import ends, exported
from forwarder.sources.organization.actions import LONGEST_PAGE, read_list
from forwarder.sources.organization.cursors import is_sendable, onward_of
from forwarder.sources.organization.heads import PAGES, heads_of, why_no_event
from forwarder.sources.organization.limits import Limits, Repeats
from forwarder.sources.organization.reading import EMPTY_PAGES_TO_TIP, Reading
from forwarder.sources.organization.refusals import LOST_CURSOR, Refusals, error_of
from forwarder.sources.organization.webhook import Pushes

HIGHEST_LIMIT, SAFE_LIMIT = 500, 200
"""Seen to be accepted in public code; documented default."""

_MOST_SENT = 8
"""Keys of before that an answer which is still on its way may repeat."""


def _organization_id(value: Any) -> Any:
    """Refuse what stands in its place: the address of a page, a host, a name."""
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9-]*", value):
        return value
    if "/o/" in value or value.startswith("o/"):
        problem = "the address of a page, not the id in it; write what stands behind /o/ up to the next slash"
    elif "." in value or "/" in value:
        problem = "an address, not an id; open Atlassian Administration and write what stands behind /o/ in its address"
    else:
        problem = "not the id of an organization; write the letters, digits and dashes behind /o/ in the address bar"
    raise PydanticCustomError("org_id", "{problem}", {"problem": problem})


class OrganizationConfig(SourceConfig):
    """The audit log of an Atlassian organization. Needs Atlassian Guard or an Enterprise plan."""

    CREDENTIALS = ("api_key",)

    type: Literal["organization"]
    """Which kind of source this is."""
    org_id: Annotated[str, BeforeValidator(_organization_id), Field(min_length=1, max_length=100)]
    """Organization id; it is in the address bar of Atlassian Administration."""
    api_key: Secret
    """Organization API key with the scope `read:events:admin`."""
    api_key_expires_at: Expiry | None = None
    """Last day of the key, such as `2027-01-31`, or the moment of its end, as Atlassian shows it; counted down 30, 7
    and 1 days before in `check`, `doctor`, status, log and metrics."""
    api_key_expires: Expiry | None = None
    """Another name of `api_key_expires_at`."""
    api_key_next: Secret | None = None
    """The key that follows: it takes over when the first one is refused or has ended."""
    api_key_next_expires_at: Expiry | None = None
    """Last day of `api_key_next`, or the moment of its end."""
    base_url: str = "https://api.atlassian.com"
    """Where the API is; change it when Atlassian gave your organization a host of its own."""
    limit: Annotated[int, Field(ge=1, le=500)] = HIGHEST_LIMIT
    """Events to ask for at once; falls back to 200 when the API refuses it."""
    insecure: bool = False
    """Allow `http://` to another machine; for a laboratory only."""
    tls: TlsConfig = TlsConfig()
    """TLS settings."""
    http: HttpConfig = HttpConfig()
    """HTTP settings."""
    webhook: WebhookConfig | None = None
    """Where the organization's audit-log webhook sends events ahead of the stream; the stream still proves that none is
    missing."""

    @field_validator("base_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def of_organization(self) -> str:
        """Return the organization of the settings."""
        return self.org_id


class OrganizationSource:
    """Follows the events of one organization; two requests at a time, of which one may hang."""

    Config: ClassVar[type[SourceConfig]] = OrganizationConfig
    feed: ClassVar[str] = "organization"
    reads: ClassVar[Literal["stream", "windows"]] = "stream"
    keeps_to_an_end: ClassVar[bool] = True
    retention_ms: ClassVar[int | None] = 180 * 86_400_000
    """Support article "View audit log activities": 180 days."""

    def __init__(self, config: OrganizationConfig, context: SourceContext) -> None:
        check_url(config.base_url, insecure=config.insecure, setting="base_url")
        self._config = config
        self._clock = context.clock
        self._budget = context.budget
        self._clients = Clients(self._new_client)
        self._path = f"/admin/v1/orgs/{config.org_id}/events-stream"
        self._limits = Limits(config.limit)
        self._repeats = Repeats()
        self.credentials = Credentials(config.credentials, context.clock)
        self._sent: tuple[str, ...] = ()  # keys, as they were sent lately
        self.origin = Origin(source=context.name, feed=self.feed, organization=config.org_id)
        self._refusals = Refusals(config.org_id, context.budget, context.clock)
        keys = EventKeys(self.feed, self.origin.scope)
        self.webhook = config.webhook
        self._pushes = Pushes(keys)
        self._reading = Reading(keys, config.overlap * 1000)
        self._reader: Normalizer | None = None

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives these events their meaning."""
        from forwarder.sources.organization.normalizer import OrganizationNormalizer  # noqa: PLC0415 -- `check` has no use for it

        return OrganizationNormalizer()

    def walk(self, since_ms: int, until_ms: int | None = None) -> CursorState:
        """Return the state of a cursor that begins at `since_ms`, and ends at `until_ms` when that is given.

        Whether the bounds are inside is unknown, so a walk with an end asks for a millisecond more on either side.
        """
        if until_ms is None:
            return {"cursor": None, "from": since_ms}
        return {"cursor": None, "from": max(since_ms - 1, 0), "to": until_ms + 1}

    async def fetch(self, state: CursorState) -> Page:
        """Fetch the page at `state`; after an answer that was too much, the next time a smaller one."""
        cursor = state.get("cursor")
        if cursor is not None and not is_sendable(cursor):
            raise CursorLost("the stored cursor is longer than can be sent")
        try:
            page = await self._fetch(state)
        except Retryable as error:
            raise self._limits.failed(state, error) from None
        page = ends.kept(state, page)
        self._limits.passed(state, page.next)
        return page

    def by_time(self, state: CursorState, at_ms: int) -> CursorState:
        """Return the state that goes on without any cursor after `at_ms` (epoch milliseconds, processing time)."""
        return ends.with_end(state, self._reading.begin_steps(state, at_ms, self._now_ms()))

    async def _fetch(self, state: CursorState) -> Page:
        limit = self._limits.at(state)
        try:
            page = await self._read(state, limit)
        except Held as error:
            if error.kind != "no_cursor" or limit >= HIGHEST_LIMIT:
                raise
            page = await self._read(state, HIGHEST_LIMIT)  # more events carry one time than were asked for
            if limit >= self._limits.cap:
                if len(page.bodies) <= limit:
                    raise
                self._limits = Limits(self._config.limit)  # the server cuts its pages no more
        looks_like_tip = page.done and page.bodies and "at" not in page.next
        if looks_like_tip and self._repeats.doubts(state, page.digests) and await self._is_capped(state, page, limit):
            self._limits.cut_at(len(page.bodies))
            return await self._read(state, len(page.bodies))
        return page

    async def _read(self, state: CursorState, limit: int) -> Page:
        if ends.is_behind(state):
            return Page(bodies=(), keys=(), digests=(), minutes=(), next=state, done=True)
        response = await self._ask(state, limit)
        headers, body = response.headers, response.body
        self._budget.observe(headers)
        bodies, members = await PAGES.open_patiently(body)
        del response, body  # up to 64 MB, of which each event is a copy by now
        bodies, onward = ends.inside(state, bodies, onward_of(members, headers))
        full = len(bodies) >= (min(limit, SAFE_LIMIT) if self._limits.most == SAFE_LIMIT else limit)
        return self._reading.page(state, bodies, onward, full=full, now_ms=self._now_ms())

    async def _is_capped(self, state: CursorState, page: Page, limit: int) -> bool:
        """Tell whether something follows a page that names no next one, and does not come where it should.

        What came into being between two requests is no sign: it must be missing when the first is asked again.
        """
        if page.newest is None:
            return False
        try:
            unseen: set[bytes] = set()
            for since in (page.newest - 1, page.newest + 1):  # all that was given may carry one time
                beyond = await self._read(ends.with_end(state, {"cursor": None, "from": since}), limit)
                unseen |= set(beyond.digests) - set(page.digests)
            return bool(unseen) and unseen.isdisjoint((await self._read(state, limit)).digests)
        except (Retryable, Held, CursorLost):
            return False  # the page itself is good, and is doubted again later

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where the API is."""
        return [Endpoint.of_url(self._config.base_url, self._config.tls, self._config.http)]

    def receive(self, body: bytes) -> Received:
        """Read what the audit-log webhook sends."""
        return self._pushes.read(body)

    def why_foreign(self, body: bytes) -> str:
        """Say why a JSON object is no event of the audit log, or nothing."""
        return why_no_event(body)

    def pages_of(self, bodies: Sequence[bytes]) -> list[Page]:
        """Return events that were kept in an archive as a page."""
        return [self._reading.page_of(bodies)]

    def event_of(self, row: ExportedRow) -> bytes:
        """Return the event that a row of an exported table stands for."""
        return exported.event_of(row)

    def seen_in(self, bodies: Sequence[bytes], minutes: Collection[str]) -> list[SeenEvent]:
        """Return what events say that happened in these minutes."""
        self._reader = self._reader or self.normalizer()
        return exported.seen_in(self._reader, self.origin, bodies, minutes)

    async def probe(self) -> list[Finding]:
        """Ask for the oldest event: that tells of the key and the plan, and its headers of the clock and the budget."""
        response: Response | None = None
        findings: list[Finding] = []
        try:
            since = int(self._clock.time() * 1000) - (self.retention_ms or 0)
            smallest = {"from": str(since), "limit": "1", "sortOrder": "asc"}
            asked = await self._request(smallest)
            response = asked.response
            self._raise_for(asked)
            findings.append(Finding("key", ok=True, detail="it may read the organization's events"))
            findings.append(await self._probe_log(response))
        except Held as error:
            findings.append(Finding("key" if not findings else "log", ok=False, detail=error.reason, fix=error.fix))
        except ForwarderError as error:
            fix = "Try again in some minutes; look at Atlassian's status page, and for a proxy in between."
            findings.append(Finding("answer", ok=False, detail=str(error), fix=fix))
        if response is not None:
            findings.append(clock_finding(response.headers, self._clock.time()))
            findings.append(budget_finding(response))
            findings += await self.credentials.try_each(partial(self._send, smallest, self._path, self._clients, None))
        return findings + self.credentials.findings()

    async def _probe_log(self, response: Response) -> Finding:
        """Say whether there is any event; a page may be empty and have a next one."""
        for _ in range(EMPTY_PAGES_TO_TIP):
            bodies, members = PAGES.open(response.body)
            if bodies:
                seen = heads_of(bodies)[0].attributes
                moment = plain((seen.processedAt or seen.time or "") if seen else "", 40)
                return Finding("log", ok=True, detail=f"the oldest event is of {moment or 'an unknown time'}")
            cursor = onward_of(members, response.headers).cursor
            if cursor is None:
                break
            asked = await self._request({"cursor": cursor, "limit": "1"})
            self._raise_for(asked, cursor)
            response = asked.response
        return Finding(
            "log",
            ok=False,
            detail="it holds no event of the last 180 days",
            fix="Check that the organization has Atlassian Guard or an Enterprise plan; else nothing is recorded.",
        )

    async def actions(self) -> list[ListedAction]:
        """Ask for every action the organization knows. What goes wrong here is no objection to the stream's pace."""
        clients, path = Clients(self._new_client), f"/admin/v1/orgs/{self._config.org_id}/event-actions"

        async def ask(cursor: str | None) -> bytes:
            where = {"cursor": cursor} if cursor else {}
            response = (await self._request(where, path=path, clients=clients, most=LONGEST_PAGE)).response
            if response.status != 200:
                code, title = error_of(response, secrets=self._sent)
                raise Retryable(f"the API answers {response.status} {code} {title}".rstrip())
            return response.body

        try:
            found = await read_list(ask)
        finally:
            await clients.close()
        self._reading.learn(found)
        return found

    async def close(self) -> None:
        """Release the connection."""
        await self._clients.close()

    # ------------------------------------------------------------------------------------------------- one request

    async def _ask(self, state: CursorState, limit: int) -> Response:
        """Ask once, and once more with a smaller limit when that is what the API refuses."""
        cursor = state.get("cursor")
        where = {"cursor": cursor} if cursor else {"from": str(state["from"]), "sortOrder": "asc", **ends.bound(state)}
        asked = await self._request({**where, "limit": str(limit)})
        if asked.response.status == 400 and limit > SAFE_LIMIT and error_of(asked.response)[0] != LOST_CURSOR:
            asked = await self._request({**where, "limit": str(SAFE_LIMIT)})
            if asked.response.status == 200:
                self._limits.most = SAFE_LIMIT
        self._raise_for(asked, cursor)
        return asked.response

    def _new_client(self) -> HttpClient:
        config = self._config
        return HttpClient(base_url=config.base_url, http=config.http, tls=config.tls, insecure=config.insecure)

    async def _request(
        self,
        params: dict[str, str],
        *,
        path: str | None = None,
        clients: Clients | None = None,
        most: int | None = None,
    ) -> Asked:
        send = partial(self._send, params, path or self._path, clients or self._clients, most)
        asked = await self.credentials.ask(send)
        self._sent = tuple(dict.fromkeys((*asked.sent, *self._sent)))[:_MOST_SENT]
        return asked

    async def _send(self, params: dict[str, str], path: str, clients: Clients, most: int | None, key: str) -> Response:
        headers = {"authorization": f"Bearer {key}", "accept": "application/json", "accept-encoding": "gzip"}
        async with clients.borrowed() as client:
            return await client.request("GET", path, params=params, headers=headers, most=most)

    def _raise_for(self, asked: Asked, cursor: str | None = None) -> None:
        error = self._refusals.error(asked.response, keys=self._sent, cursor=cursor)
        if isinstance(error, AuthFailed):
            raise asked.explained(error)
        if error is not None:
            raise error
