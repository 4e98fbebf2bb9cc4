"""An empty page is the end of the log only when nothing newer can be seen without the cursor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from simulator.httpd import Response
from tests.polling.pollers import attempt
from tests.polling.test_reading_on import Course, course, names
from tests.sources.organization.feeds import START, Log

NOW = START + 100_000_000
DAY = 86_400_000

given = iter(range(10**9))
EMPTY: dict[str, Callable[[str], Response]] = {
    "no word of a cursor": lambda _: Response.json({"data": [], "meta": {}}),
    "null": lambda _: Response.json({"data": [], "meta": {"next": None}, "links": {}}),
    "no more": lambda _: Response.json({"data": [], "meta": {"hasMore": False}}),
    "the same cursor": lambda cursor: Response.json({"data": [], "meta": {"next": cursor}}),
    "another cursor": lambda _: Response.json({"data": [], "meta": {"next": f"x{next(given)}"}}),
    "data is null": lambda _: Response.json({"data": None}),
    "204": lambda _: Response(204),
}


async def all_arrive(c: Course, most: int = 3000) -> None:
    """Go on until every event is in the spool, and see that it never looked well and idle before."""
    for _ in range(most):
        missing = c.poller.report.spooled < len(c.log.events)
        if not missing:
            break
        assert c.poller.report.state != "idle", c.poller.report
        await c.step()
    assert Counter(await c.until_all(1)) == names(c.log)


async def is_well(c: Course) -> None:
    await c.until(lambda: c.poller.report.state == "idle" and c.poller._open_walks() == [TAIL], 3000)
    assert all(gap.closed_ms is not None for gap in (await c.spool.status()).gaps)


# ----------------------------------------------------------------------------------------------- amid a walk


@pytest.mark.parametrize("resumes", [False, True], ids=["null at the tip", "a cursor at the tip"])
@pytest.mark.parametrize("by_time", [False, True], ids=["processed", "time"])
@pytest.mark.parametrize("inclusive", [False, True], ids=["exclusive", "inclusive"])
@pytest.mark.parametrize("words", EMPTY)
async def test_an_empty_page_amid_a_backfill_is_no_end(
    tmp_path: Path, words: str, by_time: bool, inclusive: bool, resumes: bool
) -> None:
    log = Log(by_time=by_time, inclusive=inclusive, resumes=resumes)
    log.happen(1200, at=NOW - DAY, every=1000)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 500)
        dead = c.poller._rows[BACKFILL].state["walk"]["cursor"]
        log.refuse = lambda cursor: EMPTY[words](cursor) if cursor == dead or cursor[:1] == "x" else None
        log.wrap, log.unwrap = (lambda text: text + " "), str.strip  # the cursors of now are others
        await all_arrive(c)
        await is_well(c)
        assert c.poller.report.errors["cursor_lost"] == 1


@pytest.mark.parametrize("words", EMPTY)
@pytest.mark.parametrize("name", [TAIL, BACKFILL, HEAL, REREAD])
async def test_the_stored_cursor_of_any_walk_may_be_lost_without_a_word(tmp_path: Path, name: str, words: str) -> None:
    log = Log(cap=50)
    log.happen(1317, at=NOW - 1_000_000, every=700)
    async with course(tmp_path, log, limit=50) as c:
        await c.start(overlap=3600)
        if name == HEAL:
            await attempt(c.poller, TAIL)
            await c.poller._lost(TAIL, "by a test")

        def has_cursor() -> bool:
            row = c.poller._rows.get(name)
            return row is not None and bool((row.state.get("walk") or {}).get("cursor"))

        await c.until(has_cursor)
        dead = c.poller._rows[name].state["walk"]["cursor"]
        log.refuse = lambda cursor: EMPTY[words](cursor) if cursor == dead or cursor[:1] == "x" else None
        log.wrap, log.unwrap = (lambda text: text + " "), str.strip
        log.happen(310, at=int(c.clock.now * 1000), every=1)
        c.clock.advance(5)
        assert Counter(await c.until_all(2000)) == names(log)
        await is_well(c)
        assert sum(c.poller.report.errors.values()) > 0  # lost, or another walk became the tail meanwhile


@pytest.mark.parametrize("resumes", [False, True], ids=["null at the tip", "a cursor at the tip"])
@pytest.mark.parametrize("words", EMPTY)
async def test_cursors_that_only_ever_lead_to_empty_pages_are_done_without(
    tmp_path: Path, words: str, resumes: bool
) -> None:
    log = Log(refuse=EMPTY[words], resumes=resumes)
    log.happen(1300, at=NOW - 500_000, every=300)
    async with course(tmp_path, log) as c:
        await c.start()
        await all_arrive(c)
        assert not c.poller.report.well
        for _ in range(5):
            log.happen(30, at=int(c.clock.now * 1000), every=5)
            c.clock.advance(30)
            assert Counter(await c.until_all(2000)) == names(log)


async def test_more_events_of_one_time_than_a_page_holds_hide_nothing_behind_them(tmp_path: Path) -> None:
    log = Log(cap=100)
    log.happen(100, at=NOW - DAY)
    log.happen(150, at=NOW - DAY + 500_000, every=0)
    log.happen(300, at=NOW - DAY + 900_000)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 200)
        dead = c.poller._rows[BACKFILL].state["walk"]["cursor"]
        log.refuse = lambda cursor: EMPTY["null"](cursor) if cursor == dead else None
        log.wrap, log.unwrap = (lambda text: text + " "), str.strip
        await all_arrive(c)
        await is_well(c)


# ------------------------------------------------------------------------------------------------ at the tip


@pytest.mark.parametrize("words", EMPTY)
async def test_a_cursor_of_the_tip_that_stays_empty_while_events_come_is_lost(tmp_path: Path, words: str) -> None:
    log = Log(resumes=True)
    log.happen(20, at=NOW - 60_000)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 20)
        await is_well(c)
        dead = c.poller._rows[TAIL].state["walk"]["cursor"]
        log.refuse = lambda cursor: EMPTY[words](cursor) if cursor == dead or cursor[:1] == "x" else None
        log.wrap, log.unwrap = (lambda text: text + " "), str.strip
        for _ in range(40):
            log.happen(1, at=int(c.clock.now * 1000))
            await c.step()
        assert Counter(await c.until_all()) == names(log)
        await is_well(c)


async def test_a_tail_that_catches_up_does_not_stop_at_an_empty_page(tmp_path: Path) -> None:
    log = Log(resumes=True)
    async with course(tmp_path, log) as c:
        await c.start()
        for burst in (20, 1300, 1300):
            log.happen(burst, at=int(c.clock.now * 1000), every=1)
            c.clock.advance(40)
            before = c.poller.report.spooled
            await c.until(lambda before=before: c.poller.report.spooled > before)  # type: ignore[misc]
            dead = c.poller._rows[TAIL].state["walk"]["cursor"]
            log.refuse = lambda cursor, dead=dead: EMPTY["null"](cursor) if cursor == dead else None  # type: ignore[misc]
            old = log.wrap
            log.wrap, log.unwrap = (lambda text, old=old: old(text) + " "), str.strip  # type: ignore[misc]
            await all_arrive(c)
            await is_well(c)


@pytest.mark.parametrize("resumes", [False, True], ids=["null at the tip", "a cursor at the tip"])
@pytest.mark.parametrize("events", [0, 3, 1003])
async def test_a_quiet_log_stays_idle_and_is_hardly_ever_asked_without_its_cursor(
    tmp_path: Path, events: int, resumes: bool
) -> None:
    log = Log(resumes=resumes)
    log.happen(events, at=NOW - 500_000, every=100)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == events)
        await is_well(c)
        log.asked.clear()
        end = c.clock.now + 6 * 3600
        while c.clock.now < end:
            await c.step()
            assert c.poller.report.well
        polls = 6 * 3600 / 30
        newest = str(NOW - 500_000 + (events - 1) * 100)
        assert sum(query.get("from") == newest for query in log.asked) <= polls / 20 + 4  # oftener at first
        assert c.poller.report.errors == Counter()


async def test_what_comes_between_an_empty_page_and_the_question_is_no_lost_cursor(tmp_path: Path) -> None:
    log = Log(resumes=True)
    handle = log.handle
    turn = [0]

    async def busy(request: Any) -> Response:
        answer = await handle(request)
        turn[0] += 1
        log.happen(turn[0] % 3, at=int(c.clock.now * 1000) - 1, every=0)
        c.clock.advance(0.01)
        return answer

    log.handle = busy  # type: ignore[method-assign]
    async with course(tmp_path, log) as c:
        await c.start()
        for _ in range(600):
            await c.step()
        assert c.poller.report.errors == Counter()
        log.handle = handle  # type: ignore[method-assign]


async def test_an_end_is_not_believed_while_the_question_fails(tmp_path: Path) -> None:
    log = Log()
    log.happen(1200, at=NOW - DAY, every=1000)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 500)
        dead = c.poller._rows[BACKFILL].state["walk"]["cursor"]
        log.instead = lambda query: (
            EMPTY["null"]("") if query.get("cursor") == dead else Response(503) if "from" in query else None
        )
        for _ in range(60):
            await c.step()
            assert BACKFILL in c.poller._rows
        log.instead = lambda _: None
        await all_arrive(c)
        assert c.poller.report.errors["cursor_lost"] == 0
