"""Whatever shape or fate cursors have, every event arrives, and the status says what is wrong meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import SourceContext
from forwarder.net.retry import RequestBudget
from forwarder.polling.poller import Poller
from forwarder.sources.organization.source import OrganizationConfig, OrganizationSource
from forwarder.spool.sqlite.store import SqliteSpool
from simulator.httpd import Response, Server
from tests.clocks import FakeClock
from tests.polling.pollers import attempt, poller_of, spool_in, spooled
from tests.sources.organization.answers import KEY, ORG, refusal
from tests.sources.organization.feeds import START, Log, url

DAY = 86_400_000


class Course:
    """A poller over a real source and spool, in simulated time."""

    def __init__(self, folder: Path, log: Log, spool: SqliteSpool, source: OrganizationSource, clock: FakeClock):
        self.folder, self.log, self.spool, self.source, self.clock = folder, log, spool, source, clock
        self.poller: Poller

    async def start(self, **config: Any) -> None:
        config = {"since": 7 * 86400, "every": 30, "trailing_every": 300, **config}
        self.poller = poller_of(self.source, self.spool, self.clock, **config)  # type: ignore[arg-type]
        await self.poller._open()

    async def step(self) -> None:
        await self.poller._drop_by_hand()
        name, wait = self.poller._choose()
        if wait > 0:
            self.clock.advance(wait + 0.001)
        else:
            await attempt(self.poller, name)

    async def until(self, holds: Callable[[], bool], most: int = 600) -> None:
        for _ in range(most):
            if holds():
                return
            await self.step()
        raise AssertionError(f"not after {most} steps: {self.poller.report}")

    async def until_all(self, most: int = 600) -> list[str]:
        """Go on until as many events are spooled as exist; return what is in the spool."""
        await self.until(lambda: self.poller.report.spooled >= len(self.log.events), most)
        return await spooled(self.spool)


@asynccontextmanager
async def course(folder: Path, log: Log, **config: Any) -> AsyncIterator[Course]:
    clock = FakeClock()
    clock.now = START / 1000 + 100_000
    async with Server(log.handle) as server, spool_in(folder, clock) as spool:
        made = OrganizationConfig(type="organization", org_id=ORG, api_key=KEY, base_url=server.url, **config)
        source = OrganizationSource(made, SourceContext("acme", clock, RequestBudget(clock, 1e9)))
        try:
            yield Course(folder, log, spool, source, clock)
        finally:
            await source.close()
    assert server.failures == []


def names(log: Log) -> Counter[str]:
    return Counter(json.loads(body)["id"] for _, _, body in log.events)


# ------------------------------------------------------------------------------------------ shapes that can be read

READABLE: dict[str, Callable[[str | None], dict[str, Any]]] = {
    "nextCursor": lambda cursor: {"meta": {"nextCursor": cursor}},
    "next_cursor": lambda cursor: {"meta": {"next_cursor": cursor}, "links": {}},
    "at the top": lambda cursor: {"next": cursor},
    "at the top, in camels": lambda cursor: {"nextCursor": cursor},
    "a token": lambda cursor: {"nextPageToken": cursor, "meta": None},
    "paging": lambda cursor: {"paging": {"cursors": {"after": cursor}}},
    "a link of its own": lambda cursor: {"links": {"next": {"href": url(cursor)}}},
    "HAL": lambda cursor: {"_links": {"next": {"href": url(cursor)}, "self": {"href": url("x")}}},
    "an object": lambda cursor: {"meta": {"next": None if cursor is None else {"cursor": cursor}}},
    "a list": lambda cursor: {"meta": {"next": [cursor] if cursor else []}},
    "a whole URL": lambda cursor: {"meta": {"next": url(cursor)}},
    "a relative URL": lambda cursor: {"links": {"next": None if cursor is None else f"/x?{(url(cursor) or '')[30:]}"}},
    "its parameter has another name": lambda cursor: {
        "links": {"next": None if cursor is None else (url(cursor) or "").replace("cursor=", "next_cursor=")}
    },
    "cursor alone": lambda cursor: {"meta": {"cursor": cursor}},
    "pageInfo": lambda cursor: {"pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}},
}


@pytest.mark.parametrize("shape", READABLE)
async def test_a_cursor_is_read_in_whatever_shape_it_comes(tmp_path: Path, shape: str) -> None:
    log = Log(READABLE[shape])
    log.happen(1200, at=START)
    async with course(tmp_path, log) as c:
        await c.start()
        found = await c.until_all(80)
        assert Counter(found) == names(log)
        assert c.poller.report.errors == Counter()
        assert any("cursor" in query for query in log.asked)


@pytest.mark.parametrize("number", [7, 12345678901234567890123, -3, 1.5, {"a": [1, 2.50, "ü"], "b": None}])
async def test_a_cursor_that_is_no_text_comes_back_as_it_was_written(tmp_path: Path, number: Any) -> None:
    given: dict[str, str] = {}

    def wrap(cursor: str) -> str:
        given[json.dumps(number, ensure_ascii=False, separators=(",", ":"))] = cursor
        return "x"

    log = Log(lambda cursor: {"meta": {"next": None if cursor is None else number}}, wrap=wrap)
    log.unwrap = lambda sent: given[sent]
    log.happen(700, at=START)
    async with course(tmp_path, log) as c:
        await c.start()
        assert Counter(await c.until_all(80)) == names(log)
        assert c.poller.report.errors == Counter()


# --------------------------------------------------------------------------------------- shapes that cannot be read

UNREADABLE: dict[str, Callable[[str | None], dict[str, Any]]] = {
    "nothing at all": lambda _: {},
    "null in spite of more": lambda _: {"meta": {"next": None}, "links": {}},
    "a name nobody knows": lambda cursor: {"meta": {"weiter": cursor}},
    "a link without a cursor": lambda _: {"links": {"next": "https://api.example.com/x?limit=5"}},
    "true": lambda cursor: {"meta": {"next": cursor is not None}},
    "more, and no word where": lambda cursor: {"meta": {"hasMore": cursor is not None}},
    "half a surrogate": lambda _: {"meta": {"next": "\ud83d"}},
    "far too long": lambda cursor: {"meta": {"next": None if cursor is None else "c" * 70_000}},
    "longer than proxies take": lambda cursor: {"meta": {"next": None if cursor is None else "c" * 9_000}},
    "long when it is escaped": lambda cursor: {"meta": {"next": None if cursor is None else "/" * 3_000}},
    "the one that was used": lambda _: {"meta": {"current": "c", "prev": "d", "self": "e"}},
}


@pytest.mark.parametrize("by_time", [False, True], ids=["processed", "time"])
@pytest.mark.parametrize("inclusive", [False, True], ids=["exclusive", "inclusive"])
@pytest.mark.parametrize("shape", UNREADABLE)
async def test_without_a_cursor_that_can_be_used_it_is_read_on_by_time(
    tmp_path: Path, shape: str, by_time: bool, inclusive: bool
) -> None:
    log = Log(UNREADABLE[shape], by_time=by_time, inclusive=inclusive)
    log.happen(300, at=START - 2 * DAY)
    log.happen(300, at=START, every=1)
    log.happen(600, at=START + 600_000, every=100, late=5_000)
    async with course(tmp_path, log) as c:
        await c.start()
        found = await c.until_all()
        assert Counter(found) == names(log)
        assert c.poller.report.errors["no_cursor"] > 0
        log.happen(900, at=int(c.clock.now * 1000), every=7)
        c.clock.advance(10)
        assert Counter(await c.until_all()) == names(log)
        assert set(c.poller.report.errors) == {"no_cursor"}


async def test_what_is_wrong_with_cursors_is_said_until_one_can_be_used(tmp_path: Path) -> None:
    log = Log(lambda cursor: {"meta": {"weiter": cursor}})
    log.happen(1200, at=START + 99_500_000, every=10)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until_all()
        report = c.poller.report
        assert not report.well
        assert "by time" in report.reason
        assert "report" in report.fix
        log.shape = lambda cursor: {"meta": {"next": cursor}}
        log.happen(1200, at=int(c.clock.now * 1000), every=1)
        c.clock.advance(5)
        await c.until_all()
        await c.until(lambda: report.state == "idle")
        assert report.heals >= 1  # for what a walk by time may not have seen
        assert Counter(await spooled(c.spool)) == names(log)


async def test_more_events_of_one_time_than_a_page_are_asked_for_at_once(tmp_path: Path) -> None:
    log = Log(lambda _: {})
    log.happen(450, at=START + 99_000_000, every=0)
    log.happen(450, at=START + 99_000_001, every=1)
    async with course(tmp_path, log, limit=100) as c:
        await c.start()
        assert Counter(await c.until_all()) == names(log)
        assert set(c.poller.report.errors) == {"no_cursor"}


async def test_a_page_full_of_one_time_is_held_and_said(tmp_path: Path) -> None:
    log = Log(lambda _: {})
    log.happen(700, at=START + 99_000_000, every=0)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.state == "held")
        assert "the same time" in c.poller.report.reason
        assert c.poller.report.errors["no_cursor"] >= 1
        asked = len(log.asked)
        now = c.clock.now
        await c.until(lambda: c.clock.now > now + 600)
        assert len(log.asked) < asked + 100  # no loop
        log.shape = lambda cursor: {"meta": {"next": cursor}}
        assert Counter(await c.until_all()) == names(log)


@pytest.mark.parametrize("cap", [10, 25, 100])
@pytest.mark.parametrize("by_time", [False, True], ids=["processed", "time"])
async def test_a_server_that_gives_fewer_than_were_asked_for_and_no_cursor_is_read_whole(
    tmp_path: Path, cap: int, by_time: bool
) -> None:
    log = Log(lambda _: {"meta": {"next": None}}, cap=cap, by_time=by_time)
    log.happen(130, at=START)
    log.happen(200, at=START + 1_000_000, every=3)
    async with course(tmp_path, log) as c:
        await c.start()
        assert Counter(await c.until_all(2000)) == names(log)
        log.happen(120, at=int(c.clock.now * 1000), every=50)
        c.clock.advance(60)
        assert Counter(await c.until_all(2000)) == names(log)


@pytest.mark.parametrize("before", [0, 60])
async def test_more_events_of_one_time_than_a_server_gives_without_a_cursor_are_no_tip(
    tmp_path: Path, before: int
) -> None:
    log = Log(lambda _: {"meta": {"next": None}}, cap=30, inclusive=True)
    log.happen(before, at=START)
    log.happen(40, at=START + 60_000_000, every=0)
    log.happen(60, at=START + 60_001_000)
    async with course(tmp_path, log, limit=100) as c:
        await c.start()
        await c.until(lambda: c.poller.report.state == "held", 300)
        assert "carries the same time" in c.poller.report.reason
        log.cap = 100
        assert Counter(await c.until_all(2000)) == names(log)


async def test_a_capped_server_with_cursors_is_followed(tmp_path: Path) -> None:
    log = Log(cap=100)
    log.happen(1200, at=START)
    async with course(tmp_path, log) as c:
        await c.start()
        assert Counter(await c.until_all(100)) == names(log)
        assert c.poller.report.errors == Counter()


async def test_the_tip_is_not_doubted_for_what_comes_between_two_requests(tmp_path: Path) -> None:
    log = Log(lambda cursor: {"meta": {"next": cursor}})
    log.happen(40, at=START + 99_999_000, every=1)
    handle = log.handle

    async def busy(request: Any) -> Response:
        answer = await handle(request)
        log.happen(1, at=int(c.clock.now * 1000) - 1)
        return answer

    log.handle = busy  # type: ignore[method-assign]
    async with course(tmp_path, log) as c:
        await c.start()
        for _ in range(200):
            await c.step()
        assert c.poller.report.errors == Counter()


# -------------------------------------------------------------------------------------------- cursors that are lost

REFUSALS: dict[str, Callable[[], Response]] = {
    "400 with the known code": lambda: refusal(400, "ADMIN-400-1"),
    "400 with another code": lambda: refusal(400, "ADMIN-400-77", "Cursor expired"),
    "400 without words": lambda: Response(400),
    "401": lambda: refusal(401),
    "403": lambda: refusal(403, "ADMIN-403-3"),
    "404": lambda: refusal(404, "ADMIN-404-1"),
    "410": lambda: refusal(410),
    "414": lambda: Response(414, {"content-type": "text/html"}, b"<html>Request-URI Too Large"),
    "422": lambda: refusal(422),
    "431": lambda: Response(431),
    "302": lambda: Response(302, {"location": "/login"}),
    "204": lambda: Response(204),
    "500": lambda: refusal(500, "ADMIN-500-1"),
    "200 with errors": lambda: Response.json({"errors": [{"code": "x"}]}),
    "200 with a web page": lambda: Response(200, {"content-type": "text/html"}, b"<html>"),
}


@pytest.mark.parametrize("words", REFUSALS)
async def test_a_cursor_refused_in_any_words_is_lost_when_the_same_goes_without_it(tmp_path: Path, words: str) -> None:
    log = Log(lambda cursor: {"meta": {"next": cursor}})
    log.happen(1300, at=START + 98_000_000, every=1000)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled >= 1000)
        old = {query["cursor"] for query in log.asked if "cursor" in query}
        old |= {state["walk"]["cursor"] for state in (row.state for row in c.poller._rows.values()) if "walk" in state}
        log.refuse = lambda cursor: REFUSALS[words]() if cursor in old else None
        log.wrap, log.unwrap = (lambda text: text + " "), str.strip  # the cursors of now are others
        log.happen(1300, at=int(c.clock.now * 1000), every=1)
        c.clock.advance(5)
        assert Counter(await c.until_all(2000)) == names(log)
        await c.until(lambda: c.poller.report.state == "idle")
        assert c.poller.report.errors["cursor_lost"] >= 1


@pytest.mark.parametrize("resumes", [False, True], ids=["null at the tip", "a cursor at the tip"])
@pytest.mark.parametrize("words", REFUSALS)
async def test_cursors_that_are_never_of_use_are_done_without(tmp_path: Path, words: str, resumes: bool) -> None:
    log = Log(lambda cursor: {"meta": {"next": cursor}}, refuse=lambda _: REFUSALS[words](), resumes=resumes)
    log.happen(1300, at=START + 99_500_000, every=300)
    async with course(tmp_path, log) as c:
        await c.start()
        assert Counter(await c.until_all(2000)) == names(log)
        assert not c.poller.report.well
        for _ in range(5):  # also what comes later, few at a time
            log.happen(30, at=int(c.clock.now * 1000), every=5)
            c.clock.advance(30)
            assert Counter(await c.until_all(2000)) == names(log)
        log.refuse = lambda _: None
        log.happen(900, at=int(c.clock.now * 1000), every=5)
        c.clock.advance(7 * 3600)
        assert Counter(await c.until_all(2000)) == names(log)
        await c.until(lambda: c.poller.report.state == "idle")


@pytest.mark.parametrize("words", ["401", "403", "404", "410", "500", "302", "400 without words"])
async def test_what_is_refused_without_a_cursor_as_well_is_no_lost_cursor(tmp_path: Path, words: str) -> None:
    log = Log()
    log.happen(1300, at=START, every=1000)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.spooled >= 500)
        log.instead = lambda _: REFUSALS[words]()
        now = c.clock.now
        await c.until(lambda: c.clock.now > now + 3600, 5000)
        assert c.poller.report.errors["cursor_lost"] == 0
        assert not c.poller.report.well
        log.instead = lambda _: None
        assert Counter(await c.until_all(2000)) == names(log)
        assert c.poller.report.heals == 0
