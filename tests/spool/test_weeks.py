"""What a spool must still know after weeks: lanes that were in use, gaps that are open, names of today, doubts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forwarder.contracts import Origin
from forwarder.spool.contract import Gap, PageCommit
from forwarder.spool.sqlite.store import SqliteSpool
from tests.spool.spools import ACME, Desk, body_of, names, opened

DAY = 86_400.0
BROKEN = "UPDATE bodies SET packed = x'' WHERE last_seq = ?"


async def crashed(desk: Desk, folder: Path) -> Desk:
    """Return a desk at what a crash leaves now: the files as they are, and no orderly end."""
    folder.mkdir()
    for file in desk.config.path.parent.glob("spool.db*"):
        shutil.copy(file, folder)
    after = Desk(folder, retain=0, forget_lanes_after=desk.config.forget_lanes_after)
    after.clock = desk.clock
    after.spool = SqliteSpool(after.config, after.clock)
    return await after.open()


@pytest.mark.parametrize("days", [8, 40])
async def test_a_crash_forgets_no_lane_that_was_in_use_until_then(tmp_path: Path, days: int) -> None:
    async with opened(tmp_path, retain=0, forget_lanes_after=7 * DAY) as desk:
        await desk.lane()
        await desk.put(*names("a", 5))
        for _ in range(days):
            desk.clock.advance(DAY)
            await desk.spool.clean_up()
        after = await crashed(desk, tmp_path / "after")
        # its sink is gone from the configuration for two days, which is less than its grace
        for _ in range(2):
            after.clock.advance(DAY)
            assert await after.spool.clean_up() == 0
        assert len(await after.drain(await after.lane())) == 5
        await after.spool.close()


async def test_a_lane_that_was_gone_before_the_crash_is_forgotten_after_its_grace(tmp_path: Path) -> None:
    async with opened(tmp_path, retain=0, forget_lanes_after=7 * DAY) as desk:
        await desk.lane("gone")
        await desk.put(*names("a", 5))
        await desk.reopen()
        for _ in range(5):
            desk.clock.advance(DAY)
            await desk.spool.clean_up()
        after = await crashed(desk, tmp_path / "after")
        after.clock.advance(3 * DAY)
        assert await after.spool.clean_up() == 1
        (gap,) = (await after.spool.status()).gaps
        assert (gap.cause, gap.lane, gap.events) == ("lane_forgotten", "gone", 5)
        await after.spool.close()


async def test_an_open_gap_stays_for_ever_and_a_closed_one_for_ninety_days_after_it_was_closed(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        found = await desk.spool.commit(
            PageCommit(
                desk.source.number,
                desk.source.epoch,
                open_gaps=[Gap("cursor_lost", "open"), Gap("cursor_lost", "closed late"), Gap("cursor_lost", "closed")],
            )
        )

        async def known() -> list[str]:
            await desk.spool.clean_up()
            return [gap.detail for gap in (await desk.spool.status()).gaps]

        async def close(number: int) -> None:
            await desk.spool.commit(PageCommit(desk.source.number, desk.source.epoch, close_gaps=[number]))

        await close(found.gaps[2])
        desk.clock.advance(89 * DAY)
        assert await known() == ["open", "closed late", "closed"]
        await close(found.gaps[1])
        desk.clock.advance(2 * DAY)
        assert await known() == ["open", "closed late"]
        desk.clock.advance(87 * DAY)
        assert await known() == ["open", "closed late"]
        desk.clock.advance(2 * DAY)
        assert await known() == ["open"]
        desk.clock.advance(3650 * DAY)
        assert await known() == ["open"]


@pytest.mark.parametrize("restart", [False, True])
async def test_a_renamed_source_has_its_new_name_in_everything_that_is_delivered(tmp_path: Path, restart: bool) -> None:
    async with opened(tmp_path) as desk:
        lane = await desk.lane()
        await desk.put(*names("a", 5))
        assert [chunk.origin.source for chunk in await desk.take(lane)] == ["acme"]
        if restart:
            await desk.reopen()
            lane = await desk.lane()
        renamed = Origin("head-office", ACME.feed, ACME.organization, ACME.site)
        state = await desk.spool.open_source(renamed)
        assert (state.number, state.epoch > desk.source.epoch, state.known_as) == (desk.source.number, True, "acme")
        desk.source = state
        await desk.put("b")
        chunks = await desk.take(lane)
        assert {(chunk.origin.source, chunk.origin.identity) for chunk in chunks} == {("head-office", ACME.identity)}
        assert [chunk.origin.source for chunk in await desk.spool.take_again(lane, [(1, 6)])] == ["head-office"] * 2
        assert [line.source for line in await desk.spool.books()] == ["head-office"]
        assert [source.name for source in (await desk.spool.status()).sources] == ["head-office"]
        assert (await desk.spool.open_source(renamed)).known_as is None


@pytest.mark.parametrize(
    ("settled", "doubtful"), [([], []), ([(1, 3)], [(1, 10)]), ([(5, 5)], [(1, 10)]), ([(1, 10)], [(1, 10)])]
)
async def test_a_damaged_page_that_was_delivered_in_part_leaves_doubt(
    tmp_path: Path, settled: list[tuple[int, int]], doubtful: list[tuple[int, int]]
) -> None:
    """Its events are read again under new numbers, so what a lane has of them may come to it twice."""
    async with opened(tmp_path) as desk:
        lane, reader = await desk.lane("partly"), await desk.lane("reader")
        await desk.put(*names("a", 10))
        await desk.put(*names("b", 10))
        await desk.take(lane)
        await desk.settle(lane, *settled)
        await desk.spool._run(lambda parts: parts.database.con.execute(BROKEN, (10,)).rowcount)
        desk.spool._parts.pages._cache.clear()
        desk.spool._parts.pages._cached = 0
        await desk.take(reader)
        found = await desk.spool.doubts(lane)
        assert [(doubt.first, doubt.last) for doubt in found if doubt.cause == "damaged_page"] == doubtful
        assert [doubt for doubt in await desk.spool.doubts(reader) if doubt.cause == "damaged_page"] == []
        assert set(await desk.drain(reader)) == {body_of(name) for name in names("b", 10)}
        done = await desk.put(*names("a", 10))
        assert done.new == 10
        assert (await desk.line("partly")).balance == (await desk.line("reader")).balance == 0
