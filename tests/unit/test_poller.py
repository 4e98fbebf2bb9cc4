"""The poller with a scripted source and the real spool: who is asked when, and what happens when the spool refuses."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import (
    AuthFailed,
    Clock,
    ConfigError,
    CursorLost,
    Held,
    Origin,
    Page,
    Retryable,
    SourceConfig,
    SystemClock,
)
from forwarder.identity import EventKeys, content_digests
from forwarder.poller import BACKFILL, HEAL, TAIL, TAIL_SHARE, TRAIL, Poller
from forwarder.retry import RequestBudget
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Fenced, Settlement, Tally
from forwarder.spool.sqlite import SqliteSpool
from forwarder.status import SourceReport
from tests.clocks import FakeClock

KEYS = EventKeys("organization", "org-1")


def bodies_of(*names: str, size: int = 0) -> list[bytes]:
    return [f'{{"id":"{name}","x":"{random.Random(name).randbytes(size).hex()}"}}'.encode() for name in names]


def page(state: dict[str, Any], *names: str, size: int = 0, **more: Any) -> Page:
    bodies = bodies_of(*names, size=size)
    given = {"next": {**state, "n": state.get("n", 0) + 1} if names else state, "done": not names, **more}
    return Page(
        bodies=bodies, keys=KEYS.keys(names), digests=content_digests(bodies), minutes=["m"] * len(names), **given
    )


class ScriptedSource:
    """Answers as a function of the walk's state says; an exception is raised."""

    feed = "organization"
    Config = SourceConfig

    def __init__(
        self, answer: Callable[[dict[str, Any]], Any], name: str = "acme", organization: str = "org-1"
    ) -> None:
        self.origin = Origin(name, self.feed, organization)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.walks = 0

    def walk(self, since_ms: int) -> dict[str, Any]:
        self.walks += 1
        return {"walk": self.walks, "from": since_ms}

    async def fetch(self, state: dict[str, Any]) -> Page:
        self.asked.append(state)
        result = self.answer(state)
        if isinstance(result, Exception):
            raise result
        return result

    async def probe(self) -> list:
        return []

    async def close(self) -> None:
        return


def quiet(state: dict[str, Any]) -> Page:
    return page(state)


@asynccontextmanager
async def spool_in(folder: Path, clock: Clock | None = None, **config: Any) -> AsyncIterator[SqliteSpool]:
    spool = SqliteSpool(SpoolConfig(path=folder / "spool.db", **config), clock or SystemClock())
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


def poller_of(source: ScriptedSource, spool: SqliteSpool, clock: Clock | None = None, **config: Any) -> Poller:
    clock = clock or SystemClock()
    configured = config.pop("configured", ())
    made = SourceConfig(type="scripted", **{"every": 30, "since": 0, **config})
    return Poller(
        source,
        made,
        spool=spool,
        budget=RequestBudget(clock, 1e9),
        clock=clock,
        rng=random.Random(1),
        report=SourceReport("acme", "scripted"),
        configured=configured,
    )


@asynccontextmanager
async def running(poller: Poller) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(poller.run())
    try:
        yield task
    finally:
        poller.stop()
        await asyncio.wait([task])


async def until(holds: Callable[[], bool], task: asyncio.Task[None] | None = None) -> None:
    while not holds():
        if task is not None and task.done():
            task.result()
            raise AssertionError("the poller ended")
        await asyncio.sleep(0.005)


async def spooled(spool: SqliteSpool) -> list[str]:
    lane = await spool.open_lane("all", "memory", start=None, on_full="pause")
    names: list[str] = []
    after = lane.position
    while chunks := (await spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
        names += [body.split(b'"')[3].decode() for chunk in chunks for body in chunk.bodies]
        after = chunks[-1].last
    return names


# ------------------------------------------------------------------------------------------------ whose turn it is


async def course(poller: Poller, clock: FakeClock, steps: int) -> list[str]:
    """Take so many steps, waiting where the poller would; return the cursors that were asked."""
    names = []
    while len(names) < steps:
        name, wait = poller._choose()
        if wait > 0:
            clock.advance(wait + 0.001)
            continue
        names.append(name)
        await poller._step(name)
    return names


async def test_live_events_and_history_share_the_requests(tmp_path: Path) -> None:
    clock = FakeClock()

    def endless(state: dict[str, Any]) -> Page:
        return page(state, f"{state['walk']}-{state.get('n', 0)}", more=True)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(endless), spool, clock, since=86400)
        await poller._open()
        names = await course(poller, clock, 40)
        assert set(names) == {TAIL, BACKFILL}
        share = names.count(BACKFILL) / len(names)
        assert share == pytest.approx(1 / (TAIL_SHARE + 1), abs=0.05)
        assert [TAIL] * (TAIL_SHARE + 1) not in [names[i : i + TAIL_SHARE + 1] for i in range(37)]


async def test_history_gets_every_request_while_it_is_quiet(tmp_path: Path) -> None:
    clock = FakeClock()

    def answer(state: dict[str, Any]) -> Page:
        return page(state, f"h{state.get('n', 0)}", more=True) if state["walk"] == 2 else page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=86400)
        await poller._open()
        names = await course(poller, clock, 30)
        assert names.count(TAIL) == 1
        assert TRAIL in names  # the tip is read again even while history is fetched
        assert names.count(BACKFILL) >= 26


async def test_the_first_start_reaches_back_no_further_than_the_api_keeps(tmp_path: Path) -> None:
    clock = FakeClock()
    source = ScriptedSource(quiet)
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(source, spool, clock, since=180 * 86400, trailing=600)
        await poller._open()
        now = int(clock.now * 1000)
        assert poller._rows[TAIL].state["from"] == now - 600_000
        assert poller._rows[BACKFILL].state["from"] == now - 180 * 86_400_000
        await poller._open()  # a second start lays nothing
        assert source.walks == 2


async def test_a_short_history_needs_one_cursor(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(quiet), spool, clock, since=60)
        await poller._open()
        assert set(poller._rows) == {TAIL}
        assert poller._rows[TAIL].state["from"] == int(clock.now * 1000) - 60_000


# --------------------------------------------------------------------------------------------------- lost cursors


async def test_heals_are_rare_however_often_the_cursor_is_lost(tmp_path: Path) -> None:
    clock = FakeClock()
    begun: list[float] = []

    def answer(state: dict[str, Any]) -> Any:
        if state.get("n"):  # every cursor is lost at once
            return CursorLost("ADMIN-400-1")
        begun.append(state["walk"])
        return page(state, f"e{state['walk']}", more=True)

    async with spool_in(tmp_path, clock) as spool:
        source = ScriptedSource(answer)
        poller = poller_of(source, spool, clock, heal_every=900, every=30)
        await poller._open()
        heals: list[float] = []
        start = clock.now
        while clock.now < start + 7200:
            name, wait = poller._choose()
            clock.advance(wait + 0.001 if wait else 0)
            if wait:
                continue
            first = name == HEAL and poller._rows[HEAL].state["walk"].get("n") is None
            await poller._step(name)
            if first:
                heals.append(clock.now)
        assert poller.report.heals == 1  # it never ended, so none was begun beside it
        assert [gap.cause for gap in (await spool.status()).gaps] == ["cursor_lost"]
        # Two requests for each loss, of the tail, the heal and the trail; a loss in half of `every` on the average.
        assert len(source.asked) < 7200 / 15 * 2 * 3
        assert not poller.report.well
        assert "does not know them" in poller.report.reason


async def test_a_second_heal_waits_until_it_may(tmp_path: Path) -> None:
    clock = FakeClock()
    lost = {"tail": False}

    def answer(state: dict[str, Any]) -> Any:
        if lost["tail"]:
            lost["tail"] = False
            return CursorLost("ADMIN-400-1")
        return page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, heal_every=900)
        await poller._open()

        async def lose() -> None:
            lost["tail"] = True
            await poller._step(TAIL)
            assert HEAL in poller._rows

        await lose()
        first = clock.now
        assert poller._due[HEAL] == first  # at once
        assert poller._choose() == (HEAL, 0.0)
        await poller._step(HEAL)
        assert HEAL not in poller._rows
        clock.advance(10)
        await lose()
        assert poller._due[HEAL] == first + 900
        clock.advance(2000)
        await poller._step(HEAL)
        assert poller.report.heals == 2
        gaps = (await spool.status()).gaps
        assert [gap.closed_ms is not None for gap in gaps] == [True, True]


async def test_a_lost_backfill_goes_on_an_overlap_before_where_it_was(tmp_path: Path) -> None:
    clock = FakeClock()
    now = int(clock.now * 1000)
    reached = now - 3 * 86_400_000

    def answer(state: dict[str, Any]) -> Any:
        if state["walk"] == 1:
            return page(state)
        if state["walk"] == 2 and state.get("n"):
            return CursorLost("ADMIN-400-1")
        return page(state, f"e{state['walk']}", more=True, newest=reached)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=7 * 86400, overlap=86400)
        await poller._open()
        await poller._step(BACKFILL)
        await poller._step(BACKFILL)
        assert poller._rows[BACKFILL].state["walk"]["from"] == reached - 86_400_000
        assert poller._due[BACKFILL] == clock.now + 30
        assert poller.report.heals == 0
        assert (await spool.status()).gaps == []


async def test_a_lost_trail_is_laid_again_without_a_gap(tmp_path: Path) -> None:
    clock = FakeClock()
    lose: list[bool] = []

    def answer(state: dict[str, Any]) -> Any:
        return CursorLost("ADMIN-400-1") if lose and lose.pop() else page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock)
        await poller._open()
        await poller._step(TAIL)
        assert poller._choose()[0] == TRAIL
        lose.append(True)
        await poller._step(TRAIL)
        assert poller.report.errors["cursor_lost"] == 1
        assert poller._open_walk(TRAIL)
        clock.advance(31)
        await poller._step(TRAIL)
        assert not poller._open_walk(TRAIL)
        assert (poller.report.heals, (await spool.status()).gaps) == (0, [])


async def test_a_loop_is_degraded_and_held_at_every(tmp_path: Path) -> None:
    clock = FakeClock()
    looping = True

    def answer(state: dict[str, Any]) -> Page:
        return page(state, "e1", next=state, looping=looping)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, trailing_every=10**6)
        await poller._open()
        names = await course(poller, clock, 6)
        assert clock.now - 1_790_000_000 >= 30 * (names.count(TAIL) - 1)
        assert (poller.report.state, poller.report.errors["loop"]) == ("retrying", len(names))
        assert "same cursor" in poller.report.reason
        looping = False
        await poller._step(TAIL)
        assert (poller.report.well, poller.report.reason) == (True, "")


# -------------------------------------------------------------------------------------------------- the spool says no


def big_pages(count: int) -> Callable[[dict[str, Any]], Page]:
    def answer(state: dict[str, Any]) -> Page:
        n = state.get("n", 0)
        return page(state, *(f"e{n}-{i}" for i in range(20)), size=4000, more=True) if n < count else page(state)

    return answer


async def test_a_full_spool_pauses_and_the_page_in_hand_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forwarder.poller.SPOOL_WAIT", 0.02)
    source = ScriptedSource(big_pages(40))
    async with spool_in(tmp_path, max_bytes=2**21, retain=0) as spool:
        lane = await spool.open_lane("slow", "memory", start=None, on_full="pause")
        poller = poller_of(source, spool, trailing_every=10**6)
        async with running(poller) as task:
            await until(lambda: poller.report.state == "paused", task)
            assert poller.report.errors["spool_full"] >= 1
            assert poller.report.reason
            assert poller.report.fix
            asked = len(source.asked)
            poller.ring()
            await until(lambda: not poller.wake.is_set(), task)  # a bell does not make it spin
            tries = poller.report.errors["spool_full"]
            await until(lambda: poller.report.errors["spool_full"] >= tries + 3, task)
            assert len(source.asked) == asked

            names: list[str] = []
            position = lane.position
            while len(names) < 40 * 20:
                done = await spool.exchange(lane.number, Settlement(), after=position, events=500)
                for chunk in done.chunks:
                    names += [body.split(b'"')[3].decode() for body in chunk.bodies]
                    position = chunk.last
                    tallies = {chunk.source: Tally(accepted=len(chunk.bodies))}
                    settled = Settlement(ranges=[(chunk.first, chunk.last)], tallies=tallies)
                    await spool.exchange(lane.number, settled, after=position, events=0)
                await spool.clean_up()
                await asyncio.sleep(0)
            await until(lambda: poller.report.state in {"idle", "working"}, task)
            assert Counter(names) == Counter(f"e{n}-{i}" for n in range(40) for i in range(20))
            of_tail = [state.get("n", 0) for state in source.asked if state["walk"] == 1 and state.get("n", 0) < 40]
            assert of_tail[:40] == list(range(40))  # what comes after is the tip being read again
            assert [line.balance for line in await spool.books()] == [0]


async def test_a_stop_while_the_spool_is_full_ends_and_loses_nothing(tmp_path: Path) -> None:
    source = ScriptedSource(big_pages(40))
    async with spool_in(tmp_path, max_bytes=2**21, retain=0) as spool:
        await spool.open_lane("slow", "memory", start=None, on_full="pause")
        poller = poller_of(source, spool)
        async with running(poller) as task:
            await until(lambda: poller.report.state == "paused", task)
            in_hand = source.asked[-1]
            poller.stop()
            await task
        assert poller.report.state == "stopped"
        again = poller_of(source, spool)
        await again._open()
        assert again._rows[TAIL].state["walk"] == in_hand


async def test_a_stale_poller_is_fenced_and_writes_nothing(tmp_path: Path) -> None:
    names = iter(range(1000))

    def answer(state: dict[str, Any]) -> Page:
        return page(state, f"e{next(names)}", more=True)

    async with spool_in(tmp_path) as spool:
        first, second = poller_of(ScriptedSource(answer), spool), poller_of(ScriptedSource(answer), spool)
        await first._open()
        await first._step(TAIL)
        await second._open()
        with pytest.raises(Fenced, match="stale"):
            await first._step(TAIL)
        await second._step(TAIL)
        assert await spooled(spool) == ["e0", "e2"]


async def test_a_run_that_is_fenced_ends_with_it(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        first = poller_of(ScriptedSource(lambda state: page(state, str(state.get("n")), more=True)), spool)
        task = asyncio.create_task(first.run())
        await until(lambda: first.report.events > 0, task)
        await poller_of(ScriptedSource(quiet), spool)._open()
        with pytest.raises(Fenced):
            await task


# -------------------------------------------------------------------------------------------------------- identity


async def test_a_renamed_source_goes_on_where_it_was(tmp_path: Path) -> None:
    def answer(state: dict[str, Any]) -> Page:
        return page(state, f"e{state.get('n', 0)}", more=True)

    async with spool_in(tmp_path) as spool:
        before = poller_of(ScriptedSource(answer), spool)
        await before._open()
        await before._step(TAIL)
        renamed = ScriptedSource(answer, name="other")
        after = poller_of(renamed, spool)
        await after._open()
        await after._step(TAIL)
        assert renamed.asked == [{**before._rows[TAIL].state["walk"]}]
        assert renamed.walks == 0
        assert await spooled(spool) == ["e0", "e1"]
        assert [source.name for source in (await spool.status()).sources] == ["other"]


async def test_another_organization_under_an_old_name_is_refused(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        await poller_of(ScriptedSource(quiet), spool)._open()
        stranger = ScriptedSource(quiet, organization="org-2")
        with pytest.raises(ConfigError) as caught:
            await poller_of(stranger, spool, configured=["organization:org-2"]).run()
        assert "sources.acme" in str(caught.value)
        assert "org-1" in str(caught.value)
        assert "org-2" in str(caught.value)
        assert stranger.asked == []


async def test_two_sources_may_swap_their_names(tmp_path: Path) -> None:
    both = ["organization:org-1", "organization:org-2"]
    async with spool_in(tmp_path) as spool:
        for names in (("acme", "other"), ("other", "acme")):
            for name, organization in zip(names, ("org-1", "org-2"), strict=True):
                source = ScriptedSource(quiet, name=name, organization=organization)
                await poller_of(source, spool, configured=both)._open()
        assert {source.identity: source.name for source in (await spool.status()).sources} == {
            "organization:org-1": "other",
            "organization:org-2": "acme",
        }


# ------------------------------------------------------------------------------------------------------ misfortune


async def test_a_bell_does_not_cut_a_back_off_short_but_a_stop_does(tmp_path: Path) -> None:
    source = ScriptedSource(lambda _: Retryable("busy", kind="rate_limited", retry_after=3600))
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool)
        async with running(poller) as task:
            await until(lambda: poller.report.state == "retrying", task)
            for _ in range(5):
                poller.ring()
                await until(lambda: not poller.wake.is_set(), task)
            assert len(source.asked) == 1
            assert poller.report.errors == Counter(rate_limited=1)
            poller.stop()
            await task
        assert poller.report.state == "stopped"


@pytest.mark.parametrize(
    ("error", "state", "fix"),
    [
        (Retryable("the API answers 503", kind="server_error"), "retrying", ""),
        (Held("It is wrong.", fix="Mend it.", kind="not_found"), "held", "Mend it."),
        (AuthFailed("The key is wrong.", fix="Change it."), "held", "Change it."),
    ],
)
async def test_trouble_is_told_and_forgotten(tmp_path: Path, error: Any, state: str, fix: str) -> None:
    trouble = [error]
    source = ScriptedSource(lambda state: trouble[0] if trouble else page(state))
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, every=0.02)
        poller._backoff.next = lambda floor=None: 0.01
        async with running(poller) as task:
            await until(lambda: poller.report.state == state, task)
            assert (poller.report.fix, poller.report.errors[error.kind] >= 1) == (fix, True)
            assert poller.report.reason == getattr(error, "reason", str(error))
            assert not poller.report.well
            trouble.clear()
            await until(lambda: poller.report.state == "idle", task)
            assert (poller.report.reason, poller.report.fix) == ("", "")


async def test_a_refused_key_is_tried_again_at_every_however_long_it_was_refused(tmp_path: Path) -> None:
    """A new secret must not wait for a back-off of minutes."""
    source = ScriptedSource(lambda _: AuthFailed("The key is wrong.", fix="Change it."))
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, every=0.01)
        poller._backoff.next = lambda floor=None: 300.0
        async with running(poller) as task:
            await until(lambda: len(source.asked) >= 4, task)


async def test_an_objection_to_one_makes_all_who_share_the_budget_wait(tmp_path: Path) -> None:
    clock = SystemClock()
    budget = RequestBudget(clock, 1e9)
    blocked: list[float] = []

    def objected(state: dict[str, Any]) -> Any:
        return Retryable("limit", kind="rate_limited", retry_after=budget.object({"retry-after": "3600"}))

    async with spool_in(tmp_path) as spool:
        one = ScriptedSource(objected)
        two = ScriptedSource(quiet, name="other", organization="org-2")
        pollers = [poller_of(one, spool), poller_of(two, spool)]
        for poller in pollers:
            poller._budget = budget
        async with running(pollers[0]) as first:
            await until(lambda: pollers[0].report.state == "retrying", first)
            async with running(pollers[1]) as second:
                await until(lambda: second.done() or pollers[1]._streak > 0, second)
                for _ in range(3):
                    pollers[1].ring()
                    await until(lambda: not pollers[1].wake.is_set(), second)
                blocked.append(budget.blocked())
                assert two.asked == []
    assert blocked[0] > 3000


async def test_an_objection_that_comes_while_one_waits_for_its_turn_holds_it_too(tmp_path: Path) -> None:
    clock = SystemClock()
    budget = RequestBudget(clock, 1200)
    source = ScriptedSource(quiet)
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool)
        poller._budget = budget
        await poller._open()
        for _ in range(4):
            budget.reserve()
        step = asyncio.create_task(poller._step(TAIL))
        await until(lambda: poller._streak == 1, None)
        budget.object({"retry-after": "3600"})
        end = clock.monotonic() + 0.4  # its turn comes in a quarter of a second at most
        await until(lambda: step.done() or clock.monotonic() > end)
        assert source.asked == []
        poller.stop()
        await step
