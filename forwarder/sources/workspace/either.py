"""One log by two APIs: the product's own records, or the Workspace Events API; which of them is a setting.

Both are read in windows, so after a change of the API the same cursors go on where they are, and read the last minutes
again. The ids of the two differ: what happened in these minutes comes once by each, and nothing before them is read
again. Therefore a change is an error once, to be seen; and what was chosen last is kept with the cursor (`kept`), so
that a restart does not hide it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from forwarder.contracts import CursorState, Finding, ForwarderError, Held, Page, Retryable

if TYPE_CHECKING:
    from forwarder.sources.transport import Transport
    from forwarder.sources.workspace.events import WorkspaceEvents

Way = Literal["records", "workspace_events"]
Api = Literal["records", "workspace_events", "auto"]

NAMES: dict[Way, str] = {"records": "the product's own audit records", "workspace_events": "the Workspace Events API"}
PREVIEW = "a preview: it was announced for 30 November 2026, and this has not been tried against it yet"

REFUSALS = 3
"""Refusals of the Workspace Events API in a row, while the records can be read, after which `auto` leaves it."""

_LEFT = {"not_found", "forbidden", "unexpected_status", "bad_request"}
"""Kinds of refusals that may say that the API is not there, or not for us. A refused token says nothing of the API."""


_NOT_THERE = {"login_page", "redirect", "not_json"}
"""What a host answers that does not know the API."""


class Either:
    """Reads a log by the API that is set, or by the one that the site has.

    Args:
        api: The setting.
        records: Reads the product's own records.
        events: Reads the Workspace Events API.
    """

    def __init__(self, api: Api, records: Transport, events: WorkspaceEvents) -> None:
        self._transports: dict[Way, Transport] = {"records": records, "workspace_events": events}
        self._events = events
        self._is_auto = api == "auto"
        self._way: Way | None = None if api == "auto" else api
        self._announced: Way | None = None
        self._refusals = 0
        self._finding = asyncio.Lock()
        self._chosen = asyncio.Event()  # set with the first page that is asked for

    def walk(self, since_ms: int, until_ms: int) -> CursorState:
        """Return the state that begins to read a window."""
        return {"since": since_ms, "until": until_ms}

    async def fetch(self, state: CursorState) -> Page:
        """Fetch a page. Raises Retryable, Held or CursorLost."""
        way = await self._choose(state.get("kept"))
        if state.get("way", way) != way:
            raise Retryable(f"the window is read anew, by {NAMES[way]}")
        transport = self._transports[way]
        try:
            page = await transport.fetch(state.get("at") or transport.walk(state["since"], state["until"]))
        except Held as error:
            await self._count(way, error)
            raise
        self._refusals = 0
        return msgspec.structs.replace(page, next={**state, "at": page.next, "way": way, "kept": way})

    async def chosen(self) -> Way:
        """Return the API by which the log is read, as soon as it was asked for a page."""
        await self._chosen.wait()
        return await self._choose(None)

    async def probe(self) -> list[Finding]:
        """Say by which API the log is read, and what works there."""
        try:
            way = self._way or await self._find()
        except Held as error:
            return [Finding("api", ok=False, detail=error.reason, fix=error.fix)]
        except ForwarderError as error:
            fix = "Try again in some minutes, or set api: records."
            return [Finding("api", ok=False, detail=str(error), fix=fix)]
        findings = await self._transports[way].probe()
        detail = f"the log is read by {NAMES[way]}" + (f", {PREVIEW}" if way == "workspace_events" else "")
        return [Finding("api", ok=True, detail=detail), *findings]

    async def _choose(self, before: str | None) -> Way:
        """Return the API to read by; a change is said once."""
        if self._way is None:
            async with self._finding:
                if self._way is None:
                    self._way = "workspace_events" if before == "workspace_events" else await self._find()
        way = self._way
        self._chosen.set()
        if before in get_args(Way) and before not in {way, None} and self._announced != way:
            self._announced = way
            raise Retryable(
                f"the log is read by {NAMES[way]} from now on, and was by the other API: what happened in the last "
                "minutes comes by both, under two ids",
                fix="Nothing: it goes on by itself. The setting api decides.",
            )
        return way

    async def _find(self) -> Way:
        """Ask which API there is. Raises Retryable or Held while nobody can tell."""
        try:
            await self._events.ask_for_one()
        except Held as error:
            if error.kind == "auth":  # the gateway answers so to a good token without scopes; the site tells
                await self._ask_records()
            elif error.kind not in _LEFT or not await self._has_records():
                raise
            return "records"
        except Retryable as error:
            if error.kind not in _NOT_THERE or not await self._has_records():
                raise
            return "records"
        return "workspace_events"

    async def _count(self, way: Way, error: Held) -> None:
        """Count a refusal of the Workspace Events API, and leave it after some while the records can be read."""
        if not self._is_auto or way != "workspace_events" or error.kind not in _LEFT:
            return
        self._refusals += 1
        if self._refusals >= REFUSALS and await self._has_records():
            self._way = "records"

    async def _has_records(self) -> bool:
        """Tell whether the product's own records can be read."""
        try:
            await self._ask_records()
        except (Held, Retryable):
            return False
        return True

    async def _ask_records(self) -> None:
        """Ask for the product's own records. Raises Retryable or Held."""
        records = self._transports["records"]
        await records.fetch(records.walk(0, 1))
