"""The stored cursors of a log that is read in windows, and what becomes durable with each window.

::

    tail      from ten minutes back on the first start to the present; the newest ten minutes in each pass again
    backfill  from `since` back up to where the tail began
    reread    the last `overlap` once in that time, for records that came later than the tail looks back
    heal      a stretch that a damaged page of the spool held, or that holds a place which cannot be passed

None of them becomes another: each has its own stretch. `walk` of a row is the state that `windows` explains. Where the
source keeps another `kept` from now on, its events may have other ids: what the tail had read before is not read again,
since all of it would be new. Of the reread that is `floor`, where it begins at the earliest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from forwarder.contracts import Coarse, Held, Page, Source, SourceConfig
from forwarder.contracts.moments import iso_ms
from forwarder.polling import backfill, recheck, windows
from forwarder.polling.backfill import Order
from forwarder.polling.cursors import Done
from forwarder.polling.plan import BACKFILL, HEAL, RECONCILE, REREAD, TAIL
from forwarder.polling.rechecked import RecheckedCursors
from forwarder.spool.contract import CursorMove, CursorRow
from forwarder.spool.gap import LOST_PAGES, Gap

Row = dict[str, Any]


class WindowCursors(RecheckedCursors):
    """The cursors of a log that is read in windows."""

    def __init__(self, source: Source, config: SourceConfig, **engine: Any) -> None:
        super().__init__(source, config, **engine)
        self._step_ms = source.step_ms if isinstance(source, Coarse) else windows.NARROWEST
        self._narrowed: dict[str, tuple[windows.State, windows.State]] = {}  # by name: for which state, and what
        self._doubling: set[tuple[str, int]] = set()  # walks of which was said that they bring other ids

    @classmethod
    def fits(cls, row: Row) -> bool:
        """Tell whether a row is one of these."""
        return "scan" in row["walk"]

    def _first_walks(self, live_ms: int, history_ms: int) -> dict[str, Row]:
        walks = {TAIL: _row(live_ms, None), REREAD: {"begun": self._now_ms()}}
        if history_ms < live_ms:
            walks[BACKFILL] = _row(history_ms, live_ms)
        return walks

    def _walk(self, since_ms: int) -> Row:
        since_ms = self.kept(since_ms)
        return _row(since_ms, max(self._now_ms(), since_ms))

    def _ordered_walk(self, since_ms: int, order: Order) -> Row:
        return _row(since_ms, max(order.until_ms, since_ms))

    def _stretch(self, since_ms: int, until_ms: int) -> Row:
        return _row(since_ms, until_ms)

    def next(self, name: str, row: Row) -> tuple[windows.State, windows.Window]:
        """Return where a walk stands, no earlier than the source reaches and narrowed where that was needed."""
        asked, narrowed = self._narrowed.get(name, (None, None))
        state: windows.State = narrowed if narrowed is not None and asked == row["walk"] else row["walk"]
        now, oldest = self._now_ms(), self.kept(state["at"])
        if state["until"] is None and state["at"] > now:  # written while the clock was ahead
            back = max(now - self._trailing_ms, 0)
            state = {**state, "at": back, "scan": back}
        elif oldest > state["at"]:  # of the tail, only what is asked for: by a clock that is ahead, nothing was seen
            bound = {} if state["until"] is None else {"at": oldest}
            state = {**state, "scan": max(oldest, state["scan"]), **bound}
        return state, windows.next_window(state, now, self._step_ms)

    def narrow(self, name: str, row: Row, state: windows.State, window: windows.Window, cap: int = 0) -> bool:
        """Read narrower windows at this place from now on, in memory; False when this one cannot be halved."""
        if window.can_be_halved:
            self._narrowed[name] = (row["walk"], windows.halved(state, window, cap))
        return window.can_be_halved

    def after(
        self, row: Row, state: windows.State, window: windows.Window, events: int, newest: int | None
    ) -> windows.State:
        """Return the state of a walk after a window that was read as a whole."""
        reached = min(max(row["reached"], newest or 0), self._now_ms())
        return windows.read(state, window, events, reached, self._trailing_ms)

    def _longest_reread(self) -> float:
        return max(self._config.overlap, self._config.trailing)

    def ahead(self, name: str) -> tuple[int, int] | None:
        """Return up to where a walk has read, and its end."""
        walk = self.rows[name].state["walk"]
        return None if walk["until"] is None else (walk["scan"], walk["until"])

    def start_reread(self) -> bool:
        """Begin to read the last `overlap` again when it is time; True when it begins."""
        row, now = self.rows[REREAD], self._now_ms()
        span, begun = max(self._overlap_ms, self._trailing_ms), row.state["begun"]
        if self.walks(REREAD) or 0 <= now - begun < span:
            return False
        since = self.rereads.begin(max(self.kept(min(begun, now) - span), row.state.get("floor", 0)), now)
        state = {**_between(row.state), **_row(since, max(now, since)), "begun": now}
        self.rows[REREAD] = CursorRow(REREAD, state, row.version)
        return True

    async def page(self, name: str, page: Page) -> Done:
        """Commit a window with the cursor that follows it, and its walk's end in the same transaction."""
        row = self.rows[name]
        moves, opening, closing = list[CursorMove](), list[Gap](), list[int]()
        newest = max(page.newest or 0, row.state["reached"])
        if _is_otherwise(self.rows[TAIL].state, page):
            if name == TAIL:
                moves, opening = self._begin_otherwise(row.state["walk"]["scan"] if page.since is None else page.since)
            elif name in {REREAD, RECONCILE}:  # what the tail has not read so yet would all be new
                rest = _between if name == REREAD else recheck.at_rest
                self.rows[name] = CursorRow(name, rest(row.state), row.version)
                return Done(None, ended=True, high=newest)
        self._say_other_ids(name, row.state, page)
        after = {**row.state, "walk": page.next, "high": page.next["at"], "reached": newest}
        after = self._read(name, after, page)
        ended = name != TAIL and page.done
        if name == RECONCILE:
            return await self._page_of_window(page, after, ended=ended)
        move = CursorMove(name, row.version or None, after)
        if ended and name == REREAD:
            move = CursorMove(REREAD, row.version or None, _between(row.state))
        elif ended:
            move = CursorMove(name, row.version or None, backfill.over(after, self._now_ms()))
            closing = self._gaps if name == HEAL else await self._covered(after)
        if not ended and not page.bodies and page.next == row.state["walk"]:
            return Done(None, ended, newest)
        written = page if page.bodies else None
        done = await self._commit([move, *moves], page=written, opening=opening, closing=closing, reader=name)
        if closing and name == HEAL:
            self._gaps = []
        if name == REREAD:
            self.rereads.read(ended=ended)
        return Done(done, ended, newest)

    def _say_other_ids(self, name: str, row: Row, page: Page) -> None:
        """Say once of a walk that what it reads may have been read under other ids, and comes once more then."""
        if not page.bodies or name in {TAIL, REREAD, RECONCILE}:
            return
        floor, walk = other_ids_before(self.rows), (name, row["from"])
        is_before = row["walk"]["at"] < floor or _is_otherwise(self.rows[TAIL].state, page)
        if is_before and walk not in self._doubling:
            self._doubling.add(walk)
            reason = "the log was read by another API then, which gave its events other ids: known ones come once more"
            self._log.warning("read_under_other_ids", cursor=name, before=iso_ms(floor or None), reason=reason)

    def _begin_otherwise(self, since_ms: int) -> tuple[list[CursorMove], list[Gap]]:
        """Return what moves and what is lost when the events have other ids from a moment on."""
        reread, row = self.rows[REREAD], self.rows.get(RECONCILE)
        moves = [CursorMove(REREAD, reread.version or None, {"begun": reread.state["begun"], "floor": since_ms})]
        if row is None:
            return moves, []
        moves.append(CursorMove(RECONCILE, row.version or None, recheck.begin_anew(row.state, since_ms)))
        read = min((front["to"] for front in row.state["passes"][:1]), default=since_ms)
        if not self._passes or read >= since_ms:
            return moves, []
        why = "the log is read by another API since, which gives its events other ids"
        gap = Gap("late", "it was not read again in time", self._number, None, read, since_ms, why=why)
        return moves, [msgspec.structs.replace(gap, lost_ms=self._now_ms())]

    async def lost(self, name: str, reason: str) -> bool:  # noqa: ARG002 -- a window is simply read anew
        """Begin the window at hand anew; a cursor leads no further than through one."""
        row = self.rows[name]
        if name == RECONCILE:
            self.rows[name] = self._anew()
            return False
        walk = {**row.state["walk"], "scan": row.state["walk"]["at"]}
        after = {key: value for key, value in {**row.state, "walk": walk}.items() if key != "dropped"}
        await self._commit([CursorMove(name, row.version or None, after)])
        return False

    async def set_aside(self, name: str, error: Held) -> bool | None:
        """Leave a window that cannot be passed to the heal, and go on beyond it; True when a heal begins.

        Returns None for a walk that has to wait there itself.
        """
        row, heal = self.rows[name], self.rows.get(HEAL)
        order = backfill.order_of(row.state)
        if name == HEAL or (order is not None and order.sink):  # a heal is for all, and that sink would lack it
            return None
        state, window = self.next(name, row.state)
        walk = {**state, "at": window.until, "scan": window.until}
        beyond = CursorMove(name, row.version or None, {**row.state, "walk": walk, "high": window.until})
        if walk["until"] is not None and window.last:
            rested = _between(row.state) if name == REREAD else backfill.over(row.state, self._now_ms())
            beyond = CursorMove(name, row.version or None, rested)
        gaps = [Gap("cursor_lost", error.reason, source=self._number, from_ms=window.since, to_ms=window.until)]
        if heal is None:
            stretch = _row(window.since, window.until)
        else:
            gaps = [] if await self._is_on_record(window) else gaps
            state = heal.state["walk"]
            at, until = min(state["at"], window.since), max(state["until"], window.until)
            scan = state["scan"] if window.since >= state["scan"] else at
            stretch = {**heal.state, "walk": {**state, "at": at, "scan": scan, "until": until}}
        await self._commit([beyond, CursorMove(HEAL, heal.version if heal else None, stretch)], opening=gaps)
        return heal is None

    def _beyond_place(self, row: CursorRow) -> tuple[int, int, Row | None]:
        state, window = self.next(RECONCILE, row.state)
        walk = {**state, "at": window.until, "scan": window.until}
        return window.since, window.until, None if window.last else {"walk": walk, "high": window.until}

    async def _is_on_record(self, window: windows.Window) -> bool:
        """Tell whether an open gap holds a window: a place that is met again, where windows may begin a step apart."""
        open_gaps = [gap for cause in ("cursor_lost", *LOST_PAGES) for gap in await self._open_gaps(cause)]
        stretches = [(gap.from_ms, gap.to_ms) for gap in open_gaps if gap.from_ms is not None and gap.to_ms is not None]
        step = window.step
        return any(since - step <= window.since and window.until <= until + step for since, until in stretches)

    async def by_time(self, name: str) -> bool:  # noqa: ARG002 -- it is always read by time
        """Return False: there is no other way to go on."""
        return False

    def untouched(self, name: str) -> bool:  # noqa: ARG002 -- there is no cursor to blame
        """Return True: a fault is never that of a cursor."""
        return True


def _between(row: Row) -> Row:
    """Return what stays of a reread between two reads."""
    return {key: row[key] for key in ("begun", "floor") if key in row}


def other_ids_before(cursors: Mapping[str, CursorRow]) -> int:
    """Return the moment before which a log was read under other ids than today's, epoch milliseconds; 0: never."""
    tail, reread = cursors.get(TAIL), cursors.get(REREAD)
    if tail is None or reread is None or "scan" not in (tail.state.get("walk") or {}):
        return 0  # in the row of a stream this member means another moment
    return int(reread.state.get("floor", 0))


def _is_otherwise(tail: Row, page: Page) -> bool:
    """Tell whether a page was read with another `kept` than the tail has had."""
    before, now = tail["walk"].get("kept"), page.next.get("kept")
    return before is not None and now is not None and now != before


def _row(since_ms: int, until_ms: int | None) -> Row:
    return {"walk": windows.begin(since_ms, until_ms), "from": since_ms, "high": since_ms, "reached": since_ms}
