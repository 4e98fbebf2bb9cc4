"""What a spool must still know after weeks: lanes that were in use, gaps that are open, names of today, doubts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forwarder.contracts import Origin
from forwarder.spool.contract import PageCommit
from forwarder.spool.gap import Gap
from forwarder.spool.sqlite.store import SqliteSpool
from tests.spool.spools import ACME, Harness, body_of, names, opened

DAY = 86_400.0
BROKEN = "UPDATE bodies SET packed = x'' WHERE last_seq = ?"


async def crashed(harness: Harness, folder: Path) -> Harness:
    """Return a harness at what a crash leaves now: the files as they are, and no orderly end."""
    folder.mkdir()
    for file in harness.config.path.parent.glob("spool.db*"):
        shutil.copy(file, folder)
    after = Harness(folder, retain=0, forget_lanes_after=harness.config.forget_lanes_after)
    after.clock = harness.clock
    after.spool = SqliteSpool(after.config, after.clock)
    return await after.open()


@pytest.mark.parametrize("days", [8, 40])
async def test_a_crash_forgets_no_lane_that_was_in_use_until_then(tmp_path: Path, days: int) -> None:
    async with opened(tmp_path, retain=0, forget_lanes_after=7 * DAY) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        for _ in range(days):
            harness.clock.advance(DAY)
            await harness.spool.clean_up()
        after = await crashed(harness, tmp_path / "after")
        # its sink is gone from the configuration for two days, which is less than its grace
        for _ in range(2):
            after.clock.advance(DAY)
            assert await after.spool.clean_up() == 0
        assert len(await after.drain(await after.lane())) == 5
        await after.spool.close()


async def test_a_lane_that_was_gone_before_the_crash_is_forgotten_after_its_grace(tmp_path: Path) -> None:
    async with opened(tmp_path, retain=0, forget_lanes_after=7 * DAY) as harness:
        await harness.lane("gone")
        await harness.put(*names("a", 5))
        await harness.reopen()
        for _ in range(5):
            harness.clock.advance(DAY)
            await harness.spool.clean_up()
        after = await crashed(harness, tmp_path / "after")
        after.clock.advance(3 * DAY)
        assert await after.spool.clean_up() == 1
        (gap,) = (await after.spool.status()).gaps
        assert (gap.cause, gap.lane, gap.events) == ("lane_forgotten", "gone", 5)
        await after.spool.close()


async def test_an_open_gap_stays_for_ever_and_a_closed_one_for_ninety_days_after_it_was_closed(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        found = await harness.spool.commit(
            PageCommit(
                harness.source.number,
                harness.source.epoch,
                open_gaps=[Gap("cursor_lost", "open"), Gap("cursor_lost", "closed late"), Gap("cursor_lost", "closed")],
            )
        )

        async def known() -> list[str]:
            await harness.spool.clean_up()
            return [gap.detail for gap in (await harness.spool.status()).gaps]

        async def close(number: int) -> None:
            await harness.spool.commit(PageCommit(harness.source.number, harness.source.epoch, close_gaps=[number]))

        await close(found.gaps[2])
        harness.clock.advance(89 * DAY)
        assert await known() == ["open", "closed late", "closed"]
        await close(found.gaps[1])
        harness.clock.advance(2 * DAY)
        assert await known() == ["open", "closed late"]
        harness.clock.advance(87 * DAY)
        assert await known() == ["open", "closed late"]
        harness.clock.advance(2 * DAY)
        assert await known() == ["open"]
        harness.clock.advance(3650 * DAY)
        assert await known() == ["open"]


@pytest.mark.parametrize("restart", [False, True])
async def test_a_renamed_source_has_its_new_name_in_everything_that_is_delivered(tmp_path: Path, restart: bool) -> None:
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 5))
        assert [chunk.origin.source for chunk in await harness.take(lane)] == ["acme"]
        if restart:
            await harness.reopen()
            lane = await harness.lane()
        renamed = Origin("head-office", ACME.feed, ACME.organization, ACME.site)
        state = await harness.spool.open_source(renamed)
        assert (state.number, state.epoch > harness.source.epoch, state.known_as) == (
            harness.source.number,
            True,
            "acme",
        )
        harness.source = state
        await harness.put("b")
        chunks = await harness.take(lane)
        assert {(chunk.origin.source, chunk.origin.identity) for chunk in chunks} == {("head-office", ACME.identity)}
        assert [chunk.origin.source for chunk in await harness.spool.take_again(lane, [(1, 6)])] == ["head-office"] * 2
        assert [line.source for line in await harness.spool.books()] == ["head-office"]
        assert [source.name for source in (await harness.spool.status()).sources] == ["head-office"]
        assert (await harness.spool.open_source(renamed)).known_as is None


@pytest.mark.parametrize(
    ("settled", "doubtful"), [([], []), ([(1, 3)], [(1, 10)]), ([(5, 5)], [(1, 10)]), ([(1, 10)], [(1, 10)])]
)
async def test_a_damaged_page_that_was_delivered_in_part_leaves_doubt(
    tmp_path: Path, settled: list[tuple[int, int]], doubtful: list[tuple[int, int]]
) -> None:
    """Its events are read again under new numbers, so what a lane has of them may come to it twice."""
    async with opened(tmp_path) as harness:
        lane, reader = await harness.lane("partly"), await harness.lane("reader")
        await harness.put(*names("a", 10))
        await harness.put(*names("b", 10))
        await harness.take(lane)
        await harness.settle(lane, *settled)
        await harness.spool._run(lambda parts: parts.database.con.execute(BROKEN, (10,)).rowcount)
        harness.spool._parts.pages._cache.clear()
        harness.spool._parts.pages._cached = 0
        await harness.take(reader)
        found = await harness.spool.doubts(lane)
        assert [(doubt.first, doubt.last) for doubt in found if doubt.cause == "damaged_page"] == doubtful
        assert [doubt for doubt in await harness.spool.doubts(reader) if doubt.cause == "damaged_page"] == []
        assert set(await harness.drain(reader)) == {body_of(name) for name in names("b", 10)}
        done = await harness.put(*names("a", 10))
        assert done.new == 10
        assert (await harness.line("partly")).balance == (await harness.line("reader")).balance == 0
