"""When a cursor is asked again: after an answer, a fault, a loss, and while its walk reads the same again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, Held, Retryable
from forwarder.polling import complaints
from forwarder.polling.looks import PART
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.polling.poller import MOST_LOSSES, SPOOL_WAIT, Poller
from forwarder.spool.contract import CursorRow, SpoolFull
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, page, poller_of, spool_in

EVERY = 30.0


class Harness:
    """A poller that has begun, and what its source says next."""

    def __init__(self, poller: Poller, clock: FakeClock, source: ScriptedSource) -> None:
        self.poller, self.clock, self.source = poller, clock, source

    def row(self, name: str) -> CursorRow:
        return self.poller._rows[name]

    def due(self, name: str) -> float:
        return self.poller._plan[name].due - self.clock.monotonic()

    def blocked(self, name: str) -> float:
        return self.poller._plan[name].blocked - self.clock.monotonic()

    async def answer(self, name: str, *idents: str, **more: Any) -> None:
        self.source.answer = lambda state: page(state, *idents, **more)
        await self.poller._attempt(name)

    async def fail(self, name: str, error: Exception, took: float = 0.0) -> None:
        def failing(_: Any) -> Exception:
            self.clock.advance(took)
            return error

        self.source.answer = failing
        await self.poller._attempt(name)


@asynccontextmanager
async def harness(folder: Path, **config: Any) -> AsyncIterator[Harness]:
    clock = FakeClock()
    async with spool_in(folder, clock) as spool:
        source = ScriptedSource(page)
        poller = poller_of(source, spool, clock, **{"since": 86400, "every": EVERY, **config})
        await poller._open()
        yield Harness(poller, clock, source)


async def test_a_page_that_leads_on_is_followed_at_once_and_one_that_does_not_waits_for_the_bell(
    tmp_path: Path,
) -> None:
    async with harness(tmp_path) as d:
        await d.answer(TAIL, "a", more=True)
        assert (d.poller._plan[TAIL].due, d.poller._at_tip) == (0.0, False)
        await d.answer(TAIL, "b", more=False, done=True)
        assert (d.due(TAIL), d.poller._at_tip) == (EVERY / PART, True), "what had events is soon asked again"
        for wait in (2 / PART, 4 / PART, 1.5, 1.5):
            await d.answer(TAIL, done=True)
            assert d.due(TAIL) == wait * EVERY
        await d.answer(BACKFILL, "c", more=False, done=True)
        assert d.poller._plan[BACKFILL].due == 0.0, "its end is made sure of"
        await d.answer(BACKFILL, "d", more=False, done=False)
        assert d.due(BACKFILL) == 1.5 * EVERY
        d.poller._at_tip = False
        await d.answer(BACKFILL, more=False, done=True)
        assert (d.due(TAIL), d.poller._at_tip) == (EVERY, True), "it is the tail now, and has come to the tip"


async def test_where_events_come_without_a_pause_a_look_ends_near_now_and_the_newest_is_read_again(
    tmp_path: Path,
) -> None:
    async with harness(tmp_path) as d:
        now = int(d.clock.now * 1000)
        await d.answer(TAIL, "a", "b", "c", more=True, stands_at=now - 3_600_000)
        d.poller._choose()
        assert (d.poller._plan[TAIL].due, d.poller._open_walk(REREAD)) == (0.0, False)
        await d.answer(TAIL, "d", more=True, stands_at=now)
        d.poller._choose()
        assert (d.due(TAIL), d.poller._open_walk(REREAD)) == (EVERY / PART, True)
        assert not d.poller._at_tip, "nobody said that it is the last"


@pytest.mark.parametrize(
    ("idents", "more", "reset"),
    [(["a"], {}, True), ([], {"done": True}, True), ([], {"done": False, "more": True}, False)],
)
async def test_a_loss_is_forgotten_when_what_came_after_it_was_of_use(
    tmp_path: Path, idents: list[str], more: dict[str, Any], reset: bool
) -> None:
    async with harness(tmp_path) as d:
        course = d.poller._plan[TAIL]
        course.failures, course.distrusts = 3, "why"
        course.losses.next()
        course.backoff.next()
        course.restarted_at = d.row(TAIL).state["walk"]
        await d.answer(TAIL, "x", more=True)
        assert (course.losses.failures, course.backoff.failures, course.failures) == (1, 0, 0), (
            "the walk that began anew"
        )
        await d.answer(TAIL, *idents, by_time=True, **more)
        assert course.losses.failures == (0 if reset else 1)
        course.distrusts = "why"
        d.poller._answered(course, d.row(TAIL), page({}, "y", by_time=True))
        assert course.distrusts == "why"
        d.poller._answered(course, d.row(TAIL), page({}, "y"))
        assert course.distrusts == ""


async def test_a_fault_waits_as_long_as_is_asked_for_and_one_of_the_tail_holds_no_walk(tmp_path: Path) -> None:
    async with harness(tmp_path) as d:
        await d.fail(TAIL, Retryable("slow down", kind="rate_limited", retry_after=777.0), took=500.0)
        assert d.blocked(TAIL) == 777.0
        assert d.blocked(BACKFILL) <= 0
        assert d.poller.report.errors["rate_limited"] == 1
        await d.fail(BACKFILL, Retryable("silent", kind="timeout"), took=500.0)
        assert d.blocked(BACKFILL) == 500.0, "one that hangs takes half of the time at most"
        await d.fail(BACKFILL, Retryable("too large", kind="too_large", smaller=True), took=500.0)
        assert d.blocked(BACKFILL) == 0.0
        for _ in range(12):
            await d.fail(TAIL, AuthFailed("no", fix="a key"))
            assert d.blocked(TAIL) <= EVERY
        for _ in range(12):
            await d.fail(TAIL, Retryable("x", kind="tls"), took=500.0)
        assert d.poller._plan[TAIL].backoff.failures > 12
        assert d.poller._plan[TAIL].failures == 25


async def test_a_person_ends_the_wait_of_what_failed_and_begins_its_back_off_anew(tmp_path: Path) -> None:
    async with harness(tmp_path, retry={"base": "10s", "max": "1h"}) as d:
        for _ in range(9):
            await d.fail(TAIL, Retryable("down"))
        await d.fail(BACKFILL, Held("the key is refused", fix="another"))
        await d.answer(HEAL, more=False)
        assert min(d.blocked(TAIL), d.blocked(BACKFILL)) > 0
        before = d.due(HEAL)
        d.poller.retry_now()
        assert max(d.poller._plan[name].ready for name in (TAIL, BACKFILL)) <= d.clock.monotonic()
        assert d.poller.wake.is_set()
        assert d.due(HEAL) == before, "what is well keeps its time"
        await d.fail(TAIL, Retryable("down"))
        assert d.blocked(TAIL) <= 10


async def test_a_lost_tail_goes_on_soon_and_a_lost_walk_when_it_is_its_time(tmp_path: Path) -> None:
    async with harness(tmp_path) as d:
        await d.answer(TAIL, "a", more=True)
        await d.answer(BACKFILL, "b", more=True)
        for name in (TAIL, BACKFILL):
            d.poller._plan[name].failures = 3
            await d.poller._lost(name, "gone", d.row(name))
            assert d.poller._plan[name].restarted_at == d.row(name).state["walk"]
            assert (d.poller._plan[name].failures, d.poller._plan[name].losses.failures) == (0, 1)
        assert 0 <= d.due(TAIL) <= 1.0
        assert d.due(BACKFILL) == EVERY
        assert (d.poller.report.heals, d.poller.report.errors["cursor_lost"]) == (1, 2)
        await d.poller._lost(TAIL, "by hand", by_hand=True)
        assert (d.due(TAIL), d.poller._plan[TAIL].losses.failures) == (0.0, 1), "a person has a reason"
        for _ in range(40):
            await d.poller._lost(TAIL, "gone", d.row(TAIL))
            assert d.due(TAIL) <= EVERY


@pytest.mark.parametrize("losses", [MOST_LOSSES - 1, MOST_LOSSES])
@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_walk_that_loses_every_cursor_goes_on_by_time(tmp_path: Path, losses: int, by_hand: bool) -> None:
    async with harness(tmp_path) as d:
        d.source.by_time = lambda walk, from_ms: {"walk": 0, "since": from_ms}  # type: ignore[attr-defined]
        for _ in range(losses):
            d.poller._plan[TAIL].losses.next()
        await d.poller._lost(TAIL, "gone", by_hand=by_hand)
        goes_by_time = losses == MOST_LOSSES and not by_hand
        assert (d.row(TAIL).state["walk"]["walk"] == 0) is goes_by_time
        assert d.poller._plan[TAIL].distrusts == (complaints.UNKNOWN if goes_by_time else "")
        assert d.poller.report.heals == (0 if goes_by_time else 1)


async def test_heals_begin_so_far_apart(tmp_path: Path) -> None:
    async with harness(tmp_path, heal_every=600) as d:
        d.poller._heal_begins()
        assert d.due(HEAL) == 0.0
        d.clock.advance(100)
        d.poller._heal_begins()
        assert d.due(HEAL) == 500.0
        d.clock.advance(1200)
        d.poller._heal_begins()
        assert (d.due(HEAL), d.poller.report.heals) == (0.0, 3)


async def test_a_walk_that_reads_the_same_again_is_slowed_down_until_it_goes_forward(tmp_path: Path) -> None:
    async with harness(tmp_path) as d:
        course = d.poller._plan[TAIL]
        course.recurrence.hits = 1
        course.recurrence._next = d.row(TAIL).state["walk"]
        await d.answer(TAIL, "a", more=True)
        assert (d.blocked(TAIL) <= 0, course.recurring.failures) == (True, 0), "it was new"
        course.recurrence.hits = 1
        await d.answer(TAIL, "a", more=True)
        assert course.recurring.failures == 1
        assert d.blocked(TAIL) > 0
        await d.answer(TAIL, more=False, done=True)
        assert course.recurring.failures == 0


async def test_what_takes_nothing_is_asked_again_after_a_second_and_not_beyond_the_end(tmp_path: Path) -> None:
    async with harness(tmp_path) as d:
        paused: list[float] = []

        async def pause(seconds: float) -> None:
            paused.append(seconds)
            await asyncio.sleep(0)

        d.poller._asker.pause = pause  # type: ignore[method-assign]
        d.poller._reads = True
        await d.poller._refused(SpoolFull("full", fix="x", kind="spool_full"))
        assert (d.poller.report.state, paused, d.poller.report.errors["spool_full"]) == ("paused", [SPOOL_WAIT], 1)
        d.poller._store.waits = True
        assert not await d.poller.drop(TAIL, "by hand"), "it could not be kept"
        d.poller._store.waits = False
        await d.poller._refused(Held("broken", fix="x", kind="disk_full"))
        assert (d.poller.report.state, d.poller.report.reason) == ("held", "broken")
        await d.answer(TAIL, "a")
        assert d.poller._was_refused is False
        assert await d.poller.drop(TAIL, "by hand")
        assert d.row(TAIL).state["dropped"] == "by hand"
        d.poller.stop()
        with pytest.raises(Held, match="full"):
            await d.poller._refused(Held("full", fix="x", kind="disk_full"))
        assert len(paused) == 2
        assert not await d.poller.drop(TAIL, "by hand")


async def test_only_walks_that_are_open_have_a_turn(tmp_path: Path) -> None:
    async with harness(tmp_path) as d:
        d.poller._store.rows["of a later version"] = CursorRow("of a later version", {"walk": {}}, 1)
        assert d.poller._open_walks() == [TAIL, BACKFILL]
        await d.poller._request(HEAL)
        await d.poller._request(REREAD)
        assert d.source.asked == []
        waiting: dict[str, Any] = {BACKFILL: asyncio.create_task(asyncio.sleep(60))}
        assert d.poller._choose(waiting) == (TAIL, 0.0)
        d.poller._store.waits = True
        assert d.poller._choose(waiting) == (TAIL, float("inf"))
        d.poller._store.waits = False
        d.poller._plan[TAIL].blocked = d.clock.monotonic() + 5
        assert d.poller._choose(waiting) == (TAIL, 5.0), "two for history are never under way"
        waiting[BACKFILL].cancel()
        await asyncio.gather(*waiting.values(), return_exceptions=True)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_refusal_is_over_with_what_was_written_even_where_no_page_was(tmp_path: Path, ends: bool) -> None:
    """A disk that is full for a moment while a cursor is lost on a quiet log: no page comes that would say so."""
    async with harness(tmp_path) as d:
        store, commit, seen = d.poller._store, d.poller._store._spool.commit, []

        async def refuses_once(what: Any) -> Any:
            seen.append(store.waits)
            if len(seen) == 1 or not ends:
                raise Held("full", fix="x", kind="disk_full")
            return await commit(what)

        async def pause(_: float) -> None:
            if not ends:
                d.poller.stop()

        store._spool.commit = refuses_once
        d.poller._asker.pause = pause  # type: ignore[method-assign]
        with contextlib.suppress(Held):
            await store.lost(TAIL, "by hand")
        assert seen == [False, True]
        assert store.waits is False


async def test_a_first_failure_costs_no_other_request_unless_the_cursor_before_was_lost(tmp_path: Path) -> None:
    async with harness(tmp_path) as d:
        refused = Retryable("no", kind="bad_request")

        async def requests_of_a_failure() -> int:
            before = len(d.source.asked)
            await d.fail(TAIL, refused)
            return len(d.source.asked) - before

        await d.answer(TAIL, "a")
        assert await requests_of_a_failure() == 1
        assert await requests_of_a_failure() > 1, "the same without the cursor"
        await d.answer(TAIL, "b")
        assert await requests_of_a_failure() == 1
        await d.poller._lost(TAIL, "by a test")
        assert d.poller._plan[TAIL].losses.failures == 1
        await d.answer(TAIL, more=True, next={"walk": 9, "n": 1})  # what is empty and leads on proves nothing
        assert await requests_of_a_failure() > 1
