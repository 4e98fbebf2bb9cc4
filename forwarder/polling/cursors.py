"""The stored cursors of one source, whatever they say: taken over, moved by compare-and-swap, dropped by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import msgspec

from forwarder.contracts import Clock, Held, Page, Retryable, Source, SourceConfig
from forwarder.contracts.log import get_logger
from forwarder.contracts.moments import iso_ms
from forwarder.polling import backfill, progress
from forwarder.polling.backfill import Order
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.polling.rereads import LONGEST, Rereads
from forwarder.polling.shares import is_known, reader_of, urgency
from forwarder.spool.contract import WEBHOOK, Committed, CursorMove, CursorRow, PageCommit, Spool, SpoolFull
from forwarder.spool.gap import LOST_PAGES, Gap

TELL_EVERY_MS = 60_000
"""Time between two lines of the log about a backfill."""


class Done(msgspec.Struct, frozen=True):
    """What became of a page.

    Attributes:
        committed: The answer of the spool, None when nothing moved.
        ended: Its walk is over.
        high: How far the walk came, epoch milliseconds.
        heals: A heal begins, because what a walk by time could not see is read by cursor now.
        promoted: It reached the tip, and is the tail now.
    """

    committed: Committed | None
    ended: bool
    high: int
    heals: bool = False
    promoted: bool = False


class Cursors(ABC):
    """The cursors of one source, as they are in the spool.

    Args:
        source: What makes the state of a new walk.
        config: How far back walks begin.
        spool: Where everything becomes durable.
        clock: Wall time.
        refused: Called when the spool takes nothing now; returns when it may be tried again, or raises what it got.
    """

    def __init__(
        self,
        source: Source,
        config: SourceConfig,
        *,
        spool: Spool,
        clock: Clock,
        refused: Callable[[Held], Awaitable[None]],
    ) -> None:
        self.rows: dict[str, CursorRow] = {}
        self._source = source
        self._config = config
        self._spool = spool
        self._clock = clock
        self._refused = refused
        self._log = get_logger().bind(source=source.origin.source)
        self._number = 0
        self._epoch = 0
        self._gaps: list[int] = []
        self._dropped: list[Gap] = []  # while nobody followed the log, unless the clock is ahead
        self._told: dict[str, int] = {}  # when the log was told how far a backfill came, by cursor
        self.waits = False  # what is to be written waits until the spool takes it
        self._trailing_ms = int(config.trailing * 1000)
        self._overlap_ms = int(config.overlap * 1000)
        self.rereads = Rereads(clock, self._longest_reread(), source.origin.source)

    def _longest_reread(self) -> float:
        """Return the seconds that a reread may take."""
        return max(LONGEST, self._config.trailing_every)

    @abstractmethod
    def ahead(self, name: str) -> tuple[int, int] | None:
        """Return where a walk is and where all is read that it is for, epoch milliseconds; None where that is unknown.

        What is left of a walk is measured in time of the log.
        """

    async def open(self, configured: Collection[str]) -> None:
        """Take the source over from whoever had it, and begin the first walks."""
        state = await self._spool.open_source(self._source.origin, configured=configured)
        if state.known_as:
            self._log.info("source_renamed", known_as=state.known_as)
        self._number, self._epoch, self.rows = state.number, state.epoch, dict(state.cursors)
        self._dropped = await self._dropped_by_log(self._read_until())
        lost = await self._open_gaps("cursor_lost")
        self._gaps = [gap.number for gap in lost]
        if TAIL not in self.rows or not self.fits(self.rows[TAIL].state):
            await self._begin(lost)
        self.begin_ordered()

    def _read_until(self) -> int:
        """Return up to when the log is known to have been followed, epoch milliseconds: a reread begins at its tip."""
        if TAIL not in self.rows:
            return self._now_ms()
        reread = self.rows.get(REREAD)
        read = self._read_up_to(self.rows[TAIL].state)
        return read if reread is None else max(read, reread.state.get("begun") or 0)

    def _shown_dropped(self, page: Page) -> list[Gap]:
        """Return what the log had dropped, with the first page behind it: where the clock is ahead, it is older."""
        dropped, self._dropped = self._dropped, []
        shown = [gap for gap in dropped if (page.newest or 0) >= (gap.to_ms or 0)]
        for gap in shown:
            self._log.warning("log_dropped_what_was_not_read", reason=gap.why, since=gap.from_ms, until=gap.to_ms)
        return shown

    async def _dropped_by_log(self, since_ms: int, again: str = "") -> list[Gap]:
        """Return the gap of what was to be read from a moment on and the log has no more; none that is on record."""
        oldest = self.kept(since_ms)
        for gap in await self._gaps_of_all() if oldest > since_ms else ():
            if gap.state == "lost" and gap.from_ms is not None and gap.from_ms <= since_ms:
                since_ms = max(since_ms, gap.to_ms or 0)
        if oldest <= since_ms:
            return []
        detail = f"the log had dropped it before it was read {again}".strip()
        why = f"the log keeps {(self._source.retention_ms or 0) // 86_400_000} days, and this is older"
        return [Gap("retention", detail, self._number, None, since_ms, oldest, lost_ms=self._now_ms(), why=why)]

    async def _begin(self, lost: list[Gap]) -> None:
        """Begin the first walks; instead of those of another way to read the same log, from before where they came.

        A heal that had not ended begins again, from before each gap that is open: its end closes them.
        """
        before, now = dict(self.rows), self._now_ms()
        since = now - int(self._config.since * 1000)
        if TAIL in before:
            since = min(since, *(self._unread_from(before[name].state) for name in (TAIL, BACKFILL) if name in before))
            self._log.warning("source_is_read_in_another_way", since=since)
        history = now - self.kept(since)
        first, dropped = self._first_walks(now - min(history, self._trailing_ms), now - history), []
        again = [gap.opened_ms - self._overlap_ms if gap.from_ms is None else gap.from_ms for gap in lost]
        again += [self._unread_from(before[HEAL].state)] if HEAL in before else []
        if again:
            first[HEAL] = self._walk(min(again))
            dropped = await self._dropped_by_log(min(again))
        for name, row in before.items():
            if (order := backfill.order_of(row.state)) is not None:
                first[name] = backfill.at_rest(order, {"walk": None, "high": self._unread_from(row.state)})

        first |= self._rows_besides()
        moves = [CursorMove(name, row.version, first.get(name)) for name, row in before.items()]
        moves += [CursorMove(name, None, first[name]) for name in first if name not in before]
        await self._commit(moves, opening=dropped)

    def _rows_besides(self) -> dict[str, dict[str, Any]]:
        """Return the rows of a first start that are no walks; of another way to read the log, those that stay."""
        return {}

    async def begin_by_clock(self) -> None:
        """Begin the first walks anew when the clock was ahead at the first start."""
        return

    async def start_reconcile(self, tip_ms: int, held: Collection[str]) -> bool:  # noqa: ARG002 -- for those who can
        """Begin to read a closed window again when it is time; True when it begins."""
        return False

    async def leave_window(self, error: Retryable | Held) -> None:  # noqa: ARG002 -- for those who have one
        """Go on beyond a place of a window that cannot be read again."""
        return

    def _unread_from(self, row: dict[str, Any]) -> int:
        """Return the moment before which a walk of any way to read has read everything that it was for.

        Of places, the newest record is of one part of the log, and others may be far behind it.
        """
        start: int = row["from"]
        return start if "places" in row else max(start, self._read_up_to(row) - self._overlap_ms)

    def _read_up_to(self, row: dict[str, Any]) -> int:
        """Return the moment before which a walk of any way to read has read all, whatever times single events carry."""
        return progress.read_up_to(row, self._overlap_ms)

    @classmethod
    @abstractmethod
    def fits(cls, row: dict[str, Any]) -> bool:
        """Tell whether a row of the tail is one that these cursors wrote."""

    @abstractmethod
    def _first_walks(self, live_ms: int, history_ms: int) -> dict[str, dict[str, Any]]:
        """Return the rows of the first start by name, from the moments at which live events and history begin."""

    @abstractmethod
    def _walk(self, since_ms: int) -> dict[str, Any]:
        """Return the row of a walk that begins at a moment, or as far back as the source reaches."""

    def walks(self, name: str) -> bool:
        """Tell whether a cursor is at work; that of the reread stays between two reads."""
        row = self.rows.get(name)
        if row is None or row.state.get("walk") is None:
            return False
        order = backfill.order_of(row.state)
        return order is None or order.is_due

    def open_walks(self) -> list[str]:
        """Return the cursors that are at work, the most urgent first; one that nobody here knows is left alone."""
        return sorted((name for name in self.rows if is_known(name) and self.walks(name)), key=urgency)

    def dropped(self, name: str) -> str:
        """Return who dropped a cursor by hand and was not heard yet, or nothing."""
        row = self.rows.get(name)
        return "" if row is None else str(row.state.get("dropped", ""))

    async def note_dropped(self, name: str, reason: str) -> None:
        """Keep durable that a person dropped a cursor. Raises what the spool raises; it does not wait for room."""
        row = self.rows[name]
        move = CursorMove(name, row.version or None, {**row.state, "dropped": reason})
        done = await self._spool.commit(PageCommit(self._number, self._epoch, [move]))
        self.rows[name] = CursorRow(name, {**row.state, "dropped": reason}, done.versions[name])

    # ------------------------------------------------------------------------------------ backfills that were asked for

    async def order(self, name: str, change: Callable[[Order | None], Order]) -> Order:
        """Change a backfill, or write a new one, durably. Raises what the change or the spool raises; it does not wait.

        Args:
            name: Its cursor.
            change: Returns the new order for the one there is.
        """
        row = self.rows.get(name)
        order = change(None if row is None else backfill.order_of(row.state))
        state = backfill.at_rest(order) if row is None else backfill.changed(row.state, order)
        move = CursorMove(name, None if row is None else row.version, state)
        done = await self._spool.commit(PageCommit(self._number, self._epoch, [move]))
        self.rows[name] = CursorRow(name, state, done.versions[name])
        self.begin_ordered()
        return order

    def begin_ordered(self) -> None:
        """Begin the walks that were asked for and are not begun; durable with their first page."""
        for name, row in self.rows.items():
            order = backfill.order_of(row.state)
            if order is not None and order.is_due and row.state["walk"] is None:
                since = min(max(order.since_ms, row.state["high"]), order.until_ms)
                state = backfill.with_order(self._ordered_walk(self.kept(since), order), order)
                self.rows[name] = CursorRow(name, state, row.version)

    def _ordered_walk(self, since_ms: int, order: Order) -> dict[str, Any]:  # noqa: ARG002 -- some know no end
        """Return the row of a walk over what is left of a stretch."""
        return self._walk(since_ms)

    def _read(self, name: str, row: dict[str, Any], page: Page) -> dict[str, Any]:
        """Return a row after a page with its events counted, if it is of a backfill that was asked for."""
        order = backfill.order_of(row)
        if order is None:
            return row
        now = self._now_ms()
        if now - self._told.setdefault(name, now) >= TELL_EVERY_MS:
            self._told[name] = now
            reached = iso_ms(backfill.reached(row))
            self._log.info("backfill_goes_on", cursor=name, sink=order.sink, events=order.read, reached=reached)
        # At a tip that events reach without a pause it need not wait: the tail has read what is there.
        end = min(order.until_ms + self._overlap_ms, self.rows[TAIL].state["high"] - self._trailing_ms)
        return backfill.read(row, len(page.bodies), progress.end_of(page), max(end, order.until_ms))

    async def _covered(self, row: dict[str, Any]) -> list[int]:
        """Return the gaps that a backfill closes when it is over; none for any other walk."""
        order = backfill.order_of(row)
        if order is None:
            return []
        others = [each for row in self.rows.values() if (each := backfill.order_of(row.state)) is not None]
        kept = order.asked_ms - self._now_ms() + self.kept(0)  # what the log had dropped by then was not read
        read = msgspec.structs.replace(order, since_ms=max(order.since_ms, kept))
        gaps = await self._spool.gaps_that_matter()
        return [gap.number for gap in gaps if gap.source == self._number and backfill.closes(read, gap, others)]

    async def heal_damage(self) -> bool:
        """Read again what pages held that are damaged or gone, whose ids are forgotten; True when it begins."""
        if self.walks(HEAL):
            return False
        gaps = [gap for cause in LOST_PAGES for gap in await self._open_gaps(cause)]
        if not gaps:
            return False
        overlap = self._overlap_ms
        since = min((gap.to_ms or gap.opened_ms) - overlap if gap.from_ms is None else gap.from_ms for gap in gaps)
        self._log.warning("damaged_page_is_read_again", since=since, gaps=len(gaps))
        self._gaps.extend(gap.number for gap in gaps)
        await self._commit([CursorMove(HEAL, None, self._walk(since))], opening=await self._dropped_by_log(since))
        return True

    async def push(self, page: Page, reader: str = WEBHOOK, audience: str | None = None) -> Committed:
        """Write events that were sent to us; no cursor moves. Raises what the spool raises; it does not wait."""
        commit = PageCommit(self._number, self._epoch, page=page, audience=audience, reader=reader)
        return await self._spool.commit(commit)

    def kept(self, moment_ms: int) -> int:
        """Return a moment, or the oldest one of which the source still has events."""
        retention = self._source.retention_ms
        return moment_ms if retention is None else max(moment_ms, self._now_ms() - retention)

    async def _open_gaps(self, cause: str) -> list[Gap]:
        """Return the open gaps of a cause; what is lost for good no walk reads."""
        return [gap for gap in await self._gaps_of_all() if gap.cause == cause and gap.is_open]

    async def _gaps_of_all(self) -> list[Gap]:
        """Return the gaps that concern every sink: what a walk reads is for all of them."""
        gaps = await self._spool.gaps_that_matter()
        return [gap for gap in gaps if gap.source == self._number and not gap.lane]

    async def _commit(
        self,
        moves: list[CursorMove],
        *,
        page: Page | None = None,
        opening: list[Gap] | None = None,
        closing: list[int] | None = None,
        reader: str = "",
        compares: bool = False,
        finds: Gap | None = None,
    ) -> Committed:
        """Write, waiting while the spool has no room: the page in hand is kept, not asked for again."""
        order = backfill.order_of(self.rows[reader].state) if reader in self.rows else None
        opening = [*(opening or ()), *(self._shown_dropped(page) if page is not None and reader == TAIL else ())]
        commit = PageCommit(
            self._number,
            self._epoch,
            moves,
            page,
            open_gaps=opening,
            close_gaps=tuple(closing or ()),
            audience=(order.sink or None) if order is not None else None,
            reader=reader_of(reader),
            compares=compares,
            finds=finds,
        )
        try:
            while True:
                try:
                    done = await self._spool.commit(commit)
                    break
                except (SpoolFull, Held) as error:
                    self.waits = True
                    await self._refused(error)
        finally:
            self.waits = False
        for move in moves:
            if move.state is None:
                self.rows.pop(move.name, None)
            else:
                self.rows[move.name] = CursorRow(move.name, move.state, done.versions[move.name])
        opened = zip(opening, done.gaps, strict=True)  # what is late or lost is no matter of a heal
        self._gaps.extend(number for gap, number in opened if gap.cause != "late" and gap.lost_ms is None)
        return done

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)
