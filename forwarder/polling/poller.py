"""Follows one source by named cursors: asks for the one whose turn it is, and hands every page to the spool.

::

    Plan (whose turn) ─► Source.fetch ─► HandOver (page + cursors, one transaction) ─► spool

A fault belongs to the cursor that met it: the others go on. A cursor that is refused is lost when the same is answered
without it, whatever the words of the refusal. The poller never judges an event.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection

import structlog

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
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import ComponentState, SourceReport
from forwarder.polling import complaints
from forwarder.polling.handover import OLDEST_MS, HandOver
from forwarder.polling.plan import CATCH_UP, HEAL, TAIL, TRAIL, Plan
from forwarder.polling.tips import Tips
from forwarder.spool.contract import CursorRow, Spool, SpoolFull

SPOOL_WAIT = 1.0
"""Seconds between two tries to hand a page to a full spool."""

MOST_LOSSES = 7
"""Lost cursors of one walk in a row, after which it goes on by time: what is given is of no use."""

_TRIAL = (False, False, True, False, True)
"""Requests without and with a cursor that is doubted. A fault that comes and goes, also one that meets every second or
third request, does not refuse just those with the cursor in this order."""


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
        self._budget = budget
        self._announce = announce
        self._configured = configured
        self._clock = clock
        self._log = structlog.get_logger().bind(source=source.origin.source)
        self._store = HandOver(source, config, spool=spool, clock=clock, refused=self._refused)
        self._plan = Plan(config.retry, rng)
        self._tips = Tips(source, self._store, clock, self._ask)
        self._dropped: dict[str, str] = {}
        self._writes = asyncio.Lock()  # a person drops a cursor from another task
        self._at_tip = False
        self._reads = False
        self._stopping = False
        self._takes_nothing = False  # the spool, when it was last asked
        self._last_heal: float | None = None

    async def run(self) -> None:
        """Follow the source until `stop`."""
        try:
            await self._open()
            self._reads = not self._stopping
            while not self._stopping:
                self.wake.clear()
                await self._drop_by_hand()
                name, wait = self._choose()
                if wait > 0:
                    await self._sleep(wait)
                else:
                    await self._attempt(name)
        except Held:
            if not self._stopping:  # else the spool took nothing to the end; the page is read again
                raise
        except Exception as error:
            words = f"the poller failed ({type(error).__name__}) and is started again; the log says more"
            self._turn("retrying", words, "Report it with the lines of the log.")
            raise
        finally:
            self._reads = False
        self.report.turn("stopped", self._clock.time())

    def ring(self) -> None:
        """Ask for the tail now, unless a fault makes us wait."""
        self._plan[TAIL].due = 0.0
        self.wake.set()

    def stop(self) -> None:
        """Ask the loop to end after the page at hand."""
        self._stopping = True
        self._reads = False
        self.wake.set()

    async def drop(self, name: str, reason: str) -> bool:
        """Take a cursor for lost at the next turn or start, durably; False when nothing is read or written now."""
        if not self._reads or self._takes_nothing:
            return False
        async with self._writes:
            if not self._reads:
                return False
            if self._open_walk(name):
                await self._store.note_dropped(name, reason)
        self._dropped[name] = reason
        self.wake.set()
        return True

    async def _open(self) -> None:
        """Take the source over, begin the first walks, and see to what was left behind."""
        store = self._store
        await store.open(self._configured)
        if self.report.state in {"starting", "stopped"}:
            self._turn("working")
        self._dropped |= {name: reason for name in (TAIL, *CATCH_UP) if (reason := store.dropped(name))}
        self.report.heals += await store.heal_damage()
        self._show()

    # -------------------------------------------------------------------------------------------------- one request

    @property
    def _rows(self) -> dict[str, CursorRow]:
        return self._store.rows

    def _open_walk(self, name: str) -> bool:
        return self._store.walks(name)

    def _open_walks(self) -> list[str]:
        return [name for name in (TAIL, *CATCH_UP) if self._store.walks(name)]

    def _choose(self) -> tuple[str, float]:
        """Return the cursor to ask next and the seconds until it is due."""
        if self._at_tip and self._store.begin_trail():
            self._plan[TRAIL].due = 0.0
        return self._plan.choose(self._open_walks(), self._clock.monotonic())

    async def _attempt(self, name: str) -> None:
        """Ask once for a cursor; a fault is its state, with a time for the next try."""
        begun = self._clock.monotonic()
        try:
            await self._step(name)
        except (Retryable, Held) as error:
            if not isinstance(error, SpoolFull):
                took = self._clock.monotonic() - begun
                self._failed(await self._set_aside(name, error), error, took)

    async def _step(self, name: str) -> None:
        """Ask once for a cursor, hand the page over, and decide when to ask again."""
        self._plan.take(name)
        if not await self._may_ask():
            return
        course, row = self._plan[name], self._rows[name]
        try:
            page = await self._tips.sure(name, await self._fetch(row.state["walk"]))
        except CursorLost as error:
            await self._lost(name, str(error))
            return
        except (Retryable, Held) as error:
            if not await self._is_lost(name, error):
                raise
            reason = error.reason if isinstance(error, Held) else str(error)
            await self._lost(name, f"the cursor is refused, and the same without it is not: {reason}")
            return
        if page is None:
            return
        course.failures = 0
        course.backoff.reset()
        if row.state["walk"] != course.laid and (page.bodies or page.done):  # what is empty and leads on proves nothing
            course.losses.reset()
        course.distrusts = course.distrusts and page.by_time
        self.report.last_good_poll = self._clock.time()
        self._measure()
        async with self._writes:
            await self._hand_over(name, page)
        self._judge(name, page)

    async def _may_ask(self) -> bool:
        """Wait for a place in the budget; False when the end came first."""
        wait = self._budget.reserve()
        while wait > 0 and not self._stopping:
            await self._pause(wait)
            wait = self._budget.blocked()  # an objection may have come meanwhile, to another source of the same key
        return not self._stopping

    async def _ask(self, walk: CursorState) -> Page | None:
        return await self._fetch(walk) if await self._may_ask() else None

    async def _fetch(self, walk: CursorState) -> Page:
        """Ask the source. What it raises beside the errors of its contract is a fault of it, and passes for one."""
        self.report.requests += 1
        try:
            return await self._source.fetch(walk)
        except (Retryable, Held, CursorLost):
            raise
        except Exception as error:  # noqa: BLE001 -- the plugin boundary; it is logged, and becomes a state
            kind = type(error).__name__
            if kind not in self.report.reason:
                self._log.exception("source_failed")
            raise Retryable(f"the source failed with {kind}; the log holds where: please report it") from None

    async def _hand_over(self, name: str, page: Page) -> None:
        done = await self._store.page(name, page)
        new = done.committed.new if done.committed is not None else 0
        if done.committed is not None:
            if self._takes_nothing:
                self._takes_nothing = False
                self._log.info("source_recovered")
            report = self.report
            report.pages += bool(page.bodies)
            report.events += len(page.bodies)
            report.derived_ids += done.committed.derived
            report.late_beyond_overlap += page.late if new else 0
            report.newest_event = max(report.newest_event, done.high / 1000)
            report.spooled += new
            report.repeats += done.committed.repeats
            report.revisions += done.committed.revisions
            report.late_found += new if name == TRAIL else 0
        if new:
            self._announce()
        if name == TAIL:
            self._at_tip = not page.more
        # The bell rings every `every`; this is the net below it.
        at_once = page.more or (page.done and name != TAIL)  # its end is made sure of
        self._plan[name].due = 0.0 if at_once else self._clock.monotonic() + self._config.every * 1.5
        if done.heals:
            self._heal_begins()
        if done.ended:
            await self._ended(name)

    async def _ended(self, name: str) -> None:
        self._plan.end(name)
        if name == TRAIL:
            self.report.heals += await self._store.heal_damage()
            return
        self._at_tip = True
        self._plan[TAIL].due = self._clock.monotonic() + self._config.every
        self._log.info("walk_reached_the_tip", cursor=name)

    def _judge(self, name: str, page: Page) -> None:
        """Say whether a cursor that answered does well."""
        complaint = complaints.of_page(page, self._plan[name])
        if complaint is not None:
            self._complain(name, complaint)
        elif self._plan[name].recover():
            self._log.info("source_recovered", cursor=name)
        self._show()

    # ---------------------------------------------------------------------------------------------------- misfortune

    async def _is_lost(self, name: str, error: Retryable | Held) -> bool:
        """Find out whether the cursor is to blame: the same is answered without it and refused with it, repeatedly."""
        if not self._plan[name].doubts(error.kind) or self._store.untouched(name):
            return False
        row = self._rows[name].state
        without = self._source.walk(max(row["high"], int(self._clock.time() * 1000) - OLDEST_MS))
        for has_cursor in _TRIAL:
            if not await self._may_ask():
                return False
            try:
                page = await self._fetch(row["walk"] if has_cursor else without)
                if has_cursor:
                    await self._tips.sure(name, page)
            except (Retryable, Held, CursorLost):
                if not has_cursor:
                    return False
            else:
                if has_cursor:
                    return False
        return True

    async def _lost(self, name: str, reason: str, *, by_hand: bool = False) -> None:
        """Go on near now and read again from before the last good point; without cursors when none is of use."""
        course, row = self._plan[name], self._rows[name].state
        self.report.errors["cursor_lost"] += 1
        self._log.warning("cursor_lost", cursor=name, high=row["high"], told=reason)
        course.failures = 0
        distrust = course.losses.failures >= MOST_LOSSES and not by_hand
        wait = 0.0 if by_hand else min(self._config.every, course.losses.next())
        async with self._writes:
            if distrust and await self._store.by_time(name):
                course.distrusts = True
            elif await self._store.lost(name, reason):
                self._heal_begins()
        # A source that loses every new cursor must not make us spin; the request without one always goes well.
        course.laid = self._rows[name].state["walk"]
        course.due = self._clock.monotonic() + (wait if name == TAIL else self._config.every)
        self._show()

    def _heal_begins(self) -> None:
        moment = self._clock.monotonic()
        wait = 0.0 if self._last_heal is None else self._last_heal + self._config.heal_every - moment
        self._plan[HEAL].due = self._last_heal = moment + max(0.0, wait)
        self.report.heals += 1

    async def _drop_by_hand(self) -> None:
        while self._dropped:
            name, reason = self._dropped.popitem()
            if self._open_walk(name):
                await self._lost(name, reason, by_hand=True)

    async def _set_aside(self, name: str, error: Retryable | Held) -> str:
        """Go on beyond what cannot be passed; return the cursor that stays with it."""
        if not isinstance(error, Held) or error.kind not in complaints.OF_A_PLACE:
            return name
        async with self._writes:
            heals = await self._store.set_aside(name, error)
        if heals is None:
            return name
        course = self._plan[name]
        course.recover()
        course.blocked = self._clock.monotonic() + course.backoff.next()
        if heals:
            self._heal_begins()
        return HEAL

    def _failed(self, name: str, error: Retryable | Held, took: float) -> None:
        """Note what is wrong with a cursor and when it is asked again."""
        course = self._plan[name]
        wait = course.backoff.next(error.retry_after if isinstance(error, Retryable) else None)
        if isinstance(error, AuthFailed):
            wait = min(wait, self._config.every)
        if isinstance(error, Retryable) and error.smaller:
            wait = 0.0
        elif name != TAIL:
            wait = max(wait, took)  # one that hangs takes half of the time at most
        course.blocked = self._clock.monotonic() + wait
        self._complain(name, complaints.of_error(error, self._rows[name].state["high"]))
        self._measure()
        self._show()
        self.report.failed(self._clock.time(), max(wait, self._budget.blocked()))

    async def _refused(self, error: Held) -> None:
        """Say that the spool takes nothing, and wait a moment; raises it when the end has come."""
        self.report.errors[error.kind] += 1
        state: ComponentState = "paused" if isinstance(error, SpoolFull) else "held"
        if self._turn(state, error.reason, error.fix):
            self._log.warning("source_degraded", state=state, reason=error.reason, fix=error.fix)
        self._takes_nothing = True
        self.report.failed(self._clock.time(), SPOOL_WAIT)
        if self._stopping:
            raise error
        await self._pause(SPOOL_WAIT)  # a bell must not make this spin

    # ---------------------------------------------------------------------------------------------------- the report

    def _complain(self, name: str, complaint: complaints.Complaint) -> None:
        state, reason, fix = complaint.state, complaint.reason, complaint.fix
        if complaint.kind:
            self.report.errors[complaint.kind] += 1
        if self._plan[name].complain(state, reason, fix):
            self._log.warning("source_degraded", cursor=name, state=state, reason=reason, fix=fix)

    def _show(self) -> None:
        """Show the worst of the cursors that are at work."""
        walks = self._open_walks()
        self.report.cursors = tuple(walks)
        worst = self._plan.worst(walks)
        if worst is None:
            idle = self._at_tip and walks == [TAIL]
            self._turn("idle" if idle else "working")
            return
        name, course = worst
        where = "" if name == TAIL else f" (cursor {name})"
        self._turn(course.state or "working", course.reason + where, course.fix)

    def _turn(self, state: ComponentState, reason: str = "", fix: str = "") -> bool:
        return self.report.turn(state, self._clock.time(), reason, fix)

    def _measure(self) -> None:
        self.report.requests_per_minute = self._budget.per_minute
        self.report.budget_remaining = -1.0 if self._budget.remaining is None else self._budget.remaining

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or the poller is rung."""
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
