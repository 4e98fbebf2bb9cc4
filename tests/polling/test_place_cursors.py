"""A log that is read by places is followed by one cursor, and can be read in another way from one life to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Page, Retryable
from forwarder.polling.plan import HEAL, TAIL
from forwarder.spool.contract import Gap, PageCommit
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, attempt, page, poller_of, quiet, spool_in, spooled
from tests.polling.test_windows import WindowLog


class PlaceLog(ScriptedSource):
    reads = "places"
    retention_ms = None  # type: ignore[assignment]


def numbers_up_to(end: list[int]) -> Any:
    def answer(state: dict[str, Any]) -> Page:
        at = state.get("n", 0)
        return page(state, f"e{at}", more=True) if at < end[0] else page(state)

    return answer


async def test_history_is_the_beginning_of_the_tail_and_nothing_is_read_again(tmp_path):
    clock, end = FakeClock(), [3]
    async with spool_in(tmp_path, clock) as spool:
        source = PlaceLog(numbers_up_to(end))
        poller = poller_of(source, spool, clock, since=86_400)
        await poller._open()
        assert poller._open_walks() == [TAIL]
        assert poller._rows[TAIL].state["from"] == int(clock.now * 1000) - 86_400_000
        for _ in range(4):
            await attempt(poller, TAIL)
        clock.advance(90_000)
        end[0] = 5
        for _ in range(3):
            await attempt(poller, TAIL)
        assert poller._open_walks() == [TAIL]
        assert await spooled(spool) == [f"e{number}" for number in range(5)]
        assert len(source.asked) == 7, "an empty answer is not doubted"


async def test_it_goes_on_where_it_was_in_the_next_life(tmp_path):
    clock, end = FakeClock(), [3]
    async with spool_in(tmp_path, clock) as spool:
        for _ in range(2):
            poller = poller_of(source := PlaceLog(numbers_up_to(end)), spool, clock, since=60)
            await poller._open()
            while poller._plan[TAIL].due <= clock.monotonic():
                await attempt(poller, TAIL)
            end[0] += 2
        assert [state.get("n", 0) for state in source.asked] == [3, 4, 5]
        assert poller.report.repeats == 0


async def test_what_cannot_be_read_of_it_is_said_while_the_rest_is_read(tmp_path):
    clock = FakeClock()
    trouble = Retryable("node 2 is away", kind="not_found", fix="Mount it.")
    answers = [
        lambda state: page(state, "a", more=True, trouble=trouble),
        lambda state: page(state, trouble=trouble),
        quiet,
    ]

    def answer(state: dict[str, Any]) -> Page:
        return answers.pop(0)(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(PlaceLog(answer), spool, clock)
        await poller._open()
        for said in ("node 2 is away", "node 2 is away", ""):
            await attempt(poller, TAIL)
            assert (poller.report.reason, poller.report.fix) == (said, "Mount it." if said else "")
        assert poller.report.errors["not_found"] == 2
        assert await spooled(spool) == ["a"]


async def test_a_damaged_page_of_the_spool_is_read_again_once(tmp_path):
    clock, end = FakeClock(), [3]
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(PlaceLog(numbers_up_to(end)), spool, clock)
        await poller._open()
        now = int(clock.now * 1000)
        gap = Gap("damaged_page", "test", source=poller._store._number, from_ms=now - 1000, to_ms=now)
        await spool.commit(PageCommit(poller._store._number, poller._store._epoch, [], open_gaps=[gap]))
        again = poller_of(PlaceLog(numbers_up_to(end)), spool, clock)
        await again._open()
        assert again._open_walks() == [TAIL, HEAL]
        for _ in range(4):
            await attempt(again, HEAL)
        assert again._open_walks() == [TAIL]
        assert not [gap for gap in (await spool.status()).gaps if gap.closed_ms is None]


async def test_a_cursor_that_is_dropped_by_hand_is_read_again_from_before_it(tmp_path):
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(PlaceLog(numbers_up_to([2])), spool, clock, overlap=60)
        await poller._open()
        for _ in range(3):
            await attempt(poller, TAIL)
        await poller._lost(TAIL, "by hand", by_hand=True)
        for _ in range(3):
            await attempt(poller, TAIL)
        assert poller.report.repeats == 2
        assert await spooled(spool) == ["e0", "e1"]


@pytest.mark.parametrize("second", ["windows", "stream", "places"])
@pytest.mark.parametrize("first", ["windows", "stream", "places"])
async def test_another_way_to_read_begins_before_where_the_last_one_came(tmp_path: Path, first: str, second: str):
    clock = FakeClock()

    def make(reads: str) -> Any:
        if reads == "windows":
            log = WindowLog(clock)
            log.add(int(clock.now * 1000) - 1000, "w")
            return log
        return (PlaceLog if reads == "places" else ScriptedSource)(numbers_up_to([2]))

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(make(first), spool, clock, since=86_400, overlap=7200)
        await poller._open()
        high = poller._rows[TAIL].state["high"]
        clock.advance(10 * 86_400)
        after = poller_of(make(second), spool, clock, since=0, overlap=7200)
        await after._open()
        rows = {name: row.state for name, row in after._rows.items() if row.state.get("walk")}
        if first == second:
            assert rows == {name: row.state for name, row in poller._rows.items() if row.state.get("walk")}
            return
        assert min(row["from"] for row in rows.values()) == high - 7_200_000
        for _ in range(3):
            for name in after._open_walks():
                await attempt(after, name)
        assert await spooled(spool)
