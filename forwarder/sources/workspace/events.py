"""Reads the Workspace Events API in windows.

Published are its path, its parameters, and that its events have the organization's common model. Not known are their
order, the size of a page, what a cursor does behind the last event, and whether the ends of a window are inside; so
none of them is believed. A window asks for one millisecond more at both ends. It is at its end when a cursor leads to
nothing; when there is none, and the page is not a full one; or when the cursor is refused behind fewer events than a
page can hold. What looks fuller than that is read in narrower windows.

State, JSON: `since` and `until` (epoch ms), `cursor` (None at the beginning), `got` and `seen` (events of the page
before, and of all pages of the window so far), `end` (nothing follows) or `stuck` (nothing leads on).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import AuthFailed, CursorLost, CursorState, Finding, ForwarderError, Held, Page
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.normalize.times import TimeReader
from forwarder.sources.organization.actions import read_list
from forwarder.sources.organization.cursors import Onward, onward_of
from forwarder.sources.organization.heads import PAGES, Head, heads_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from forwarder.contracts import ListedAction
    from forwarder.net.http import Response

    Ask = Callable[[str, Mapping[str, str]], Awaitable[Response]]
    AskForList = Callable[[str, Mapping[str, str]], Awaitable[bytes]]

LIMITS = (200, 100, 50, 25, 0)
"""Events to ask for; the next is tried where the API refuses one, and with 0 it is not told any."""

LEAST_CUT = 10
"""Events of a page below which no server cuts its pages."""

EMPTIES_AT_THE_END, MOST_EMPTIES = 3, 10
"""Empty pages in a row, each with a new cursor, after which nothing follows; and after one that was followed by events:
some servers filter a page after they cut it."""

MOST_REMEMBERED = 64

SCOPE = "manage:jira-configuration"
"""Shown at every method, for Confluence as well."""

_NOTHING: dict[str, Any] = {"bodies": (), "keys": (), "digests": (), "minutes": ()}


class _Refused(Exception):
    """A cursor was refused."""


def _of_this_api(error: Held) -> Held:
    """Return a refusal that says which API refuses, and what else there is; it is worded for the product's own."""
    kind = AuthFailed if isinstance(error, AuthFailed) else Held
    return kind(
        f"The Workspace Events API refuses: {error.reason}",
        fix=f"Set api: records, or see what the token lacks: {SCOPE} is the scope that is published for this API.",
        kind=error.kind,
    )


class WorkspaceEvents:
    """The events of one product of one site.

    Args:
        ask: Asks the API gateway for a path, in which it fills in `{cloud_id}`, with a query. A status 400 is a Held of
            the kind `bad_request`.
        product: `jira` or `confluence`.
        scope: What event ids are unique within: the site.
        limit: Most events to ask for at once.
        step_ms: Milliseconds of the narrowest window that is ever asked for.
    """

    def __init__(self, ask: Ask, product: str, scope: str, *, limit: int = LIMITS[0], step_ms: int = 1) -> None:
        # The id of a workspace, an ARI, is one percent-encoded part of the path.
        workspace = f"/audit-log/v1/workspaces/ari%3Acloud%3A{product}%3A%3Asite%2F{{cloud_id}}"
        self._path, self._path_of_actions = f"{workspace}/events", f"{workspace}/event-actions"
        self._asks = ask
        self._step_ms = step_ms
        self._keys = EventKeys(f"{product}_workspace", scope)  # frozen; not those of the product's records
        self._times = TimeReader()
        self._limits = [min(limit, LIMITS[0]), *(lower for lower in LIMITS if lower < limit and lower < LIMITS[0])]
        self._largest = 0  # events of the largest page that came
        self._cut = 0  # events of a page below the limit behind which there were more
        self._empties = EMPTIES_AT_THE_END
        self._refuses_at_the_end = False
        self._refused: dict[int, None] = {}  # beginnings of windows in which a cursor was refused once

    def walk(self, since_ms: int, until_ms: int) -> CursorState:
        """Return the state that begins to read a window."""
        return {"since": since_ms, "until": until_ms, "cursor": None}

    async def fetch(self, state: CursorState) -> Page:
        """Fetch the page at `state`. Raises Retryable, Held or CursorLost."""
        if state.get("end"):
            return Page(**_NOTHING, next=state, done=True)
        if state.get("stuck"):
            return await self._without_a_cursor(state)
        try:
            bodies, onward = await self._read(state, self._limits[0])
        except _Refused:
            return await self._at_a_refused_cursor(state)
        if state["cursor"] is not None:
            self._refused.pop(state["since"], None)
            self._learn(state["got"], bodies)
        return self._page(state, bodies, onward)

    def _learn(self, before: int, bodies: list[bytes]) -> None:
        """Learn from an answer to a cursor that stood behind a page of `before` events."""
        if not bodies:
            self._refuses_at_the_end = False
        elif before < self._limits[0]:
            self._cut = max(self._cut, before)

    async def ask_for_one(self) -> list[bytes]:
        """Ask with the smallest request and return what came. Raises Retryable or Held."""
        return PAGES.open((await self._ask({"limit": "1"})).body)[0]

    async def actions(self, ask: AskForList) -> list[ListedAction]:
        """Return every action that the workspace lists. `ask` as that of the constructor, for the body of a list.

        Raises Retryable or Held.
        """
        return await read_list(lambda cursor: ask(self._path_of_actions, {"cursor": cursor} if cursor else {}))

    async def probe(self) -> list[Finding]:
        """Ask for one event."""
        try:
            bodies = await self.ask_for_one()
        except Held as error:
            return [Finding("workspace", ok=False, detail=error.reason, fix=error.fix)]
        except ForwarderError as error:
            fix = "Try again in some minutes; or set api: records."
            return [Finding("workspace", ok=False, detail=str(error), fix=fix)]
        detail = "it answers" if bodies else "it answers, and has no event"
        return [Finding("workspace", ok=True, detail=detail)]

    # ------------------------------------------------------------------------------------------------------- requests

    async def _ask(self, where: Mapping[str, str]) -> Response:
        try:
            return await self._asks(self._path, where)
        except Held as error:
            raise (_of_this_api(error) if error.kind in {"not_found", "forbidden"} else error) from None

    async def _read(self, state: CursorState, limit: int) -> tuple[list[bytes], Onward]:
        """Return the events of an answer and how it goes on; an empty page with another cursor is followed."""
        cursor = state["cursor"]
        for number in range(MOST_EMPTIES):
            response = await self._request(state, cursor, limit)
            bodies, members = await PAGES.open_patiently(response.body)
            onward = onward_of(members, response.headers)
            if bodies and number:
                self._empties = MOST_EMPTIES
            if bodies or onward.cursor is None or onward.cursor == cursor or number + 1 >= self._empties:
                break
            cursor = onward.cursor
        return bodies, onward

    async def _request(self, state: CursorState, cursor: str | None, limit: int) -> Response:
        edges = {"from": str(max(state["since"] - 1, 0)), "to": str(max(state["until"], 0) + 1)}
        where = edges if cursor is None else {"cursor": cursor}
        is_full = limit == self._limits[0]  # before it waits: another window may find a lower one meanwhile
        try:
            return await self._ask(where | ({"limit": str(limit)} if limit else {}))
        except Held as error:
            if error.kind != "bad_request":
                raise
            if cursor is not None:
                raise _Refused from None
            if not is_full:
                raise
            refused = error
        for lower in [each for each in self._limits if each < limit]:
            if (response := await self._with_limit(where, lower)) is not None:
                self._limits = [each for each in self._limits if each <= lower]
                return response
        raise refused  # so it is not the limit that is refused

    async def _with_limit(self, where: Mapping[str, str], limit: int) -> Response | None:
        try:
            return await self._ask({**where, **({"limit": str(limit)} if limit else {})})
        except Held as error:
            if error.kind != "bad_request":
                raise
            return None

    # ---------------------------------------------------------------------------------------------------------- pages

    def _page(self, state: CursorState, bodies: list[bytes], onward: Onward) -> Page:
        if not bodies:
            return Page(**_NOTHING, next={**state, "end": True}, done=True)
        count = len(bodies)
        full = count >= self._limits[0] > 0 or count >= self._cut > 0
        after = {**state, "cursor": onward.cursor, "got": count, "seen": state.get("seen", 0) + count}
        if onward.cursor is None:
            full = full or onward.more or onward.too_long or count >= max(LEAST_CUT, self._largest)
            after["stuck" if full else "end"] = True
        self._largest = max(self._largest, count)
        return msgspec.structs.replace(self.page_of(bodies), next=after, more=full)

    def page_of(self, bodies: Sequence[bytes]) -> Page:
        """Return events as a page."""
        heads = heads_of(bodies)
        keys = self._keys.keys(head.id or "" for head in heads)
        derived = frozenset(position for position, head in enumerate(heads) if not head.id)
        for position in derived:
            keys[position] = self._keys.derived(bodies[position])
        times = [_time_of(head) for head in heads]
        known = (self._times.read(time) for time in {times[0], times[-1], max(times)})  # one is the newest
        return Page(
            bodies=bodies,
            keys=keys,
            digests=content_digests(bodies),
            minutes=[time[:16] if time[10:11] == "T" else "" for time in times],
            derived=derived,
            next={},
            newest=max((at for at in known if at is not None), default=None),
        )

    async def _at_a_refused_cursor(self, state: CursorState) -> Page:
        """Say what follows a page whose cursor is refused: it was lost, or the server does so behind the last event."""
        since, got = state["since"], state.get("got", 0)  # the cursor of an empty page is followed at once
        if not self._refuses_at_the_end and since not in self._refused:
            self._refused[since] = None
            while len(self._refused) > MOST_REMEMBERED:
                del self._refused[next(iter(self._refused))]
            raise CursorLost("the API refuses the cursor that it gave")
        if got < (max(self._largest, self._cut) if self._cut else max(self._largest, LEAST_CUT)):  # it was not cut
            self._refuses_at_the_end = True
            return Page(**_NOTHING, next={**state, "end": True}, done=True)
        return await self._without_a_cursor(state)

    async def _without_a_cursor(self, state: CursorState) -> Page:
        """Return what follows a page that is as full as any, where nothing leads on.

        That page again, as a full one, makes the engine read narrower windows. Where the window is as narrow as can be,
        a page of half the size shows what the server does with more events than it gives.
        """
        first = self.walk(state["since"], state["until"])
        if state["until"] - state["since"] > self._step_ms:
            bodies, onward = await self._read(first, self._limits[0])
            return msgspec.structs.replace(self._page(first, bodies, onward), more=True)
        if await self._leads_on(first, max(state["got"] // 2, 1), state["seen"]):
            self._refused.pop(state["since"], None)
            return Page(**_NOTHING, next={**state, "end": True}, done=True)
        raise Held(
            "More events carry one time than a page holds, and the API gives no cursor that leads on.",
            fix="Report it: the API, or a proxy before it, has changed; or set api: records.",
            kind="no_cursor",
        )

    async def _leads_on(self, first: CursorState, limit: int, count: int) -> bool:
        """Tell whether cursors lead through so many events of a window in smaller pages, and to no more."""
        bodies, onward = await self._read(first, limit)
        seen = len(bodies)
        while bodies and onward.cursor is not None and seen <= count:
            try:
                bodies, onward = await self._read({**first, "cursor": onward.cursor}, limit)
            except _Refused:
                break
            seen += len(bodies)
        return seen == count and len(bodies) < count


def _time_of(head: Head) -> str:
    attributes = head.attributes
    return (attributes.time or attributes.processedAt or "") if attributes is not None else ""
