"""A place that cannot be passed, or that leads back to itself: live events go on, nothing is lost, and it is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Retryable
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.spool.contract import CursorMove
from simulator.httpd import Response
from tests.polling.pollers import attempt, spooled
from tests.polling.test_reading_less import big
from tests.polling.test_reading_on import REFUSALS, Course, course, names
from tests.sources.organization.feeds import START, Log, iso

NOW = START + 100_000_000


async def live(c: Course, *, turns: int) -> set[str]:
    """Let events happen for so many turns; return those that were spooled some turns later."""
    idents = set()
    for number in range(turns):
        at, ident = int(c.clock.now * 1000), f"live{number}-{c.clock.now:.0f}"
        c.log.add(at, at, ident)
        idents.add(ident)
        await c.step()
    for _ in range(20):
        await c.step()
    found = set(await spooled(c.spool))
    assert idents - found == set()
    return found


# ------------------------------------------------------------------------------------------------ one time, cut pages


@pytest.mark.parametrize("later", [0, 5])
@pytest.mark.parametrize("inclusive", [True, False], ids=["inclusive", "exclusive"])
@pytest.mark.parametrize("by_time", [True, False], ids=["time", "processed"])
async def test_a_page_cut_within_one_time_is_no_tip_and_live_events_do_not_wait_behind_it(
    tmp_path: Path, later: int, inclusive: bool, by_time: bool
) -> None:
    log = Log(lambda _: {"meta": {"next": None}}, cap=30, inclusive=inclusive, by_time=by_time)
    log.happen(40, at=NOW - 40_000_000, every=0)
    log.happen(later, at=NOW - 300_000)
    async with course(tmp_path, log) as c:
        await c.start()
        await live(c, turns=60)
        report = c.poller.report
        assert (report.state, "carries the same time" in report.reason) == ("held", True)
        assert iso(NOW - 40_000_000) in report.reason
        log.cap = 100
        assert Counter(await c.until_all(2000)) == names(log)


@pytest.mark.parametrize("inclusive", [True, False], ids=["inclusive", "exclusive"])
async def test_a_cut_page_that_nothing_follows_yet_stays_with_the_heal_once_that_is_seen(
    tmp_path: Path, inclusive: bool
) -> None:
    log = Log(lambda _: {"meta": {"next": None}}, cap=30, inclusive=inclusive)
    log.happen(40, at=NOW - 40_000_000, every=0)
    async with course(tmp_path, log) as c:
        await c.start()
        for _ in range(10):
            await c.step()
        assert BACKFILL not in c.poller._rows  # there was no telling
        await live(c, turns=60)
        assert (c.poller.report.state, "heal" in c.poller.report.reason) == ("held", True)
        gaps = (await c.spool.status()).gaps
        assert [(gap.cause, "same time" in gap.detail, gap.closed_ms) for gap in gaps] == [("cursor_lost", True, None)]
        log.cap = 100
        assert Counter(await c.until_all(2000)) == names(log)
        await c.until(lambda: HEAL not in c.poller._rows)
        assert all(gap.closed_ms is not None for gap in (await c.spool.status()).gaps)


# ----------------------------------------------------------------------------------------------- an event too large


async def test_live_events_do_not_wait_behind_one_that_is_too_large_and_all_comes_with_a_higher_limit(
    tmp_path: Path,
) -> None:
    log = Log()
    log.happen(5, at=NOW - 60_000)
    async with course(tmp_path, log, http={"max_response": 200_000}) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 5)
        before = int(c.clock.now * 1000)
        log.happen(1, at=before)
        await c.until(lambda: c.poller.report.spooled == 6 and c.poller._open_walks() == [TAIL])
        c.clock.advance(20)
        big(log, 1, at=int(c.clock.now * 1000), size=300_000)
        await c.until(lambda: c.poller.report.state == "held")
        report = c.poller.report
        for words in ("larger than 200000", iso(before), "cursor heal"):
            assert words in report.reason
        assert "http.max_response" in report.fix
        c.clock.advance(5)
        assert await live(c, turns=80)
        assert report.state == "held"  # not hidden by the others, which do well
        assert REREAD not in [name for name in c.poller._open_walks() if c.poller._plan[name].state]
        gaps = (await c.spool.status()).gaps
        assert [(gap.cause, gap.from_ms, gap.closed_ms) for gap in gaps] == [("cursor_lost", before, None)]
        for client in c.source._clients._all:
            client._http = client._http.model_copy(update={"max_response": 10**6})
        assert Counter(await c.until_all()) == names(log)
        await c.until(lambda: HEAL not in c.poller._rows)
        assert all(gap.closed_ms is not None for gap in (await c.spool.status()).gaps)


async def test_a_second_event_that_is_too_large_stays_with_the_same_heal(tmp_path: Path) -> None:
    log = Log()
    async with course(tmp_path, log, http={"max_response": 200_000}) as c:
        await c.start(since=60)
        for number in range(2):
            log.happen(1, at=int(c.clock.now * 1000))
            await c.until(lambda n=number: c.poller.report.spooled == n + 1)  # type: ignore[misc]
            c.clock.advance(5)
            big(log, 1, at=int(c.clock.now * 1000), size=300_000)
            begun = c.clock.now
            await c.until(lambda begun=begun: c.clock.now > begun + 120, 1000)  # type: ignore[misc]
        assert await live(c, turns=30)
        assert len((await c.spool.status()).gaps) == c.poller.report.heals == 1
        asked = len(log.asked)
        begun = c.clock.now
        await c.until(lambda: c.clock.now > begun + 600, 1000)
        assert len(log.asked) < asked + 200  # no loop


# --------------------------------------------------------------------------------------------------- odd cursors

CYCLES: dict[str, Callable[[int], str]] = {
    "always the same": lambda _: "same",
    "two in turn": lambda number: f"c{number % 2}",
    "three in turn": lambda number: f"c{number % 3}",
}


@pytest.mark.parametrize("cycle", CYCLES)
async def test_cursors_that_lead_back_to_events_that_were_seen_end_in_reading_by_time(
    tmp_path: Path, cycle: str
) -> None:
    given = [0]

    def shape(_: str | None) -> dict[str, Any]:
        given[0] += 1
        return {"meta": {"next": CYCLES[cycle](given[0])}}

    log = Log(shape, unwrap=lambda _: "[0, 0]")  # wherever one asks, it is the first page
    log.happen(1307, at=NOW - 500_000, every=300)
    async with course(tmp_path, log) as c:
        await c.start()
        well = 0
        begun = c.clock.now
        while c.clock.now < begun + 1800:
            missing = c.poller.report.spooled < len(log.events)
            await c.step()
            well += missing and c.poller.report.state == "idle"
        assert well == 0
        assert not c.poller.report.well
        assert c.poller.report.errors["loop"] + c.poller.report.errors["no_progress"] > 0
        assert len(log.asked) < 1000  # it does not spin
        assert Counter(await c.until_all(2000)) == names(log)
        await live(c, turns=20)


@pytest.mark.parametrize("words", ["400 with another code", "404", "410", "500", "too long to be sent"])
@pytest.mark.parametrize("name", [TAIL, BACKFILL, HEAL, REREAD])
async def test_the_stored_cursor_of_any_walk_is_lost_when_it_is_refused_in_any_words(
    tmp_path: Path, name: str, words: str
) -> None:
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
        row = c.poller._rows[name]
        old, walk = row.state["walk"]["cursor"], row.state["walk"]
        refused = [0]
        if words == "too long to be sent":
            long = {**row.state, "walk": {**walk, "cursor": "x" * 70_000}}
            await c.poller._store._commit([CursorMove(name, row.version or None, long)])
        else:

            def refuse(cursor: str) -> Response | None:
                refused[0] += cursor == old
                return REFUSALS[words]() if cursor == old else None

            log.refuse = refuse
        log.happen(310, at=int(c.clock.now * 1000), every=1)
        c.clock.advance(5)
        assert Counter(await c.until_all(2000)) == names(log)
        await c.until(lambda: c.poller.report.state == "idle", 1000)
        assert refused[0] > 0 or c.poller.report.errors["cursor_lost"] > 0


async def test_live_events_do_not_wait_behind_an_answer_that_holds_too_many_events(tmp_path: Path) -> None:
    log = Log()
    log.happen(5, at=NOW - 60_000)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 5 and c.poller._open_walks() == [TAIL])
        before = int(c.clock.now * 1000)
        log.happen(1, at=before)
        await c.until(lambda: c.poller.report.spooled == 6)
        flood = Response.json({"data": [{}] * 2500})
        log.instead = lambda query: (
            flood if int(query.get("from", before + 9)) <= before + 1 or "cursor" in query else None
        )
        await c.until(lambda: c.poller.report.state == "held")
        for words in ("more than 2000 events", iso(before), "cursor heal"):
            assert words in c.poller.report.reason
        assert "limit" in c.poller.report.fix
        c.clock.advance(5)
        assert await live(c, turns=30)
        log.instead = lambda _: None
        assert Counter(await c.until_all()) == names(log)
        await c.until(lambda: HEAL not in c.poller._rows)
        assert all(gap.closed_ms is not None for gap in (await c.spool.status()).gaps)


@pytest.mark.parametrize("words", ["500", "429", "hangs", "cut", "not JSON", "empty body", "ends without an answer"])
async def test_a_cursor_that_fails_for_good_in_any_way_is_lost_and_a_blip_is_not(tmp_path: Path, words: str) -> None:
    log = Log()
    log.happen(1200, at=NOW - 1_000_000, every=700)
    answers: dict[str, Callable[[], Response]] = {
        "500": lambda: Response(500),
        "429": lambda: Response(429),
        "not JSON": lambda: Response(200, {"content-type": "application/json"}, b"{]"),
        "empty body": lambda: Response(200, {"content-type": "application/json"}, b""),
    }
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 1200)
        await c.until(lambda: c.poller.report.state == "idle")
        log.happen(700, at=int(c.clock.now * 1000))
        c.clock.advance(800)
        await c.until(lambda: c.poller.report.spooled >= 1700)
        fetch, dead, tries = c.source.fetch, c.poller._rows[TAIL].state["walk"].get("cursor"), [0]

        async def broken(state: dict[str, Any]) -> Any:
            if state.get("cursor") == dead is not None and tries[0] != 0:
                tries[0] -= 1
                kind: Any = {"hangs": "timeout", "cut": "truncated"}.get(words, "connection")
                raise Retryable(words, kind=kind)
            return await fetch(state)

        def refuse(cursor: str) -> Response | None:
            if cursor == dead and tries[0] != 0:
                tries[0] -= 1
                return answers[words]()
            return None

        if words in answers:
            log.refuse = refuse
        else:
            c.source.fetch = broken  # type: ignore[method-assign]
        tries[0] = 1
        for _ in range(5):
            await c.step()
        assert c.poller.report.errors["cursor_lost"] == 0
        tries[0] = -1
        log.wrap, log.unwrap = (lambda text: text + " "), str.strip
        log.happen(700, at=int(c.clock.now * 1000))
        c.clock.advance(800)
        assert Counter(await c.until_all(2000)) == names(log)
        await c.until(lambda: c.poller.report.state == "idle", 2000)
