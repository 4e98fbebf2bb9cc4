"""Follows one source by named cursors: asks for the one whose turn it is, and hands every page to the spool.

::

    Plan (who may be asked) ─► Asker (whose turn, source) ─► HandOver (page + cursors, one transaction) ─► spool

One request for the tail and one for a walk behind it are under way at most, so that live events and history do not wait
for each other's answers. What a request was for may have changed when its answer comes: then it counts for nothing. A
fault belongs to the cursor that met it: the others go on. The poller never judges an event.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Collection
from contextlib import suppress

from forwarder.contracts import Clock, CursorLost, Held, Page, Retryable, Source, SourceConfig
from forwarder.contracts.log import get_logger
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import ComponentState, SourceReport
from forwarder.polling import complaints, trial
from forwarder.polling.asking import Asker
from forwarder.polling.looks import Looks
from forwarder.polling.ordered import Ordered
from forwarder.polling.plan import HEAL, RECONCILE, REREAD, TAIL, Course, Plan
from forwarder.polling.reading import plan_of
from forwarder.polling.reconciling import Reconcile
from forwarder.polling.shown import Shown
from forwarder.polling.turns import Turns
from forwarder.spool.contract import WEBHOOK, Committed, CursorRow, Spool, SpoolFull

SPOOL_WAIT = 1.0
"""Seconds between two tries to hand a page to a full spool."""

MOST_LOSSES = 7
"""Lost cursors of one walk in a row, after which it goes on by time: what is given is of no use."""

MOST_RECURRENCES = 4
"""Pages of a walk that came before in it, after which it goes on by time."""


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
        self._config = config
        self._announce = announce
        self._configured = configured
        self._clock = clock
        self._log = get_logger().bind(source=source.origin.source)
        self._plan = Plan(config.retry, rng)
        self._shown = Shown(report, self._plan, budget, clock)
        self._asker = Asker(source, budget, clock, report)
        self._looks = Looks(config.every, self._asker, clock, report)
        self._reading = plan_of(source, config, self._asker, spool=spool, clock=clock, refused=self._refused)
        self._store = self._reading.store
        self._turns = Turns(self._store, self._plan, self._asker, clock)
        self._shown.follow(self._asker, self._store)
        self._dropped: dict[str, str] = {}
        self._writes = asyncio.Lock()  # the tail, the walks, and a person who drops a cursor
        self.ordered = Ordered(self._store, self._plan, self._writes, self.wake, lambda: self._reads)
        self._reconcile = Reconcile(self._store, self._plan, self._writes, clock)
        self._at_tip = self._reads = self._stopping = False
        self._was_refused = False  # by the spool, what was last read
        self._last_heal: float | None = None

    async def run(self) -> None:
        """Follow the source until `stop`."""
        try:
            await self._open()
            self._reads = not self._stopping
            await self._follow()
        except Held:
            if not self._stopping:  # else the spool took nothing to the end; the page is read again
                raise
        except Exception as error:
            words = f"the poller failed ({type(error).__name__}) and is started again; the log says more"
            self._shown.turn("retrying", words, "Report it with the lines of the log.")
            raise
        finally:
            self._reads = False
        self.report.turn("stopped", self._clock.time())

    def ring(self) -> None:
        """Ask for the tail now, unless a fault makes us wait."""
        self._plan[TAIL].due = 0.0
        self.wake.set()

    def retry_now(self) -> None:
        """Ask for every cursor now, whatever failed; what the API itself asked for is waited for all the same."""
        self._plan.hasten(self._open_walks())
        self.wake.set()

    def stop(self) -> None:
        """Ask the loop to end after the page at hand."""
        self._stopping = True
        self._reads = False
        self._asker.stop()
        self.wake.set()

    async def drop(self, name: str, reason: str) -> bool:
        """Take a cursor for lost at the next turn or start, durably; False when nothing is read or written now."""
        if not self._reads or self._store.waits:
            return False
        async with self._writes:
            if not self._reads:
                return False
            if self._open_walk(name):
                await self._store.note_dropped(name, reason)
        self._dropped[name] = reason
        self.wake.set()
        return True

    async def push(self, page: Page, reader: str = WEBHOOK, audience: str | None = None) -> Committed:
        """Spool events that were brought to us. Raises Retryable while nothing is read, and what the spool raises."""
        if not self._reads:
            raise Retryable("the source is not open", fix="Nothing; it is opened or closed now.")
        return await self._store.push(page, reader, audience)

    async def _open(self) -> None:
        """Take the source over, begin the first walks, and see to what was left behind."""
        store = self._store
        await store.open(self._configured)
        if self.report.state in {"starting", "stopped"}:
            self._shown.turn("working")
        self._dropped |= {name: reason for name in store.rows if (reason := store.dropped(name))}
        self.report.heals += await store.heal_damage()
        self._show()

    # -------------------------------------------------------------------------------------------------- one request

    @property
    def _rows(self) -> dict[str, CursorRow]:
        return self._store.rows

    def _open_walk(self, name: str) -> bool:
        return self._store.walks(name)

    def _open_walks(self) -> list[str]:
        return self._store.open_walks()

    async def _follow(self) -> None:
        """Ask for the cursors whose turn it is until `stop`; a request that is under way then is finished."""
        running: dict[str, asyncio.Task[None]] = {}
        try:
            while not self._stopping:
                self.wake.clear()
                await self._drop_by_hand()
                await self._reconcile.begin()
                _, wait = self._choose(running)
                if wait > 0:
                    await self._sleep(wait)
                elif (name := await self._turn(running)) is not None:
                    self._begin(running, name)
            for task in running.values():
                await task
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    def _choose(self, running: dict[str, asyncio.Task[None]] | None = None) -> tuple[str, float]:
        """Return the cursor to ask next and the seconds until it is due; requests that have ended are taken out."""
        running = running or {}
        for name in [name for name, task in running.items() if task.done()]:
            running.pop(name).result()
        if (self._at_tip or self._looks.is_near) and self._store.start_reread():
            self._plan[REREAD].due = 0.0
        return self._turns.next(running)

    async def _turn(self, running: dict[str, asyncio.Task[None]]) -> str | None:
        """Wait for a place in the budget, or until the tail wants one that a walk leaves free."""
        return await self._asker.turn(
            lambda: self._turns.ready(running), wake=self.wake, tail_due=lambda: self._turns.tail_due(running)
        )

    def _begin(self, running: dict[str, asyncio.Task[None]], name: str) -> None:
        running[name] = asyncio.create_task(self._attempt(name))
        running[name].add_done_callback(lambda _: self.wake.set())

    async def _attempt(self, name: str) -> None:
        """Ask once for a cursor; a fault is its state, with a time for the next try."""
        begun, row = self._clock.monotonic(), self._rows.get(name)
        try:
            await self._request(name)
        except (Retryable, Held) as error:
            if self._is_current(name, row):
                took = self._clock.monotonic() - begun
                if stays := await self._set_aside(name, error, row):
                    self._failed(stays, error, took)
        finally:
            now = self._clock.monotonic()
            self._plan.took(name, now - begun, now)

    def _is_current(self, name: str, row: CursorRow | None) -> bool:
        """Tell whether a walk stands where it was asked: another one may have replaced it, or somebody dropped it."""
        now = self._rows.get(name)
        if row is None or now is None:
            return False
        return all(now.state.get(key) == row.state.get(key) for key in ("walk", "from"))

    async def _request(self, name: str) -> None:
        """Ask once for a cursor, hand the page over, and decide when to ask again."""
        row = self._rows.get(name)
        if row is None or not self._open_walk(name):
            return
        course = self._plan[name]
        try:
            page = await self._reading.read(name, row.state)
        except CursorLost as error:
            await self._lost(name, str(error), row)
            return
        except (Retryable, Held) as error:
            if not self._is_current(name, row) or not await self._is_lost(name, row, error):
                raise
            reason = error.reason if isinstance(error, Held) else str(error)
            await self._lost(name, f"the cursor is refused, and the same without it is not: {reason}", row)
            return
        if page is None:
            return
        async with self._writes:
            if not self._is_current(name, row):
                return  # its events come by the walk that stands there now
            self._answered(course, row, page)
            new = await self._hand_over(name, page)
            await self._see_progress(name, row, page, new)
        self._judge(name, page)

    def _answered(self, course: Course, row: CursorRow, page: Page) -> None:
        course.failures = 0
        course.backoff.reset()
        if row.state["walk"] != course.restarted_at and (page.bodies or page.done):
            course.losses.reset()  # what is empty and leads on proves nothing
        if not page.by_time:
            course.distrusts = ""
        self._shown.answered()
        self.report.own_records += page.own

    async def _hand_over(self, name: str, page: Page) -> int:
        """Hand a page to the spool; return how many of its events were new."""
        done = await self._store.page(name, page)
        new = done.committed.new if done.committed is not None else 0
        if done.committed is not None:
            if self._was_refused:
                self._was_refused = False
                self._log.info("source_recovered")
            self._shown.count(name, page, done.committed, done.high)
        if new:
            self._announce()
        if name == TAIL:  # events that it has had already, and that nobody calls the last, are no tip
            self._at_tip = not page.more and bool(page.done or new or not page.bodies)
            self._reconcile.note_tail(at_tip=self._at_tip)
        self._plan[name].due = self._looks.due(page, new) if name == TAIL else self._looks.walk_due(name, page)
        if done.heals:
            self._heal_begins()
        if done.ended:
            await self._ended(name, page, promoted=done.promoted)
        return new

    async def _ended(self, name: str, page: Page, *, promoted: bool) -> None:
        self._plan.end(name)
        if name in {REREAD, RECONCILE}:
            self.report.heals += await self._store.heal_damage()
            return
        if promoted:
            self._at_tip = not page.more
            self._plan[TAIL].due = 0.0 if page.more else self._clock.monotonic() + self._config.every
        self._log.info("walk_reached_the_tip" if promoted else "walk_ended", cursor=name)

    async def _see_progress(self, name: str, row: CursorRow, page: Page, new: int) -> None:
        """Slow down a walk that reads the same again, and let it go on by time when it does not come out of it."""
        course = self._plan[name]
        course.recurrence.observe(row.state["walk"], page, new=new, high=row.state["high"])
        if not course.recurrence.hits:
            course.recurring.reset()
            return
        if not new:
            course.blocked = self._clock.monotonic() + course.recurring.next()
        if course.recurrence.hits >= MOST_RECURRENCES and self._open_walk(name) and await self._store.by_time(name):
            course.distrusts = complaints.RECURS

    def _judge(self, name: str, page: Page) -> None:
        """Say whether a cursor that answered does well."""
        complaint = complaints.of_page(page, self._plan[name])
        if complaint is not None:
            self._shown.complain(name, complaint)
        elif self._plan[name].recover():
            self._log.info("source_recovered", cursor=name)
        self._show()

    # ---------------------------------------------------------------------------------------------------- misfortune

    async def _is_lost(self, name: str, row: CursorRow, error: Retryable | Held) -> bool:
        """Count a failure, and find out whether the cursor is to blame when it is time for that."""
        course = self._plan[name]
        course.failures += 1
        if not trial.is_due(error.kind, course.failures, lost_before=course.losses.failures > 0):
            return False
        return await self._reading.is_cursor_to_blame(name, row.state)

    async def _lost(self, name: str, reason: str, row: CursorRow | None = None, *, by_hand: bool = False) -> None:
        """Go on near now and read again from before the last good point; without cursors when none is of use.

        Nothing is done when the walk has ended meanwhile, or does not stand at `row` any more.
        """
        async with self._writes:
            if not self._open_walk(name) or (row is not None and not self._is_current(name, row)):
                return
            course, high = self._plan[name], self._rows[name].state["high"]
            self.report.errors["cursor_lost"] += 1
            self._log.warning("cursor_lost", cursor=name, high=high, told=reason)
            course.failures = 0
            distrust = course.losses.failures >= MOST_LOSSES and not by_hand
            wait = 0.0 if by_hand else min(self._config.every, course.losses.next())
            if distrust and await self._store.by_time(name):
                course.distrusts = complaints.UNKNOWN
            elif distrust and name == RECONCILE:
                await self._reconcile.leave(Retryable(reason))
            elif await self._store.lost(name, reason):
                self._heal_begins()
            if self._open_walk(name):
                # A source that loses every new cursor must not make us spin; the request without one always goes well.
                course.restarted_at = self._rows[name].state["walk"]
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
            await self._lost(name, reason, by_hand=True)

    async def _set_aside(self, name: str, error: Retryable | Held, row: CursorRow | None) -> str:
        """Go on beyond what cannot be passed; return the cursor that stays with it, if any does."""
        if name == RECONCILE:
            return "" if await self._reconcile.leaves(error, lambda: self._is_current(name, row)) else name
        if not isinstance(error, Held) or error.kind not in complaints.OF_A_PLACE:
            return name
        async with self._writes:
            heals = await self._store.set_aside(name, error) if self._is_current(name, row) else None
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
        wait = self._plan.failed(name, error, took, self._config.every, self._clock.monotonic())
        self._shown.complain(name, complaints.of_error(error, self._rows[name].state["high"]))
        self._show()
        self._shown.failed(wait)

    async def _refused(self, error: Held) -> None:
        """Say that the spool takes nothing, and wait a moment; raises it when the end has come."""
        self.report.errors[error.kind] += 1
        state: ComponentState = "paused" if isinstance(error, SpoolFull) else "held"
        if self._shown.turn(state, error.reason, error.fix):
            self._log.warning("source_degraded", state=state, reason=error.reason, fix=error.fix)
        self._was_refused = True
        self.report.failed(self._clock.time(), SPOOL_WAIT)
        if self._stopping:
            raise error
        await self._asker.pause(SPOOL_WAIT)  # a bell must not make this spin

    def _show(self) -> None:
        self._shown.worst(self._open_walks(), at_tip=self._at_tip or self._looks.is_near)

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or the poller is rung."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if seconds < math.inf else None):
                await self.wake.wait()
