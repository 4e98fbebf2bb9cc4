"""Follows one source by named cursors and hands every page to the spool, together with the cursor that follows it.

::

    tail      begins ten minutes back on the first start: live events never wait for history
    backfill  begins `since` back, and walks to the tip behind the tail
    heal      begins `overlap` before the last good point when the source lost the tail's cursor
    trail     reads the newest ten minutes again every five, for events that became visible behind the cursor

`backfill` and `heal` walk without an end; at the tip they *become* the tail, in one transaction. So the tail's own
lower bound moves back to theirs, and it does not matter whether the API compares it with processing or event time.
What is known is dropped by the spool. `trail` reads from a mark that the tail itself left, so in its order and under
its bound; its row holds `begun` and `until` besides what `walks` explains. The poller never judges an event.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from typing import Any

import structlog

from forwarder import walks
from forwarder.contracts import (
    AuthFailed,
    Clock,
    CursorLost,
    CursorState,
    Held,
    Page,
    Retryable,
    Source,
    SourceConfig,
)
from forwarder.retry import Backoff, RequestBudget
from forwarder.spool.contract import CursorMove, CursorRow, Gap, PageCommit, Spool, SpoolFull
from forwarder.status import SourceReport

TAIL, HEAL, BACKFILL, TRAIL = "tail", "heal", "backfill", "trail"
CATCH_UP = (HEAL, TRAIL, BACKFILL)
"""Everything behind the tail, most urgent first."""

TAIL_SHARE = 3
"""After so many requests for the tail in a row, whatever is behind it gets one."""

OLDEST_MS = 180 * 86_400_000
"""Atlassian keeps 180 days (support.atlassian.com, "View audit log activities")."""

SPOOL_WAIT = 1.0
"""Seconds between two tries to hand a page to a full spool."""


class Poller:
    """The task of one source. `wake` is the bell; `stop` lets it finish the page at hand."""

    def __init__(
        self,
        source: Source,
        config: SourceConfig,
        *,
        spool: Spool,
        budget: RequestBudget,
        clock: Clock,
        rng: random.Random,
        report: SourceReport,
        announce: Callable[[], None] = lambda: None,
        configured: Collection[str] = (),
    ) -> None:
        self.wake = asyncio.Event()
        self.report = report
        self._source = source
        self._config = config
        self._spool = spool
        self._budget = budget
        self._announce = announce
        self._configured = configured
        self._clock = clock
        self._backoff = Backoff(config.retry, rng)
        self._log = structlog.get_logger().bind(source=source.origin.source)
        self._rows: dict[str, CursorRow] = {}
        self._number = 0
        self._epoch = 0
        self._gaps: list[int] = []
        self._trailing_ms = int(config.trailing * 1000)
        self._due: dict[str, float] = {}  # monotonic
        self._streak = 0
        self._at_tip = False
        self._stopping = False
        self._last_heal: float | None = None
        self._losses = Backoff(config.retry, rng)
        self._laid: CursorState | None = None  # the tail's state after a loss, until the API has kept a newer cursor

    async def run(self) -> None:
        """Follow the source until `stop`."""
        await self._open()
        while not self._stopping:
            self.wake.clear()
            name, wait = self._choose()
            if wait > 0:
                await self._sleep(wait)
                continue
            try:
                await self._step(name)
            except Retryable as error:
                await self._fail(error, error.kind, "retrying", error.retry_after)
            except Held as error:
                await self._fail(error, error.kind, "held", None)
        self.report.turn("stopped", self._clock.time())

    def ring(self) -> None:
        """Ask for the tail now, unless a fault makes us wait."""
        self._due[TAIL] = 0.0
        self.wake.set()

    def stop(self) -> None:
        """Ask the loop to end after the page at hand."""
        self._stopping = True
        self.wake.set()

    # -------------------------------------------------------------------------------------------------- the cursors

    async def _open(self) -> None:
        """Take the source over from whoever had it, and lay the first cursors."""
        state = await self._spool.open_source(self._source.origin, configured=self._configured)
        if state.known_as:
            self._log.info("source_renamed", known_as=state.known_as)
        self._number, self._epoch, self._rows = state.number, state.epoch, dict(state.cursors)
        self._gaps = [gap.number for gap in await self._open_gaps("cursor_lost")]
        if TAIL not in self._rows:
            now = self._now_ms()
            history = min(int(self._config.since * 1000), OLDEST_MS)
            first = min(history, self._trailing_ms)
            moves = [CursorMove(TAIL, None, self._walk(now - first))]
            if history > first:
                moves.append(CursorMove(BACKFILL, None, self._walk(now - history)))
            await self._commit(PageCommit(self._number, self._epoch, moves))
        self.report.turn("working", self._clock.time())
        await self._heal_damage()

    async def _open_gaps(self, cause: str) -> list[Gap]:
        gaps = (await self._spool.status()).gaps
        return [gap for gap in gaps if gap.source == self._number and gap.cause == cause and gap.closed_ms is None]

    async def _heal_damage(self) -> None:
        """Read again what a damaged page of the spool held; the spool has forgotten its ids."""
        if self._open_walk(HEAL):
            return
        gaps = await self._open_gaps("damaged_page")
        if not gaps:
            return
        overlap = int(self._config.overlap * 1000)
        since = min((gap.to_ms or gap.opened_ms) - overlap if gap.from_ms is None else gap.from_ms for gap in gaps)
        self._log.warning("damaged_page_is_read_again", since=since, gaps=len(gaps))
        self._gaps.extend(gap.number for gap in gaps)
        self.report.heals += 1
        await self._commit(PageCommit(self._number, self._epoch, [CursorMove(HEAL, None, self._walk(since))]))

    def _walk(self, since_ms: int) -> walks.Row:
        since_ms = max(since_ms, self._now_ms() - OLDEST_MS)
        return walks.begin(self._source.walk(since_ms), since_ms)

    def _choose(self) -> tuple[str, float]:
        """Return the cursor to ask next and the seconds until it is due."""
        now = self._clock.monotonic()
        self._lay_trail()
        waits = {name: max(0.0, self._due.get(name, 0.0) - now) for name in (TAIL, *CATCH_UP) if self._open_walk(name)}
        behind = next((name for name in CATCH_UP if waits.get(name, 1.0) <= 0), None)
        if behind is not None and (waits[TAIL] > 0 or self._streak >= TAIL_SHARE):
            return behind, 0.0
        if waits[TAIL] <= 0:
            return TAIL, 0.0
        name = min(waits, key=waits.__getitem__)
        return name, waits[name]

    def _open_walk(self, name: str) -> bool:
        row = self._rows.get(name)
        return row is not None and row.state.get("walk") is not None

    def _lay_trail(self) -> None:
        """Begin to read the newest stretch again when it is time and the tail is at the tip."""
        if not self._at_tip or self._open_walk(TRAIL):
            return
        row, now, tail = self._rows.get(TRAIL), self._now_ms(), self._rows[TAIL].state
        begun = row.state["begun"] if row else None
        if begun is not None and 0 <= now - begun < self._config.trailing_every * 1000:
            return
        since = min(min(now, tail["high"]) - self._trailing_ms, self._reread_from())
        high, walk = walks.mark_before(tail, since)
        state = {**walks.begin(walk, high), "begun": now, "until": walks.reached(tail)}
        # Durable with its first page; before that a restart simply lays it again.
        self._rows[TRAIL] = CursorRow(TRAIL, state, row.version if row else 0)
        self._due.pop(TRAIL, None)

    def _reread_from(self) -> int:
        """Return where the next trail begins at the latest, epoch milliseconds: a stretch before the last one began.

        By what was read as by the clock: one that was ahead for a while must not leave a stretch out.
        """
        row = self._rows.get(TRAIL)
        begun = row.state["begun"] if row is not None else None
        if row is None or begun is None:
            return self._now_ms() - self._trailing_ms
        floor: int = min(begun, row.state.get("floor", begun), row.state.get("until", begun))
        return floor - self._trailing_ms

    # -------------------------------------------------------------------------------------------------- one request

    async def _step(self, name: str) -> None:
        """Ask once for a cursor, hand the page over, and decide when to ask again."""
        self._streak = self._streak + 1 if name == TAIL else 0
        wait = self._budget.reserve()
        while wait > 0 and not self._stopping:
            await self._pause(wait)
            wait = self._budget.blocked()  # an objection may have come meanwhile, to another source of the same key
        if self._stopping:
            return
        row = self._rows[name]
        self.report.requests += 1
        try:
            page = await self._source.fetch(row.state["walk"])
        except CursorLost as error:
            self.report.errors["cursor_lost"] += 1
            await self._cursor_lost(name, str(error))
            return
        self._backoff.reset()
        if name == TAIL and row.state["walk"] != self._laid:
            self._losses.reset()
        now = self._clock.time()
        self.report.last_good_poll = now
        self._measure()
        await self._hand_over(name, row, page)
        if name == TAIL:
            self._at_tip = not page.more
        # The bell rings every `every`; this is the net below it.
        self._due[name] = 0.0 if page.more else self._clock.monotonic() + self._config.every * 1.5
        if page.looping:
            self.report.errors["loop"] += 1
            self._turn("retrying", f"the API gives the same cursor with the same events again (cursor {name})")
        elif self._losses.failures > 1:
            self._turn("retrying", "the API gives cursors and does not know them when they are used")
        elif not (name != TAIL and self.report.state == "retrying"):
            self._turn("working" if page.more or any(map(self._open_walk, CATCH_UP)) else "idle")

    async def _hand_over(self, name: str, row: CursorRow, page: Page) -> None:
        """Commit the page with the cursor that follows it; walk's ends and promotions in the same transaction."""
        after = walks.advance(
            row.state,
            page,
            self._now_ms(),
            self._trailing_ms,
            int(self._config.trailing_every * 1000),
            self._reread_from() if name == TAIL else None,
        )
        high = after["high"]
        ended = page.done or (name == TRAIL and walks.reached(after) > row.state["until"])
        version = row.version or None
        moves: list[CursorMove] = []
        closing: list[int] = []
        if name in {HEAL, BACKFILL} and ended:
            # What became visible behind this walk while it was near the present is for the next trail to find,
            # and what a trail that is still on its way has not read.
            trail, tail, begun = self._rows.get(TRAIL), self._rows[TAIL], after.pop("near")
            if self._open_walk(TRAIL):
                begun = min(begun, self._reread_from() + self._trailing_ms)
            moves = [
                CursorMove(name, version, None),
                CursorMove(TRAIL, (trail.version or None) if trail else None, {"begun": begun}),
            ]
            if after["from"] < tail.state["from"]:  # else another walk has moved the bound further back meanwhile
                moves.append(CursorMove(TAIL, tail.version, after))
            closing = self._gaps if name == HEAL or not self._open_walk(HEAL) else []
        elif name == TRAIL and ended:
            floor = min(row.state["begun"], row.state["until"])
            moves = [CursorMove(TRAIL, version, {"begun": row.state["begun"], "floor": floor})]
        elif page.bodies or page.next != row.state["walk"]:
            moves = [CursorMove(name, version, after)]
        if not moves:
            return
        new = await self._commit(
            PageCommit(self._number, self._epoch, moves, page if page.bodies else None, close_gaps=closing), behind=name
        )
        self.report.pages += bool(page.bodies)
        self.report.events += len(page.bodies)
        self.report.derived_ids += len(page.derived) if new else 0
        self.report.late_beyond_overlap += page.late if new else 0
        self.report.newest_event = max(self.report.newest_event, high / 1000)
        if closing:
            self._gaps = []
        if name == TRAIL and ended:
            await self._heal_damage()
        if name in {HEAL, BACKFILL} and ended:
            self._at_tip = True
            self._due[TAIL] = self._clock.monotonic() + self._config.every
            self._log.info("walk_reached_the_tip", cursor=name)

    async def _commit(self, commit: PageCommit, *, behind: str = TAIL) -> int:
        """Write, waiting while the spool has no room: the page in hand is kept, not asked for again."""
        while True:
            try:
                done = await self._spool.commit(commit)
                break
            except (SpoolFull, Held) as error:
                self.report.errors[error.kind] += 1
                self._turn("paused" if isinstance(error, SpoolFull) else "held", error.reason, error.fix)
                self.report.failed(self._clock.time(), SPOOL_WAIT)
                if self._stopping:
                    raise
                await self._pause(SPOOL_WAIT)  # a bell must not make this spin
        for move in commit.moves:
            if move.state is None:
                self._rows.pop(move.name, None)
            else:
                self._rows[move.name] = CursorRow(move.name, move.state, done.versions[move.name])
        self._gaps.extend(done.gaps)
        self.report.cursors = tuple(name for name in (TAIL, *CATCH_UP) if self._open_walk(name))
        self.report.spooled += done.new
        self.report.repeats += done.repeats
        self.report.revisions += done.revisions
        if behind == TRAIL:
            self.report.late_found += done.new
        if done.new:
            self._announce()
        return done.new

    # ---------------------------------------------------------------------------------------------------- misfortune

    async def _cursor_lost(self, name: str, told: str) -> None:
        """Go on near now, and read again from before the last good point."""
        row, now, overlap = self._rows[name], self._now_ms(), int(self._config.overlap * 1000)
        back = max(min(row.state["high"], now) - overlap, row.state["from"])
        self._log.warning("cursor_lost", cursor=name, high=row.state["high"], told=told)
        if name == TRAIL:
            again = self._walk(row.state["from"])
            self._rows[TRAIL] = CursorRow(
                TRAIL, {**again, "begun": row.state["begun"], "until": row.state["until"]}, row.version
            )
            self._due[TRAIL] = self._clock.monotonic() + self._config.every
            return
        if name != TAIL:
            again = self._walk(back)
            self._due[name] = self._clock.monotonic() + self._config.every
            await self._commit(PageCommit(self._number, self._epoch, [CursorMove(name, row.version, again)]))
            return
        moves = [CursorMove(TAIL, row.version, self._walk(now - self._trailing_ms))]
        gaps: list[Gap] = []
        if not self._open_walk(HEAL):
            self.report.heals += 1
            moves.append(CursorMove(HEAL, None, self._walk(back)))
            gaps = [Gap("cursor_lost", told, source=self._number, from_ms=row.state["high"], to_ms=now)]
            moment = self._clock.monotonic()
            wait = 0.0 if self._last_heal is None else self._last_heal + self._config.heal_every - moment
            self._due[HEAL] = moment + max(0.0, wait)
            self._last_heal = self._due[HEAL]
        elif back < self._rows[HEAL].state["from"]:  # a longer walk had become this tail
            moves.append(CursorMove(HEAL, self._rows[HEAL].version, self._walk(back)))
        await self._commit(PageCommit(self._number, self._epoch, moves, open_gaps=gaps))
        # A source that loses every new cursor must not make us spin; the request without one always goes well.
        self._laid = self._rows[TAIL].state["walk"]
        self._due[TAIL] = self._clock.monotonic() + min(self._config.every, self._losses.next())

    async def _fail(self, error: Retryable | Held, kind: str, state: Any, retry_after: float | None) -> None:
        self.report.errors[kind] += 1
        wait = self._backoff.next(retry_after)
        if isinstance(error, AuthFailed):
            wait = min(wait, self._config.every)
        self._turn(state, error.reason if isinstance(error, Held) else str(error), error.fix)
        self.report.failed(self._clock.time(), wait)
        self._measure()
        await self._pause(wait)

    def _turn(self, state: Any, reason: str = "", fix: str = "") -> None:
        if self.report.turn(state, self._clock.time(), reason, fix) and reason:
            self._log.warning("source_degraded", state=state, reason=reason, fix=fix)

    def _measure(self) -> None:
        self.report.requests_per_minute = self._budget.per_minute
        self.report.budget_remaining = -1.0 if self._budget.remaining is None else self._budget.remaining

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or somebody rings."""
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            return

    async def _pause(self, seconds: float) -> None:
        """Sleep out a back-off; only `stop` ends it early."""
        end = self._clock.monotonic() + seconds
        while not self._stopping and (left := end - self._clock.monotonic()) > 0:
            self.wake.clear()
            await self._sleep(left)
