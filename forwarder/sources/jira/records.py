"""Jira Cloud's own audit records: pages by offset, newest first, between two moments.

`total` counts more than can be fetched, and nothing is believed of it, nor of the order: the engine reads windows until
they fit one page or come to their end. The precision of `from` and `to` is not documented. Public code sends whole
seconds with `Z`, so these are sent, with a second around the window: it does not matter whether the API cuts fractions
off and whether it includes its bounds; with `from` = `to` it gives nothing. What a neighbouring window holds as well is
known by its id. (developer.atlassian.com, Jira Cloud REST v3, "Audit records")
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import CursorState, Finding, Held, Page, Retryable, plain
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.normalize.times import EPOCH, TimeReader, TimeWriter
from forwarder.sources.pages import MemberReader, PageCutter, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.sources.site.access import SiteAccess

PATH = "/rest/api/3/auditing/record"
HIGHEST_LIMIT = 1000
"""Documented default, and the most that is given (JRACLOUD-93153)."""

STEP_MS = 1000


class JiraRecords:
    """Reads windows of one site's records.

    Args:
        access: To Jira on that site.
        keys: Of this feed and site.
        limit: Records to ask for at once.
    """

    def __init__(self, access: SiteAccess, keys: EventKeys, limit: int) -> None:
        self._access = access
        self._keys = keys
        self._limit = limit
        self._pages = PageCutter("records", ())
        self._heads = MemberReader("id", "created")
        self._read, self._write = TimeReader(), TimeWriter()

    def walk(self, since_ms: int, until_ms: int) -> CursorState:
        """Return the state that begins to read a window."""
        return {"from": since_ms, "to": until_ms, "offset": 0}

    async def fetch(self, state: CursorState) -> Page:
        """Fetch a page. Raises Retryable or Held."""
        offset = state["offset"]
        bounds = {"from": _bound(state["from"]), "to": _bound(max(state["to"], state["from"]) + STEP_MS)}
        response = await self._access.get(PATH, {**bounds, "offset": str(offset), "limit": str(self._limit)})
        body = response.body
        del response
        bodies, _ = await self._pages.open_patiently(body)
        del body  # up to 64 MB, of which each record is a copy by now
        page = self.page_of(bodies)
        return msgspec.structs.replace(
            page, next={**state, "offset": offset + len(bodies)}, more=len(bodies) >= self._limit
        )

    def why_foreign(self, body: bytes) -> str:
        """Say why a JSON object is none of these records, or nothing."""
        return (
            ""
            if all(map(text_of, self._heads.read(body)))
            else "it is not an audit record of Jira: no id, or no created"
        )

    def page_of(self, bodies: Sequence[bytes]) -> Page:
        """Return records as a page."""
        heads = [self._heads.read(body) for body in bodies]
        idents = [text_of(ident) or "" for ident, _ in heads]
        moments = [self._read.read(text_of(created) or "") for _, created in heads]
        keys = self._keys.keys(idents)
        derived = frozenset(position for position, ident in enumerate(idents) if not ident)
        for position in derived:
            keys[position] = self._keys.derived(bodies[position])
        return Page(
            bodies=bodies,
            keys=keys,
            digests=content_digests(bodies),
            minutes=[self._write.write(moment)[:16] if moment is not None else "" for moment in moments],
            derived=derived,
            next={},
            newest=max((moment for moment in moments if moment is not None), default=None),
        )

    async def probe(self) -> list[Finding]:
        """Ask for the newest record, and once more for the second in which it was made."""
        findings, response = await self._access.survey(PATH, {"limit": "1", "offset": "0"})
        if response is None:
            return findings
        try:
            return [*findings, *await self._probe_log(response.body)]
        except (Held, Retryable) as error:
            return [*findings, Finding("log", ok=False, detail=str(error), fix=error.fix)]

    async def _probe_log(self, body: bytes) -> list[Finding]:
        bodies, _ = self._pages.open(body)
        if not bodies:
            fix = "See Jira's settings, System, Audit log: when it lists records, this account does not see them."
            return [Finding("log", ok=True, detail="it holds no record", fix=fix)]
        _, created = self._heads.read(bodies[0])
        text = text_of(created) or ""
        moment = self._read.read(text)
        found = [Finding("log", ok=True, detail=f"the newest record is of {plain(text, 40) or 'an unknown time'}")]
        if moment is None:
            return found
        page = await self.fetch(self.walk(moment, moment))
        if page.bodies:
            return [*found, Finding("windows", ok=True, detail="records are found by their time")]
        detail = "the newest record is not found by its own time, so the API reads times otherwise than it writes them"
        fix = "Report it: nothing is read reliably until this is understood."
        return [*found, Finding("windows", ok=False, detail=detail, fix=fix)]


def _bound(at_ms: int) -> str:
    """Return a moment cut to the second, as public code sends it; one that no calendar holds as the nearest."""
    seconds = min(max(at_ms // 1000, 0), _LAST_SECOND)
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.000Z"


_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
