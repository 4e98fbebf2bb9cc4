"""Confluence Cloud's own audit records: newest first by offset, between two moments that are inside.

A record has no id: equal ones are numbered by whoever reads a window as a whole. `_links.next` is a relative address
with what to ask next; only its query is used, for where to ask is ours to say, and so is the window. How long records
are kept is an administrator's choice. (developer.atlassian.com, Confluence Cloud REST v1, "Audit")

State, JSON: `since` and `until` (epoch ms), `ask`: the query of the page, None for the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import msgspec

from forwarder.contracts import CursorState, Finding, ForwarderError, Held, Page, plain
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.net.http import UNREADABLE
from forwarder.normalize.times import LAST_MS, TimeWriter
from forwarder.sources.pages import MemberReader, PageCutter, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.sources.site.access import SiteAccess

PATH = "/wiki/rest/api/audit"
_LONGEST_LINK = 4000
_MOST_PARAMETERS = 20


class _Links(msgspec.Struct):
    next: str | None = None


class _Retention(msgspec.Struct):
    number: int
    units: str


_links = msgspec.json.Decoder(_Links).decode
_whole = msgspec.json.Decoder(int).decode


class ConfluenceRecords:
    """Reads windows of one site's records.

    Args:
        access: To Confluence on that site.
        keys: Of this feed and site.
        limit: Records to ask for at once.
    """

    def __init__(self, access: SiteAccess, keys: EventKeys, limit: int) -> None:
        self._access = access
        self._keys = keys
        self._limit = limit
        self._pages = PageCutter("results", ("limit", "_links"))
        self._times = MemberReader("creationDate")
        self._write = TimeWriter()

    def walk(self, since_ms: int, until_ms: int) -> CursorState:
        """Return the state that begins to read a window."""
        return {"since": since_ms, "until": until_ms, "ask": None}

    async def fetch(self, state: CursorState) -> Page:
        """Fetch a page. Raises Retryable or Held."""
        onward = state["ask"] or {"start": "0", "limit": str(self._limit)}
        # Times before 1970 are none to this API, and nothing was recorded then.
        edges = {"startDate": str(max(state["since"], 0)), "endDate": str(max(state["until"], 0))}
        response = await self._access.get(PATH, {**onward, **edges})
        body = response.body
        del response
        bodies, members = await self._pages.open_patiently(body)
        del body  # up to 64 MB, of which each record is a copy by now
        page = self.page_of(bodies)
        after = {**state, "ask": _next(members, onward, edges, len(bodies))}
        return msgspec.structs.replace(page, next=after, more=len(bodies) >= _most(members, self._limit))

    def why_foreign(self, body: bytes) -> str:
        """Say why a JSON object is none of these records, or nothing."""
        return "it is not an audit record of Confluence: no creationDate" if self._created(body) is None else ""

    def page_of(self, bodies: Sequence[bytes]) -> Page:
        """Return records as a page; equal ones count as one."""
        times = [self._created(body) for body in bodies]
        return Page(
            bodies=bodies,
            keys=[self._keys.derived(body) for body in bodies],
            digests=content_digests(bodies),
            minutes=["" if time is None else self._write.write(time)[:16] for time in times],
            derived=frozenset(range(len(bodies))),
            next={},
            newest=max((time for time in times if time is not None), default=None),
        )

    def _created(self, body: bytes) -> int | None:
        """Return when a record was made, epoch milliseconds; None when that is no such number."""
        text = text_of(self._times.read(body)[0]) or ""
        time = int(text) if text.isdecimal() and len(text) <= 15 else None
        return time if time is not None and time <= LAST_MS else None

    async def probe(self) -> list[Finding]:
        """Ask for the newest record, and for how long records are kept."""
        findings, response = await self._access.survey(PATH, {"limit": "1", "start": "0"})
        if response is None:
            return findings
        try:
            bodies, _ = self._pages.open(response.body)
        except ForwarderError as error:
            return [*findings, Finding("log", ok=False, detail=str(error), fix=getattr(error, "fix", ""))]
        return [*findings, self._log_finding(bodies), *await self._windows(bodies), await self._retention()]

    async def _windows(self, bodies: Sequence[bytes]) -> list[Finding]:
        """Say whether a record is found by its own time: else nothing could be read by it."""
        created = self._created(bodies[0]) if bodies else None
        if created is None:
            return []
        try:
            if (await self.fetch(self.walk(created, created))).bodies:
                return [Finding("windows", ok=True, detail="records are found by their time")]
        except (Held, ForwarderError) as error:
            return [Finding("windows", ok=False, detail=str(error), fix=getattr(error, "fix", ""))]
        fix = "Report it: nothing is read reliably until this is understood."
        return [Finding("windows", ok=False, detail="the newest record is not found by its own time", fix=fix)]

    def _log_finding(self, bodies: Sequence[bytes]) -> Finding:
        if not bodies:
            fix = "See Confluence's settings, Audit log: when it lists records, this account does not see them."
            return Finding("log", ok=True, detail="it holds no record", fix=fix)
        created = self._created(bodies[0])
        when = self._write.write(created) if created is not None else "an unknown time"
        return Finding("log", ok=True, detail=f"the newest record is of {when}")

    async def _retention(self) -> Finding:
        """Say how long records are kept; that this cannot be told harms nothing."""
        try:
            response = await self._access.get(f"{PATH}/retention", {})
            kept = msgspec.json.decode(response.body, type=_Retention)
            units = plain(kept.units, 20).lower()
            detail = f"records are kept for {kept.number} {units.removesuffix('s') if kept.number == 1 else units}"
        except (Held, ForwarderError, *UNREADABLE):
            detail = "it does not say how long records are kept; a year is the default"
        return Finding("retention", ok=True, detail=detail)


def _most(members: Mapping[str, bytes], asked: int) -> int:
    """Return how many records are on a full page: what was asked for, or fewer where the server says so."""
    try:
        limit = _whole(members.get("limit", b"0"))
    except UNREADABLE:
        return asked
    return limit if 0 < limit < asked else asked


def _next(
    members: Mapping[str, bytes], asked: Mapping[str, str], edges: Mapping[str, str], count: int
) -> dict[str, str]:
    """Return the query of the next page: the one that the answer links to, else by how many records came."""
    try:
        link = _links(members.get("_links", b"{}")).next or ""
        found = parse_qsl(urlsplit(link[:_LONGEST_LINK]).query, max_num_fields=_MOST_PARAMETERS)
    except (*UNREADABLE, ValueError):
        found = []
    query = {name: value for name, value in found if name not in edges}
    if query.keys() & {"start", "cursor"} and query != dict(asked):
        return query
    start = asked.get("start", "0")
    return {**asked, "start": str((int(start) if start.isdecimal() else 0) + count)}
