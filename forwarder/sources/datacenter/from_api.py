"""The audit log of a Data Center product, read through its REST API: newest first, between two moments.

A record has no id, so a window is read as a whole and equal records are numbered in it. Pages go on by the product's
`pageCursor`, which records that arrive meanwhile do not move; where it gives none, by the query of its link or by
offset. Whether the ends of a window are inside is not documented: a millisecond more is asked for on either side, and
what lies outside is left to its own window.

State, JSON: `since` and `until` (epoch ms), `ask`: what to ask beside them, None behind what said it is the last page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from forwarder.contracts import CursorState, Finding, ForwarderError, Held, Page, Retryable
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.net.http import UNREADABLE
from forwarder.normalize.times import TimeReader, TimeWriter
from forwarder.sources.datacenter.coverage import of_configuration
from forwarder.sources.datacenter.own import is_own_search
from forwarder.sources.headers import budget_finding, clock_finding
from forwarder.sources.pages import MemberReader, PageCutter, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.sources.datacenter.access import ApiAccess

_ONWARD = ("pageCursor", "offset", "pageOffset")
_MOST_THINNED = 50
"""Pages in a row that hold searches of ours."""


class _Paging(msgspec.Struct):
    nextPageCursor: Any = None  # noqa: N815 -- the API's names, here and below
    nextPageLink: Any = None  # noqa: N815
    nextPageOffset: Any = None  # noqa: N815
    lastPage: Any = None  # noqa: N815


class _Found:
    """What the answers to one fetch hold that counts."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.minutes: list[str] = []
        self.newest: int | None = None
        self.own = 0


class FromApi:
    """Reads windows of one product's records.

    Args:
        access: To the product.
        keys: Of the feed.
        limit: Records to ask for at once.
        account: Whose searches are ours, when the product does not say whom it takes us for.
        deliver_own: Whether our own searches are records like any other.
    """

    def __init__(self, access: ApiAccess, keys: EventKeys, limit: int, account: str, *, deliver_own: bool) -> None:
        self._access = access
        self._keys = keys
        self._limit = limit
        self._account = account
        self._deliver_own = deliver_own
        self._pages = PageCutter("entities", ("pagingInfo",))
        self._times = MemberReader("timestamp")
        self._read, self._write = TimeReader(), TimeWriter()

    def walk(self, since_ms: int, until_ms: int | None) -> CursorState:
        """Return the state that begins to read a window."""
        until = until_ms if until_ms is not None else int(self._access.clock.time() * 1000)
        return {"since": since_ms, "until": until, "ask": {}}

    async def fetch(self, state: CursorState) -> Page:
        """Fetch a page, and what follows it as long as searches of ours take the places of records in it.

        Raises Retryable, Held, AuthFailed or CursorLost.
        """
        found = _Found()
        for _ in range(_MOST_THINNED):
            if state["ask"] is None:
                break
            before = found.own
            state = await self._ask(state, found)
            # By offset, what arrives meanwhile moves the pages: then the window is halved until it is one page.
            is_firm = "pageCursor" in (state["ask"] or ())
            if found.records and (not is_firm or found.own == before or len(found.records) >= self._limit):
                break
        else:
            raise Retryable("page after page holds nothing that counts", kind="too_many_events", smaller=True)
        is_end = state["ask"] is None
        after = {**state, "ask": {}} if is_end and not found.records else state
        return Page(
            bodies=found.records,
            keys=[self._keys.derived(record) for record in found.records],
            digests=content_digests(found.records),
            minutes=found.minutes,
            derived=frozenset(range(len(found.records))),
            next=after,
            more=not is_end and bool(found.records),
            newest=found.newest,
            own=found.own,
        )

    def why_foreign(self, body: bytes) -> str:
        """Say why a JSON object is none of these records, or nothing."""
        return "it is not an audit record of Data Center: no timestamp" if self._time_of(body) is None else ""

    def pages_of(self, bodies: Sequence[bytes]) -> list[Page]:
        """Return records that were kept in an archive as a page; equal ones count as one."""
        times = [self._time_of(body) for body in bodies]
        page = Page(
            bodies=bodies,
            keys=[self._keys.derived(body) for body in bodies],
            digests=content_digests(bodies),
            minutes=["" if time is None else self._write.write(time)[:16] for time in times],
            derived=frozenset(range(len(bodies))),
            next={},
            newest=max((time for time in times if time is not None), default=None),
        )
        return [page]

    async def _ask(self, state: CursorState, found: _Found) -> CursorState:
        """Ask once, add what counts, and return where it goes on."""
        edges = {"from": self._moment(state["since"] - 1), "to": self._moment(state["until"] + 1)}
        response = await self._access.get("/events", {**edges, "limit": str(self._limit), **state["ask"]})
        body = response.body
        del response
        bodies, members = await self._pages.open_patiently(body)
        del body
        accounts = frozenset(name.casefold() for name in (self._account or self._access.account,) if name)
        for record in bodies:
            moment = self._time_of(record)
            if moment is not None and not state["since"] <= moment <= state["until"]:
                continue
            if moment is not None and (found.newest is None or moment > found.newest):
                found.newest = moment
            if not self._deliver_own and is_own_search(record, accounts, by_any_name=bool(self._account)):
                found.own += 1
                continue
            found.records.append(record)
            found.minutes.append("" if moment is None else self._write.write(moment)[:16])
        onward = _onward(members, state["ask"], len(bodies), self._limit)
        if onward is not None and onward == state["ask"]:
            raise Retryable("the API leads from a page to the same page again", kind="loop")
        return {**state, "ask": onward}

    def _moment(self, ms: int) -> str:
        return self._write.write(max(ms, 0))

    def _time_of(self, record: bytes) -> int | None:
        text = text_of(self._times.read(record)[0])
        return self._read.read(text) if text else None

    # --------------------------------------------------------------------------------------------------------- probe

    async def probe(self) -> list[Finding]:
        """Ask for the newest record, and for what the product is set to record and to keep."""
        try:
            response = await self._access.get("/events", {"limit": "1"})
            bodies, _ = self._pages.open(response.body)
        except Held as error:
            return [Finding("token", ok=False, detail=error.reason, fix=error.fix)]
        except ForwarderError as error:
            fix = getattr(error, "fix", "") or "Try again in some minutes; look for a proxy in between."
            return [Finding("answer", ok=False, detail=str(error), fix=fix)]
        newest = self._time_of(bodies[0]) if bodies else None
        detail = f"the newest record is of {self._write.write(newest)}" if newest is not None else "it holds no record"
        return [
            Finding("token", ok=True, detail="it may read the audit log"),
            Finding("log", ok=True, detail=detail),
            self._own_finding(),
            clock_finding(response.headers, self._access.clock.time()),
            budget_finding(response),
            *await of_configuration(self._access),
        ]

    def _own_finding(self) -> Finding:
        account = self._account or self._access.account
        if self._deliver_own:
            return Finding("own searches", ok=True, detail="each request is recorded there, and delivered")
        if account:
            detail = f"each request is recorded there as a search by {account}, and left out and counted"
            return Finding("own searches", ok=True, detail=detail)
        return Finding(
            "own searches",
            ok=True,
            detail="each request is recorded there as a search, by whom the product does not say; all are delivered",
            fix="Set account to the name that these records have as author, and use it for nothing else.",
        )

    async def close(self) -> None:
        """Release the connections. Safe to call twice."""
        await self._access.close()


def _onward(members: Mapping[str, bytes], asked: Mapping[str, str], count: int, limit: int) -> dict[str, str] | None:
    """Return what to ask next, or None when the product says that this is all: on a page that is not full."""
    try:
        paging = msgspec.json.decode(members.get("pagingInfo", b"{}"), type=_Paging)
    except UNREADABLE:
        paging = _Paging()
    cursor = paging.nextPageCursor
    if isinstance(cursor, str) and 0 < len(cursor) <= 200:
        return {"pageCursor": cursor}
    linked = _query_of(paging.nextPageLink)
    if linked and linked != dict(asked):
        return linked
    if paging.lastPage is True and count < limit:
        return None
    if count == 0 and not asked:
        return None
    offset = paging.nextPageOffset
    text = asked.get("offset", "0")
    before = int(text) if text.isascii() and text.isdecimal() else 0
    if type(offset) is not int or offset <= before:
        offset = before + count
    return {**asked, "offset": str(offset)} if count else None


def _query_of(link: Any) -> dict[str, str]:
    """Return what a link asks beside the window; where it leads is not looked at."""
    if not isinstance(link, str) or len(link) > 4000:
        return {}
    try:
        found = parse_qsl(urlsplit(link).query, max_num_fields=30)
    except ValueError:
        return {}
    return {name: value for name, value in found if name in _ONWARD and len(value) <= 200}
