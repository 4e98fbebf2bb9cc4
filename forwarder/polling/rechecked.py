"""The stored cursor `reconcile`: reads every closed window again, where a log can be asked for one.

`recheck` says which window is next, and what the row holds. Its pages are compared with what the spool has seen by the
spool itself: what it never had is spooled like any event, and put on record as a gap `late` that is closed. A window
that cannot be read whole is a gap `late`, too, that stays open until a later pass reads it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import Any

import msgspec

from forwarder.contracts import Held, Page, Retryable, Source, SourceConfig
from forwarder.contracts.moments import iso_ms
from forwarder.contracts.source import read_again_after
from forwarder.polling import recheck
from forwarder.polling.cursors import Cursors, Done
from forwarder.polling.plan import HEAL, RECONCILE, TAIL
from forwarder.spool.contract import CursorMove, CursorRow
from forwarder.spool.gap import Gap

_ON_ITS_WAY_MS = recheck.HOUR
"""The id of an event may be written so much earlier than the event is dated: clocks differ."""


class RecheckedCursors(Cursors):
    """The cursors of a log that can be asked for what lies between two moments."""

    def __init__(self, source: Source, config: SourceConfig, **engine: Any) -> None:
        super().__init__(source, config, **engine)
        self._passes = recheck.passes_of(read_again_after(source, config))
        self._unread: list[Gap] = []

    @abstractmethod
    def _stretch(self, since_ms: int, until_ms: int) -> dict[str, Any]:
        """Return the row of a walk that reads what lies between two moments."""

    async def open(self, configured: Collection[str]) -> None:
        """Take the source over; windows count from its first start."""
        await super().open(configured)
        self._unread = await self._unread_windows()
        if self._passes and RECONCILE not in self.rows:
            await self._commit([CursorMove(RECONCILE, None, self._rows_besides()[RECONCILE])])

    def _rows_besides(self) -> dict[str, dict[str, Any]]:
        if RECONCILE in self.rows:
            return {RECONCILE: recheck.at_rest(self.rows[RECONCILE].state)}
        return {RECONCILE: recheck.begin(self._passes, self._now_ms())} if self._passes else {}

    async def start_reconcile(self, tip_ms: int, held: Collection[str]) -> bool:
        """Begin to read a closed window again when it is time; True when it begins.

        Args:
            tip_ms: When the tail had last read everything, epoch milliseconds.
            held: Cursors that do not get on; what they have not read is not waited for.
        """
        row, now = self.rows.get(RECONCILE), self._now_ms()
        if not self._passes or row is None or self.walks(RECONCILE):
            return False
        state = recheck.fitted(row.state, self._passes, now)
        if row.state["begun"] > now:  # by a clock that was ahead; only as written it stays where it is
            await self._commit([CursorMove(RECONCILE, row.version, state)])
            row = self.rows[RECONCILE]
        window = recheck.due(state, self._passes, now)
        if window is None or not self._is_read(window.until, tip_ms, held):
            return False
        if await self.heal_damage():  # the ids of a lost page are forgotten: the heal reads its events first
            return False
        forgotten = (await self._spool.status()).ids_gone_ms
        oldest, known = self.kept(window.since), forgotten + _ON_ITS_WAY_MS if forgotten else 0
        if window.until <= oldest or window.since < known:
            await self._pass_over(row, state, window, max(oldest, known), is_gone=known < oldest)
            return False
        # what the log had dropped of it the first pass puts on record, as it does of whole windows
        dropped = await self._dropped_by_log(window.since, "again") if window.number == 0 else []
        if dropped:
            await self._commit([], opening=dropped)
        walk = self._stretch(max(window.since, oldest), window.until)
        # Durable with its first page; before that a restart simply begins it again.
        self.rows[RECONCILE] = CursorRow(RECONCILE, recheck.opened(state, window, now, walk), row.version)
        return True

    def _is_read(self, until_ms: int, tip_ms: int, held: Collection[str]) -> bool:
        """Tell whether everything up to a moment was read once: what is only on its way is not recovered."""
        if max(tip_ms, self._read_up_to(self.rows[TAIL].state)) < until_ms:
            return False
        return not self.walks(HEAL) or HEAL in held or bool(self._read_up_to(self.rows[HEAL].state) >= until_ms)

    async def _pass_over(
        self, row: CursorRow, state: recheck.State, window: recheck.Window, floor_ms: int, *, is_gone: bool
    ) -> None:
        """Go on beyond what can be read no more, or compared with nothing; of the first pass that is on record."""
        state, end = recheck.passed_over(state, window, self._passes[window.number], floor_ms, self._now_ms())
        gaps: list[Gap] = []
        if window.number == 0:
            why = "the API keeps these events no more" if is_gone else "the ids to compare with are remembered no more"
            gap = Gap("late", "it was not read again in time", self._number, from_ms=window.since, to_ms=end)
            gaps = [msgspec.structs.replace(gap, lost_ms=self._now_ms(), why=why)]
        self._log.warning("windows_not_read_again", since=iso_ms(window.since), until=iso_ms(end), gone=is_gone)
        await self._commit([CursorMove(RECONCILE, row.version, state)], opening=gaps)

    # ------------------------------------------------------------------------------------------------------ a page

    async def _page_of_window(self, page: Page, after: dict[str, Any], *, ended: bool) -> Done:
        """Commit a page of the window at hand with the row that follows it."""
        row = self.rows[RECONCILE]
        if not ended and not page.bodies and page.next == row.state["walk"]:
            return Done(None, ended, after["high"])
        window, closing = recheck.window_of(row.state), []
        if ended:
            is_whole = "torn" not in row.state["window"]
            after_window = recheck.closed(row.state, self._passes, is_whole=is_whole)
            closing = self._unread_in(window) if is_whole else []
        move = CursorMove(RECONCILE, row.version, after_window if ended else after)
        done = await self._commit(
            [move],
            page=page if page.bodies else None,
            closing=[gap.number for gap in closing],
            reader=RECONCILE,
            compares=not ended or "tip" not in row.state,  # else it is the page before it once more
            finds=Gap(
                "late",
                f"it was found when this was read again (pass {window.number + 1})",
                source=self._number,
                from_ms=window.since,
                to_ms=window.until,
            ),
        )
        self._unread = [gap for gap in self._unread if gap not in closing]
        return Done(done, ended, after["high"])

    def _unread_in(self, window: recheck.Window) -> list[Gap]:
        """Return the gaps of windows that could not be read before, and are now: the log has all of them still."""
        since = self.kept(window.since)
        return [gap for gap in self._unread if since <= (gap.from_ms or 0) and (gap.to_ms or 0) <= window.until]

    def _anew(self) -> CursorRow:
        """Return the row that begins the window at hand again."""
        row = self.rows[RECONCILE]
        window = recheck.window_of(row.state)
        walk = self._stretch(self.kept(window.since), window.until)
        return CursorRow(RECONCILE, recheck.opened(row.state, window, row.state["window"]["asked"], walk), row.version)

    async def leave_window(self, error: Retryable | Held) -> None:
        """Go on beyond a place of the window at hand that cannot be read; it stays on record until it can."""
        row = self.rows[RECONCILE]
        since, until, beyond = self._beyond_place(row)
        if beyond is None:
            state = recheck.closed(row.state, self._passes, is_whole=False)
        else:
            state = {**row.state, **beyond, "window": {**row.state["window"], "torn": True}}
        gap = Gap("late", f"it could not be read again: {error}", source=self._number, from_ms=since, to_ms=until)
        known = any(each.from_ms == since and each.to_ms == until for each in self._unread)
        await self._commit([CursorMove(RECONCILE, row.version, state)], opening=[] if known else [gap])
        if not known:
            self._unread = await self._unread_windows()

    async def _unread_windows(self) -> list[Gap]:
        return [gap for gap in await self._open_gaps("late") if gap.state == "open"]

    @abstractmethod
    def _beyond_place(self, row: CursorRow) -> tuple[int, int, dict[str, Any] | None]:
        """Return the stretch that cannot be read, and what changes in the row behind it; None: it ends the window."""
