"""What a log has dropped before it was read is a lost gap, and nothing that is read later closes it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.contracts import Clock
from forwarder.polling import backfill, recheck
from forwarder.polling.backfill import Order
from forwarder.polling.plan import HEAL, RECONCILE, TAIL
from forwarder.polling.poller import Poller
from forwarder.polling.window_cursors import WindowCursors
from forwarder.spool.contract import PageCommit
from forwarder.spool.gap import Gap, GapChange
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, page, poller_of, quiet, spool_in, step
from tests.polling.test_handover import DAY, HOUR, Harness, row

AT = 1_790_000_000_000
OLDEST = AT - 180 * DAY

Shape = tuple[str, str, int | None, int | None]


def shapes(gaps: list[Gap], state: str = "") -> list[Shape]:
    return [(gap.cause, gap.state, gap.from_ms, gap.to_ms) for gap in gaps if state in {"", gap.state}]


async def opened(spool: Any, source: ScriptedSource, clock: Clock, **config: Any) -> Poller:
    poller = poller_of(source, spool, clock, **config)
    await poller._open()
    return poller


async def put(poller: Poller, gap: Gap) -> int:
    store = poller._store
    return (await store._spool.commit(PageCommit(store._number, store._epoch, open_gaps=[gap]))).gaps[0]


async def test_a_lost_gap_is_neither_healed_nor_closed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        poller = await opened(spool, ScriptedSource(quiet), clock)
        number = await put(poller, Gap("damaged_page", source=1, from_ms=AT - 200 * DAY, to_ms=AT - 199 * DAY))
        await spool.change_gaps([], [GapChange(number, "lost", why="too old")])
        assert not await poller._store.heal_damage()
        await poller._store._commit([], closing=[number], reader=HEAL)
        assert [gap.state for gap in await spool.gaps_that_matter()] == ["lost"]
        for _ in range(2):
            poller = await opened(spool, ScriptedSource(quiet), clock)
            assert HEAL not in poller._rows


async def test_a_gap_that_is_lost_grows_no_more(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        first = Gap("detached", "a", source=1, lane="all", from_ms=1, to_ms=2, first_seq=1, last_seq=2, events=2)
        losses: Any = spool._parts.losses  # type: ignore[union-attr]
        await spool._run(lambda _: losses.open(first, 5))
        await spool.change_gaps([], [GapChange(1, "lost")])
        await spool._run(lambda _: losses._record(first, 6, grow=True))
        assert [(gap.state, gap.events) for gap in await spool.gaps_that_matter()] == [("lost", 2), ("open", 2)]


@pytest.mark.parametrize("cause", ["damaged_page", "missing_page"])
async def test_a_heal_begins_where_the_log_does_and_what_is_older_is_lost(tmp_path: Path, cause: Any) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        poller = await opened(spool, ScriptedSource(quiet), clock)
        await put(poller, Gap(cause, source=1, from_ms=AT - 200 * DAY, to_ms=AT - 100 * DAY))
        assert await poller._store.heal_damage()
        await step(poller, HEAL)
        gaps = (await spool.status()).gaps
        assert shapes(gaps) == [
            (cause, "closed", AT - 200 * DAY, AT - 100 * DAY),
            ("retention", "lost", AT - 200 * DAY, OLDEST),
        ]
        assert "180 days" in gaps[1].why


@pytest.mark.parametrize("is_refused", [True, False])
async def test_what_was_dropped_during_a_long_stop_is_lost_once(tmp_path: Path, is_refused: bool) -> None:
    clock = FakeClock(AT / 1000 - 200 * 86_400)
    async with spool_in(tmp_path, clock) as spool:
        await opened(spool, ScriptedSource(quiet), clock)
        stopped = int(clock.now * 1000)
        clock.now = AT / 1000
        source = ScriptedSource(lambda state: page(state, "e", newest=AT, done=True))
        for _ in range(3):
            poller = await opened(spool, source, clock)
        if is_refused:
            await poller._store.lost(TAIL, "refused")
            await step(poller, HEAL)
            await step(poller, HEAL)
        for _ in range(3):
            await step(poller, TAIL)
            poller = await opened(spool, source, clock)
        lost = shapes(await spool.gaps_that_matter(), "lost")
        # a stretch of ten minutes lies before the first start
        assert [(cause, until) for cause, _, _, until in lost] == [("retention", OLDEST)]
        assert stopped - 600_000 <= (lost[0][2] or 0) <= stopped
        closed = shapes((await spool.status()).gaps, "closed")
        assert closed == ([("cursor_lost", "closed", OLDEST, AT)] if is_refused else [])


async def test_a_clock_that_is_a_year_ahead_has_dropped_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        await opened(spool, ScriptedSource(quiet), clock)
        clock.now += 366 * 86_400
        poller = await opened(spool, ScriptedSource(lambda state: page(state, "e", newest=AT)), clock)
        await step(poller, TAIL)
        assert await spool.gaps_that_matter() == []


async def test_a_quiet_log_that_was_read_to_its_tip_lost_nothing(tmp_path: Path) -> None:
    tail, trail = row(AT - 300 * DAY), {"begun": AT - HOUR}
    h = Harness({"tail": tail, "trail": trail})
    await h.open()
    assert not [gap for commit in h.spool.commits for gap in commit.open_gaps]


async def test_a_heal_that_loses_its_place_says_what_was_dropped_meanwhile() -> None:
    heal = row(AT - 200 * DAY, high=AT - 190 * DAY)
    h = await Harness({"tail": row(AT - HOUR), "heal": heal, "trail": {"begun": AT}}).open()
    await h.store.lost(HEAL, "refused")
    assert shapes(list(h.last.open_gaps)) == [("retention", "lost", AT - 190 * DAY, OLDEST)]


async def test_another_way_to_read_heals_from_where_the_log_begins() -> None:
    gap = Gap("cursor_lost", source=4, from_ms=AT - 190 * DAY, to_ms=AT - DAY, number=1)
    h = await Harness({"tail": row(AT - HOUR)}, gaps=[gap], of=WindowCursors).open()
    assert shapes(list(h.last.open_gaps)) == [("retention", "lost", AT - 190 * DAY, OLDEST)]


async def test_a_backfill_closes_no_gap_that_was_too_old_when_it_was_asked_for() -> None:
    old = Gap("late", source=4, from_ms=AT - 190 * DAY, to_ms=AT - 170 * DAY, number=1)
    young = Gap("late", source=4, from_ms=AT - 179 * DAY, to_ms=AT - 170 * DAY, number=2)
    h = await Harness({"tail": row(AT - HOUR), "trail": {"begun": AT}}, gaps=[old, young]).open()
    order = Order(AT - 200 * DAY, AT - 100 * DAY, asked_ms=AT)
    assert await h.store._covered(backfill.at_rest(order)) == [2]


async def test_a_window_that_is_there_in_part_closes_no_gap_of_the_rest() -> None:
    since = OLDEST - 600_000
    gap = Gap("late", source=4, from_ms=since, to_ms=since + 60_000, number=1)
    rows = {"tail": row(AT), "trail": {"begun": AT}}
    rows[RECONCILE] = {"begun": since, "passes": [{"to": since, "at": 0, "windows": 0, "unread": 0}]}
    h = Harness(rows, gaps=[gap])
    h.store._passes = recheck.passes_of((7200,))

    async def status() -> Any:
        return SimpleNamespace(ids_gone_ms=0)

    h.spool.status = status
    await h.open()
    assert await h.store.start_reconcile(AT, ())
    assert shapes(list(h.last.open_gaps)) == [("retention", "lost", since, OLDEST)]
    window = h.store.rows[RECONCILE].state["window"]
    assert window["since"] == since
    done = await h.store.page(RECONCILE, page({"walk": 9}, done=True))
    assert done.ended
    assert h.last.close_gaps == ()


async def test_however_many_gaps_there_are_each_is_healed_and_closed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        poller = await opened(spool, ScriptedSource(quiet), clock)
        store, day = poller._store, AT - DAY
        late = [Gap("late", source=1, from_ms=day + at, to_ms=day + at) for at in range(1500)]
        damaged = Gap("damaged_page", source=1, from_ms=AT - 2 * DAY, to_ms=AT - DAY)
        await spool.commit(PageCommit(store._number, store._epoch, open_gaps=[damaged, *late]))
        assert await store.heal_damage()
        assert len(await store._covered(backfill.at_rest(Order(day, AT, asked_ms=AT)))) == 1500
        await step(poller, HEAL)
        [gap] = [gap for gap in await spool.gaps_that_matter() if gap.cause == "damaged_page"]
        assert gap.closed_by == HEAL


async def test_what_is_lost_for_good_stands_behind_what_is_open(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        losses: Any = spool._parts.losses  # type: ignore[union-attr]
        for gap in (Gap("late", "open"), Gap("late", "lost", lost_ms=5), Gap("late", "closed", closed_ms=5)):
            await spool._run(lambda _, gap=gap: losses.open(gap, 5))
        for most, there in ((1, ["open"]), (2, ["open", "lost"]), (3, ["open", "lost", "closed"])):
            assert [gap.detail for gap in await spool._run(lambda _, most=most: losses.listed(most))] == there
