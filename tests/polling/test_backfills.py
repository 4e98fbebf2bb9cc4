"""Backfills that were asked for: read to their end over any interruption, for whom they were asked, and on record."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.contracts import CursorLost, Held, Page, Retryable, SystemClock
from forwarder.polling import backfill
from forwarder.polling.backfill import Order
from forwarder.polling.poller import Poller
from forwarder.polling.progress import RECENT
from forwarder.spool.contract import PageCommit, Settlement
from forwarder.spool.gap import Gap
from forwarder.spool.sqlite.store import SqliteSpool
from tests.examples import examples
from tests.polling.pollers import ScriptedSource, attempt, page, poller_of, running, spool_in, spooled, until
from tests.polling.test_windows import Course, WindowLog

HOUR, DAY = 3_600_000, 86_400_000
NOW = 200 * DAY
EVENTS = [(f"e{number}", 190 * DAY + number * HOUR) for number in range(96)]
ONE = "backfill:1"


class Then(SystemClock):
    """A clock on which it is always the same time of day; what is waited for passes."""

    now = NOW / 1000

    def time(self) -> float:
        return self.now


class Log(ScriptedSource):
    """A log of an event an hour, read as a stream, three to a page; the next answers may be errors."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.faults: list[Exception] = []

    def _answer(self, state: dict[str, Any]) -> Page | Exception:
        if self.faults:
            return self.faults.pop(0)
        after = state.get("after", state["from"] - 1)
        found = [(name, at) for name, at in EVENTS if at > after][:3]
        if not found:
            return page(state)
        return page(state, *[name for name, _ in found], newest=found[-1][1], next={**state, "after": found[-1][1]})


def names_of(since: int, until_ms: int) -> set[str]:
    return {name for name, at in EVENTS if since <= at <= until_ms}


def poller_in(spool: SqliteSpool, source: ScriptedSource) -> Poller:
    return poller_of(source, spool, Then(), overlap=3600)


async def order_in(poller: Poller, order: Order, name: str = ONE) -> None:
    await poller._store.order(name, lambda there: there or order)


def stored(poller: Poller) -> Order:
    order = backfill.order_of(poller._store.rows[ONE].state)
    assert order is not None
    return order


async def heard(spool: SqliteSpool, sink: str) -> list[str]:
    lane = await spool.open_lane(sink, "memory", start=None, on_full="pause")
    chunks = (await spool.exchange(lane.number, Settlement(), after=0, events=500)).chunks
    return [body.split(b'"')[3].decode() for chunk in chunks for body in chunk.bodies]


async def read_all(poller: Poller) -> None:
    for _ in range(200):
        if not poller._store.walks(ONE):
            return
        await attempt(poller, ONE)
    raise AssertionError("it does not end")


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(st.sampled_from(["ask", "restart", "pause", "resume", "lose", "fail"]), max_size=25),
    first=st.integers(0, 60),
    hours=st.integers(1, 40),
)
async def test_whatever_interrupts_it_each_event_comes_once(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], first: int, hours: int
) -> None:
    since, end = EVENTS[first][1], EVENTS[first][1] + hours * HOUR
    async with spool_in(tmp_path_factory.mktemp("spool")) as spool:
        source = Log()
        poller = poller_in(spool, source)
        await poller._open()
        await order_in(poller, Order(since, end, who="a test", asked_ms=NOW))
        for act in acts:
            if act == "restart":
                poller = poller_in(spool, source)
                await poller._open()
            elif act in {"pause", "resume"} and stored(poller).is_open:
                paused = "by a test" if act == "pause" else ""
                await poller._store.order(ONE, lambda there: msgspec.structs.replace(there, paused=paused))  # noqa: B023
            elif poller._store.walks(ONE):
                source.faults = {"lose": [CursorLost("gone")], "fail": [Retryable("not now")]}.get(act, [])
                poller._plan.end(ONE)
                await attempt(poller, ONE)
                source.faults = []
        if stored(poller).is_open:
            await poller._store.order(ONE, lambda there: msgspec.structs.replace(there, paused=""))
        await read_all(poller)
        got = await spooled(spool)
        assert len(got) == len(set(got))
        assert names_of(since, end) <= set(got)
        order = stored(poller)
        assert (order.ended_ms > 0, order.ended_by, order.read >= len(names_of(since, end))) == (True, "", True)


async def test_it_ends_an_overlap_behind_its_end_and_not_at_the_tip(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        poller = poller_in(spool, Log())
        await poller._open()
        await order_in(poller, Order(EVENTS[0][1], EVENTS[5][1], asked_ms=NOW))
        await read_all(poller)
        got = await spooled(spool)
        assert names_of(EVENTS[0][1], EVENTS[6][1]) <= set(got)
        assert len(got) < 20


async def test_at_a_tip_that_is_never_empty_it_ends_behind_its_end(tmp_path: Path) -> None:
    number = itertools.count()

    def live(state: dict[str, Any]) -> Page:
        name = next(number)
        return page(state, f"n{name}", newest=NOW + name)

    async with spool_in(tmp_path) as spool:
        poller = poller_of(ScriptedSource(live), spool, Then(), overlap=86400)
        await poller._open()
        await attempt(poller, "tail")
        await order_in(poller, Order(NOW - HOUR, NOW, asked_ms=NOW))
        await read_all(poller)
        assert stored(poller).ended_ms == NOW


async def test_one_event_of_a_wrong_time_does_not_end_it(tmp_path: Path) -> None:
    class Odd(Log):
        async def fetch(self, state: dict[str, Any]) -> Page:
            given_page = await super().fetch(state)
            is_first = "after" not in state and given_page.bodies
            return msgspec.structs.replace(given_page, newest=900 * DAY) if is_first else given_page

    async with spool_in(tmp_path) as spool:
        poller = poller_in(spool, Odd())
        await poller._open()
        await order_in(poller, Order(EVENTS[0][1], EVENTS[30][1], asked_ms=NOW))
        await read_all(poller)
        assert names_of(EVENTS[0][1], EVENTS[30][1]) <= set(await spooled(spool))


async def test_one_for_a_sink_is_for_that_sink_and_says_who_read_it(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        poller = poller_in(spool, Log())
        await poller._open()
        for sink in ("new", "other"):
            await spool.open_lane(sink, "memory", start="now", on_full="pause")
        await order_in(poller, Order(EVENTS[0][1], EVENTS[5][1], asked_ms=NOW))
        await read_all(poller)
        await order_in(poller, Order(EVENTS[0][1], EVENTS[5][1], sink="new", asked_ms=NOW), "backfill:2")
        while poller._store.walks("backfill:2"):
            await attempt(poller, "backfill:2")
        new, other = await heard(spool, "new"), await heard(spool, "other")
        assert len(new) == 2 * len(other) > 0
        lane = await spool.open_lane("new", "memory", start=None, on_full="pause")
        chunks = (await spool.exchange(lane.number, Settlement(), after=0, events=500)).chunks
        assert {chunk.reader for chunk in chunks} == {"backfill"}


async def test_the_gaps_in_its_stretch_are_closed_with_its_last_page_and_it_is_named(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        poller = poller_in(spool, Log())
        await poller._open()
        store = poller._store
        for since, until_ms in ((EVENTS[1][1], EVENTS[3][1]), (EVENTS[3][1], EVENTS[20][1])):
            gap = Gap("rate_limited", source=store._number, from_ms=since, to_ms=until_ms, opened_ms=NOW - 1)
            await spool.commit(PageCommit(store._number, store._epoch, open_gaps=[gap]))
        await order_in(poller, Order(EVENTS[0][1], EVENTS[5][1], asked_ms=NOW))
        await attempt(poller, ONE)
        assert {gap.state for gap in (await spool.status()).gaps} == {"open"}
        await read_all(poller)
        within, beyond = (await spool.status()).gaps
        assert (within.state, within.closed_by, beyond.state) == ("closed", "backfill", "open")


async def test_what_one_sink_lost_of_its_own_pages_is_not_closed_by_a_heal_for_all(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        poller = poller_in(spool, Log())
        await poller._open()
        store = poller._store
        gap = Gap("damaged_page", source=store._number, lane="a", from_ms=EVENTS[1][1], to_ms=EVENTS[3][1], opened_ms=1)
        await spool.commit(PageCommit(store._number, store._epoch, open_gaps=[gap]))
        assert not await store.heal_damage()
        await order_in(poller, Order(EVENTS[0][1], EVENTS[5][1], sink="a", asked_ms=NOW))
        await read_all(poller)
        assert [(gap.state, gap.closed_by) for gap in (await spool.status()).gaps] == [("closed", "backfill")]


async def test_a_pause_or_an_end_by_hand_holds_over_a_request_that_is_under_way(tmp_path: Path) -> None:
    asked, goes_on = asyncio.Event(), asyncio.Event()

    class Slow(Log):
        async def fetch(self, state: dict[str, Any]) -> Page:
            if state["from"] == EVENTS[0][1]:
                asked.set()
                await goes_on.wait()
            return await super().fetch(state)

    async with spool_in(tmp_path) as spool:
        poller = poller_of(Slow(), spool, Then(), every=0.05)
        order = Order(EVENTS[0][1], EVENTS[50][1], asked_ms=NOW)
        assert await poller.ordered.change(ONE, lambda _: order) is None
        async with running(poller) as task:
            await until(lambda: poller.report.requests > 0, task)
            assert await poller.ordered.change(ONE, lambda _: order) == order
            await asked.wait()
            ended = msgspec.structs.replace(order, ended_ms=NOW, ended_by="a test")
            assert await poller.ordered.change(ONE, lambda _: ended) == ended
            goes_on.set()
            requests = poller.report.requests
            poller.ring()
            await until(lambda: poller.report.requests > requests, task)
            assert stored(poller) == ended
        assert await spooled(spool) == []


@pytest.mark.parametrize(
    ("gap", "order", "others", "is_closed"),
    [
        (Gap("cursor_lost"), Order(0, 100), [], True),
        (Gap("cursor_lost"), Order(11, 100), [], False),
        (Gap("cursor_lost"), Order(0, 19), [], False),
        (Gap("cursor_lost"), Order(0, 100, sink="a"), [], False),
        (Gap("missing_page"), Order(0, 100), [], True),
        (Gap("retention"), Order(0, 100), [], False),
        (Gap("detached", lane="a"), Order(0, 100), [], False),
        (Gap("detached", lane="a"), Order(0, 100, sink="a"), [], True),
        (Gap("damaged_page", lane="a"), Order(0, 100, sink="a"), [Order(15, 16, sink="a", asked_ms=1)], True),
        (Gap("detached", lane="b"), Order(0, 100, sink="a"), [], False),
        (Gap("detached", lane="a"), Order(0, 100, sink="a"), [Order(15, 16, sink="a", asked_ms=1)], False),
        (Gap("detached", lane="a"), Order(0, 100, sink="a"), [Order(30, 60, sink="a", asked_ms=1)], True),
        (Gap("cursor_lost", opened_ms=6), Order(0, 100), [], False),
        (Gap("cursor_lost", lost_ms=1), Order(0, 100), [], False),
        (Gap("cursor_lost", closed_ms=1), Order(0, 100), [], False),
    ],
)
def test_which_gaps_it_closes(gap: Gap, order: Order, others: list[Order], is_closed: bool) -> None:
    gap = msgspec.structs.replace(gap, from_ms=10, to_ms=20, opened_ms=gap.opened_ms or 5)
    order = msgspec.structs.replace(order, asked_ms=5)
    assert backfill.closes(order, gap, [*others, order]) is is_closed


def test_the_names_of_cursors_are_those_of_numbers() -> None:
    assert [backfill.number_of(backfill.name_of(number)) for number in (1, 12)] == [1, 12]
    for name in itertools.chain(["backfill", "tail", "trail", "backfill:", "backfill:x", "1"]):
        assert backfill.number_of(name) == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(st.sampled_from(["ask", "restart", "fail", "too large", "lose"]), max_size=15),
    has_ids=st.booleans(),
    hours=st.integers(1, 60),
    sink=st.sampled_from(["", "all"]),
)
async def test_of_a_log_that_is_read_in_windows_all_between_the_two_ends_comes_once_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], has_ids: bool, hours: int, sink: str
) -> None:
    log = WindowLog(Then(), has_ids=has_ids)
    for name, at in EVENTS:
        log.add(at, name)
    since, end = EVENTS[5][1], EVENTS[5][1] + hours * HOUR
    faults: list[Exception] = []

    def fail() -> None:
        if faults:
            raise faults.pop()

    log.before_answer = fail
    async with spool_in(tmp_path_factory.mktemp("spool")) as spool:
        course = Course(log, spool, since=0)
        await course.start()
        await course.poller._store.order(ONE, lambda _: Order(since, end, sink, asked_ms=NOW))
        for act in acts:
            if act == "restart":
                await course.start()
            elif course.poller._store.walks(ONE):
                given_faults = {
                    "fail": [Retryable("not now")],
                    "too large": [Retryable("too large", kind="too_large", smaller=True)],
                    "lose": [CursorLost("gone")],
                }
                faults[:] = given_faults.get(act, [])
                await attempt(course.poller, ONE)
                faults.clear()
        for _ in range(500):
            if not course.poller._store.walks(ONE):
                break
            await attempt(course.poller, ONE)
        assert sorted(await spooled(spool)) == sorted(names_of(since, end))
        order = stored(course.poller)
        assert (order.is_open, order.read >= len(names_of(since, end))) == (False, True)


async def test_how_far_it_came_is_told_of_windows_as_of_a_stream(tmp_path: Path) -> None:
    log = WindowLog(Then())
    async with spool_in(tmp_path) as spool:
        course = Course(log, spool, since=0)
        await course.start()
        await course.poller._store.order(ONE, lambda _: Order(NOW - 9 * DAY, NOW - DAY, asked_ms=NOW))
        came = []
        while course.poller._store.walks(ONE):
            came.append(backfill.reached(course.poller._store.rows[ONE].state))
            await attempt(course.poller, ONE)
        assert came == sorted(set(came))
        assert len(came) > 3
        assert backfill.reached(course.poller._store.rows[ONE].state) == NOW - DAY


async def test_a_window_that_cannot_be_read_is_left_to_the_heal_but_not_by_one_for_a_sink(tmp_path: Path) -> None:
    log = WindowLog(Then())

    def refuse() -> None:
        raise Held("too large", fix="", kind="too_large")

    log.before_answer = refuse
    async with spool_in(tmp_path) as spool:
        course = Course(log, spool, since=0)
        await course.start()
        for name, sink in ((ONE, ""), ("backfill:2", "a")):
            await course.poller._store.order(name, lambda _: Order(NOW - DAY, NOW - DAY + 1, sink, asked_ms=NOW))  # noqa: B023
            await attempt(course.poller, name)
        rows = course.poller._store.rows
        assert (rows[ONE].state["order"]["ended_ms"], rows["backfill:2"].state["order"]["ended_ms"]) == (NOW, 0)
        assert course.poller._store.walks("heal")
        gaps = (await spool.status()).gaps
        assert [(gap.from_ms, gap.to_ms, gap.state) for gap in gaps] == [(NOW - DAY, NOW - DAY + 1, "open")]


async def test_orders_stay_when_the_log_is_read_in_another_way(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        poller = poller_in(spool, Log())
        await poller._open()
        await order_in(poller, Order(EVENTS[0][1], EVENTS[90][1], asked_ms=NOW))
        for _ in range(RECENT + 3):
            await attempt(poller, ONE)
        had = set(await spooled(spool))
        assert had
        log = WindowLog(Then())
        for name, at in EVENTS:
            log.add(at, name)
        course = Course(log, spool, since=0)
        await course.start()
        before = len(log.asked)
        for _ in range(500):
            if not course.poller._store.walks(ONE):
                break
            await attempt(course.poller, ONE)
        assert len(log.asked) > before
        assert log.asked[before]["since"] > EVENTS[0][1], "it goes on near where it was"
        assert stored(course.poller).ended_ms == NOW
