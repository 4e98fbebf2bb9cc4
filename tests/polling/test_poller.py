"""The poller with a scripted source and the real spool: who is asked when, and what trouble does."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import (
    AuthFailed,
    CursorLost,
    Held,
    Page,
    Retryable,
    SystemClock,
)
from forwarder.contracts.errors import fix_of
from forwarder.net.retry import LONGEST_WAIT, RequestBudget
from forwarder.polling import progress
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.polling.poller import Poller
from forwarder.polling.shares import TAIL_SHARE, path_of
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, page, poller_of, quiet, running, spool_in, step, until

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
        await step(poller, name)
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
        assert REREAD in names  # the tip is read again even while history is fetched
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
            await step(poller, name)
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
            await step(poller, TAIL)
            assert HEAL in poller._rows

        await lose()
        first = clock.now
        assert poller._plan[HEAL].due == first  # at once
        assert poller._choose() == (HEAL, 0.0)
        await step(poller, HEAL)
        assert HEAL not in poller._rows
        clock.advance(10)
        await lose()
        assert poller._plan[HEAL].due == first + 900
        clock.advance(2000)
        await step(poller, HEAL)
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
        if state["walk"] == 2 and state.get("n", 0) >= progress.RECENT:
            return CursorLost("ADMIN-400-1")
        return page(state, f"e{state['walk']}", more=True, newest=reached)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=7 * 86400, overlap=86400)
        await poller._open()
        for _ in range(progress.RECENT + 1):
            await step(poller, BACKFILL)
        assert poller._rows[BACKFILL].state["walk"]["from"] == reached - 86_400_000
        assert poller._plan[BACKFILL].due == clock.now + 30
        assert poller.report.heals == 0
        assert (await spool.status()).gaps == []


async def test_a_walk_that_ends_after_a_longer_one_does_not_shorten_what_the_tail_covers(tmp_path: Path) -> None:
    """An event told late is below the bound of the shorter walk, if the API compares that with event time."""
    clock = FakeClock()
    lost = [True]

    def answer(state: dict[str, Any]) -> Any:
        return CursorLost("ADMIN-400-1") if lost and lost.pop() else page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=86400, overlap=600)
        await poller._open()
        history = poller._rows[BACKFILL].state["from"]
        await step(poller, TAIL)
        assert poller._rows[HEAL].state["from"] > history
        await step(poller, BACKFILL)
        assert poller._rows[TAIL].state["from"] == history
        await step(poller, HEAL)
        assert set(poller._rows) == {TAIL, REREAD}
        assert poller._rows[TAIL].state["from"] == history
        assert all(gap.closed_ms for gap in (await spool.status()).gaps)


async def test_a_lost_trail_is_laid_again_without_a_gap(tmp_path: Path) -> None:
    clock = FakeClock()
    lose: list[bool] = []

    def answer(state: dict[str, Any]) -> Any:
        return CursorLost("ADMIN-400-1") if lose and lose.pop() else page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock)
        await poller._open()
        await step(poller, TAIL)
        assert poller._choose()[0] == REREAD
        lose.append(True)
        await step(poller, REREAD)
        assert poller.report.errors["cursor_lost"] == 1
        assert poller._open_walk(REREAD)
        clock.advance(31)
        await step(poller, REREAD)
        assert not poller._open_walk(REREAD)
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
        assert "same events" in poller.report.reason
        looping = False
        await step(poller, TAIL)
        assert not poller.report.well  # the trail has not been asked since
        await step(poller, REREAD)
        assert (poller.report.well, poller.report.reason) == (True, "")


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
        (Retryable("the API answers 503", kind="server_error"), "retrying", fix_of("server_error")),
        (Held("It is wrong.", fix="Fix it.", kind="not_found"), "held", "Fix it."),
        (AuthFailed("The key is wrong.", fix="Change it."), "held", "Change it."),
    ],
)
async def test_trouble_is_told_and_forgotten(tmp_path: Path, error: Any, state: str, fix: str) -> None:
    trouble = [error]
    source = ScriptedSource(lambda state: trouble[0] if trouble else page(state))
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, every=0.02)
        poller._plan[TAIL].backoff.next = lambda floor=None: 0.01
        async with running(poller) as task:
            await until(lambda: poller.report.state == state, task)
            assert (poller.report.fix, poller.report.errors[error.kind] >= 1) == (fix, True)
            assert poller.report.reason == getattr(error, "reason", str(error))
            assert not poller.report.well
            await until(lambda: poller.report.tries > 1, task)
            assert 0 < poller.report.trouble_since <= poller.report.next_try
            trouble.clear()
            await until(lambda: poller.report.state == "idle", task)
            assert (poller.report.reason, poller.report.fix) == ("", "")
            assert (poller.report.trouble_since, poller.report.tries, poller.report.next_try) == (0.0, 0, 0.0)


async def test_a_refused_key_is_tried_again_at_every_however_long_it_was_refused(tmp_path: Path) -> None:
    """A new secret must not wait for a back-off of minutes."""
    source = ScriptedSource(lambda _: AuthFailed("The key is wrong.", fix="Change it."))
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, every=0.01)
        poller._plan[TAIL].backoff.next = lambda floor=None: 300.0
        async with running(poller) as task:
            await until(lambda: len(source.asked) >= 4, task)


async def test_an_objection_to_one_makes_all_who_share_the_budget_wait(tmp_path: Path) -> None:
    clock = SystemClock()
    budget = RequestBudget(clock, 1e9)
    blocked: list[float] = []

    def objected(state: dict[str, Any]) -> Any:
        return Retryable("limit", kind="rate_limited", retry_after=budget.on_rate_limited({"retry-after": "3600"}))

    async with spool_in(tmp_path) as spool:
        one = ScriptedSource(objected)
        two = ScriptedSource(quiet, name="other", organization="org-2")
        pollers = [poller_of(one, spool, budget=budget), poller_of(two, spool, budget=budget)]
        async with running(pollers[0]) as first:
            await until(lambda: pollers[0].report.state == "retrying", first)
            async with running(pollers[1]) as second:
                await until(lambda: budget.line.first() == path_of("other", TAIL), second)
                for _ in range(3):
                    pollers[1].ring()
                    for _ in range(20):
                        await asyncio.sleep(0)
                blocked.append(budget.blocked())
                assert two.asked == []
    assert blocked[0] > LONGEST_WAIT - 60


async def test_an_objection_that_comes_while_one_waits_for_its_turn_holds_it_too(tmp_path: Path) -> None:
    clock = SystemClock()
    budget = RequestBudget(clock, 1200)
    source = ScriptedSource(quiet)
    async with spool_in(tmp_path) as spool:
        poller = poller_of(source, spool, budget=budget)
        await poller._open()
        for _ in range(4):
            budget.reserve()
        stepping = asyncio.create_task(step(poller, TAIL))
        await until(lambda: budget.line.first() is not None, None)
        budget.on_rate_limited({"retry-after": "3600"})
        end = clock.monotonic() + 0.4  # its turn comes in a quarter of a second at most
        await until(lambda: stepping.done() or clock.monotonic() > end)
        assert source.asked == []
        poller.stop()
        await stepping


async def test_a_bell_has_the_tail_asked_while_history_waits_for_its_pace(tmp_path: Path) -> None:
    """Two places are free, and no more come: history may have one of them, the tail is asked for the other."""
    clock = FakeClock()
    budget = RequestBudget(clock, 1)

    def answer(state: dict[str, Any]) -> Page:
        return page(state, str(len(source.asked)), more=True) if state["from"] < near else page(state)

    source, near = ScriptedSource(answer), int((clock.time() - 3600) * 1000)
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(source, spool, clock, budget, since=86_400)
        async with running(poller) as task:
            await until(lambda: len(source.asked) == 1, task)
            assert source.asked[0]["from"] > near
            poller.ring()
            await until(lambda: len(source.asked) == 2, task)
        assert source.asked[1]["from"] > near
