"""Live events and history do not wait for each other's answers, and what has been overtaken meanwhile counts for nothing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.contracts import CursorLost, Held, Page, Retryable
from forwarder.net.http import HttpClient
from forwarder.net.http import Response as HttpResponse
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import BACKFILL, HEAL, TAIL
from forwarder.polling.shares import TAIL_SHARE
from forwarder.spool.sqlite import store
from simulator.httpd import Response
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, page, poller_of, running, spool_in, spooled, step, until
from tests.polling.test_reading_on import course, names
from tests.sources.organization.feeds import START, Log

NOW = START + 100_000_000


class Answers(ScriptedSource):
    """Gives an answer when the test says so."""

    def __init__(self) -> None:
        super().__init__(page)
        self.under_way: dict[int, list[asyncio.Future[Any]]] = {}
        self.over = False

    async def fetch(self, state: dict[str, Any]) -> Page:
        self.asked.append(state)
        if self.over:
            return page(state)
        answer = asyncio.get_running_loop().create_future()
        waiting = self.under_way.setdefault(state["walk"], [])
        waiting.append(answer)
        try:
            result = await answer
        finally:
            waiting.remove(answer)
        if isinstance(result, Exception):
            raise result
        return result(state)

    def end(self) -> None:
        """Answer all that is under way, and at once from now on."""
        self.over = True
        for waiting in self.under_way.values():
            for answer in waiting:
                answer.set_result(TIP)

    async def give(self, walk: int, result: Any) -> None:
        await until(lambda: bool(self.under_way.get(walk)))
        self.under_way[walk][0].set_result(result)
        await until(lambda: not self.under_way[walk] or not self.under_way[walk][0].done())


TIP = page


def fresh(*idents: str, **more: Any) -> Any:
    return lambda state: page(state, *idents, **{"more": True, **more})


@pytest.mark.parametrize(("hangs", "goes_on"), [(2, 1), (1, 2)], ids=["history hangs", "the tail hangs"])
async def test_one_that_hangs_does_not_keep_the_other_waiting(tmp_path: Path, hangs: int, goes_on: int) -> None:
    source = Answers()
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, since=86400, every=0.01)
        async with running(poller) as task:
            await until(lambda: bool(source.under_way.get(1) and source.under_way.get(2)), task)
            for number in range(5):
                await source.give(goes_on, fresh(f"e{number}"))
            await until(lambda: poller.report.spooled == 5 and bool(source.under_way[goes_on]), task)
            assert [len(source.under_way[walk]) for walk in (1, 2)] == [1, 1]  # never two for one of them
            await source.give(hangs, Retryable("silent", kind="timeout"))
            await until(lambda: poller.report.state == "retrying", task)
            assert ("(cursor backfill)" in poller.report.reason) == (hangs == 2)
            poller.stop()
            source.end()


async def test_a_stop_lets_both_requests_finish_and_keeps_their_pages(tmp_path: Path) -> None:
    source = Answers()
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, since=86400)
        async with running(poller) as task:
            await until(lambda: bool(source.under_way.get(1) and source.under_way.get(2)), task)
            poller.stop()
            await source.give(2, fresh("old"))
            assert not task.done()
            await source.give(1, fresh("new"))
            await task
        assert sorted(await spooled(spool)) == ["new", "old"]
        assert len(source.asked) == 2


async def test_what_breaks_in_one_ends_the_poller_and_the_other_request(tmp_path: Path) -> None:
    source = Answers()
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, since=86400)

        async def broken(*_: Any) -> None:
            raise ZeroDivisionError

        poller._store.page = broken  # type: ignore[assignment]
        task = asyncio.create_task(poller.run())
        await until(lambda: bool(source.under_way.get(1) and source.under_way.get(2)))
        await source.give(2, fresh("old"))
        with pytest.raises(ZeroDivisionError):
            await task
        assert source.under_way == {1: [], 2: []}


async def test_a_poller_that_is_cancelled_leaves_no_request_behind(tmp_path: Path) -> None:
    source = Answers()
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, since=86400)
        task = asyncio.create_task(poller.run())
        await until(lambda: bool(source.under_way.get(1) and source.under_way.get(2)))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.under_way == {1: [], 2: []}


@pytest.mark.parametrize(
    "late",
    [fresh("late"), TIP, Retryable("silent", kind="timeout"), CursorLost("x"), Held("no", fix="y", kind="too_large")],
    ids=["a page", "the tip", "a fault", "lost", "a place"],
)
async def test_an_answer_to_a_tail_that_was_replaced_meanwhile_counts_for_nothing(tmp_path: Path, late: Any) -> None:
    source = Answers()
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, since=86400, every=0.01)
        async with running(poller) as task:
            await until(lambda: bool(source.under_way.get(1) and source.under_way.get(2)), task)
            await source.give(2, fresh("old"))
            await source.give(2, TIP)  # the backfill is the tail now
            while poller._open_walk(BACKFILL):  # what looks like its end is made sure of
                if walks := [walk for walk in source.under_way if walk > 1 and source.under_way[walk]]:
                    await source.give(max(walks), TIP)
                await asyncio.sleep(0.01)
            before, row = poller.report.spooled, poller._rows[TAIL]
            assert row.state["walk"]["walk"] == 2
            await source.give(1, late)
            await until(lambda: bool(source.under_way[2]), task)
            assert (poller._rows[TAIL], poller.report.spooled) == (row, before)
            assert (poller.report.heals, (await spool.status()).gaps) == (0, [])
            assert poller._plan[TAIL].failures == 0
            await source.give(2, fresh("late"))
            await until(lambda: poller.report.spooled == before + 1, task)
            assert await poller.drop(TAIL, "by hand")  # while its request is under way
            await until(lambda: poller.report.heals == 1, task)
            poller.stop()
            source.end()


async def test_a_walk_that_ends_while_somebody_drops_it_has_ended(tmp_path: Path) -> None:
    source, last, written = Answers(), asyncio.Event(), asyncio.Event()
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, since=86400)
        hand_over = poller._store.page

        async def held(name: str, page: Page) -> Any:
            if name == BACKFILL and "tip" in poller._rows[BACKFILL].state:
                last.set()
                await written.wait()
            return await hand_over(name, page)

        poller._store.page = held  # type: ignore[method-assign]
        async with running(poller) as task:
            for answer in (fresh("old"), fresh("older", more=False, done=True), fresh("oldest", more=False, done=True)):
                await source.give(2, answer)
            await last.wait()
            poller._dropped[BACKFILL] = "by hand"
            poller.wake.set()
            await until(lambda: not poller._dropped, task)
            written.set()
            await until(lambda: not poller._open_walk(BACKFILL), task)
            await source.give(1, fresh("new"))
            await until(lambda: bool(source.under_way.get(2)), task)  # the tail goes on where the backfill has come to
            assert poller.report.errors["cursor_lost"] == 0
            poller.stop()
            source.end()
        assert not task.exception()


async def test_live_events_keep_their_share_where_the_budget_is_what_is_scarce(tmp_path: Path) -> None:
    source = ScriptedSource(lambda state: page(state, f"{state['walk']}-{state.get('n', 0)}", more=True))
    async with spool_in(tmp_path) as spool:
        clock = FakeClock()
        budget = RequestBudget(clock, 60)
        poller = poller_of(source, spool, clock, budget, since=86400)

        async def pause(seconds: float) -> None:
            clock.advance(seconds + 0.001)
            for _ in range(50):  # an answer takes less than a place in the queue
                await asyncio.sleep(0.001)

        poller._asker.pause = pause  # type: ignore[method-assign]
        async with running(poller) as task:
            await until(lambda: len(source.asked) >= 24, task)
        asked = Counter(state["walk"] for state in source.asked[4:24])
        assert asked[1] >= (TAIL_SHARE - 1) * asked[2]


class Turns:
    """Lets the loop turn a few times, as the dice say, where a thread or a socket would take its time: a seed that failed
    fails again."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    async def pass_by(self) -> None:
        for _ in range(self.dice.choice([0, 0, 1, 2, 5, 20, 60])):
            await asyncio.sleep(0)

    def worker(self, _name: str, _clock: Any) -> Any:
        async def run(job: Callable[[], Any]) -> Any:
            await self.pass_by()
            result = job()
            await self.pass_by()
            return result

        return SimpleNamespace(run=run, stop=lambda: None, turned=lambda: None, last_turn=0.0)

    def server(self, log: Log) -> Any:
        async def request(*_: Any, params: Any, **__: Any) -> HttpResponse:
            await self.pass_by()
            answer = await log.handle(SimpleNamespace(query={key: [str(value)] for key, value in params.items()}))  # type: ignore[arg-type]
            await self.pass_by()
            return HttpResponse(answer.status, dict(answer.headers), answer.body)

        return request


@pytest.mark.parametrize("seed", range(24))
async def test_whatever_overtakes_what_nothing_is_lost(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers come in any order, cursors are lost and dropped meanwhile, events become visible late."""
    turns = Turns(seed)
    rng = turns.dice
    log = Log(cap=rng.choice([10, 50]), resumes=rng.random() < 0.5, by_time=rng.random() < 0.5)
    log.happen(200, at=NOW - 400_000, every=1500)
    monkeypatch.setattr(store, "Worker", turns.worker)
    monkeypatch.setattr(HttpClient, "request", turns.server(log))
    async with course(tmp_path, log, limit=50) as c:
        await c.start(since=3600, overlap=600, trailing=600, trailing_every=60)
        c.poller._reads = True
        tasks: dict[str, asyncio.Task[None]] = {}
        for turn in range(4000):
            name, wait = c.poller._choose(tasks)
            if wait > 0 and tasks:
                await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            elif wait > 0:
                c.clock.advance(min(wait, 40) + 0.001)
            else:
                c.poller._begin(tasks, name)
            if turn < 150 and rng.random() < 0.1:
                log.happen(rng.randrange(3), at=int(c.clock.now * 1000) - rng.choice([0, 0, 20_000]))
            if turn < 150 and rng.random() < 0.04:
                await c.poller.drop(rng.choice([TAIL, HEAL, BACKFILL]), "by a test")
                await c.poller._drop_by_hand()
            if turn < 150 and rng.random() < 0.03:
                bad = {row.state["walk"].get("cursor") for row in c.poller._rows.values() if row.state.get("walk")}
                log.refuse = lambda cursor, bad=bad: Response(404) if cursor in bad else None  # type: ignore[misc]
                log.wrap, log.unwrap = (lambda text, turn=turn: f"{turn}|{text}"), lambda sent: sent.split("|")[-1]  # type: ignore[misc]
            if turn > 300 and c.poller._open_walks() == [TAIL] and c.poller.report.spooled == len(log.events):
                break
        for task in tasks.values():
            await task
        assert Counter(await spooled(c.spool)) == names(log)


async def test_a_walk_asked_directly_still_goes_step_by_step(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(page), spool, clock)
        await poller._open()
        await step(poller, HEAL)  # there is none
        assert poller.report.requests == 0
