"""What a sink lacked and got since is not called missing: not at once, not later, and only as far as it is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.admin.reconcile import Reconciliation
from forwarder.reconcile.verdict import Chosen, Verdict
from forwarder.spool.contract import PageCommit, Settlement
from forwarder.spool.letter import EVERY, DeadLetter
from forwarder.spool.operations import ReplayOrder
from tests.spool.spools import Harness, names, opened, page_of
from tests.spool.test_missing_pages import delete

LONG = 120 * 86_400


async def verdict_of(harness: Harness) -> Verdict:
    async def proofs() -> dict[str, str]:
        return {"elastic": "delivered"}

    return await Reconciliation(harness.spool, proofs, harness.clock.time).verdict(Chosen())


async def sums(harness: Harness) -> tuple[int, int, int, bool]:
    """Return what was expected, delivered and is missing, and whether all of it is complete."""
    verdict = await verdict_of(harness)
    counts = (sum(getattr(line, name) for line in verdict.lines) for name in ("expected", "delivered", "missing"))
    return (*counts, verdict.complete)  # type: ignore[return-value]


async def later(harness: Harness) -> None:
    """Let more time pass than closed gaps are kept for."""
    harness.clock.advance(LONG)
    for _ in range(3):
        harness.clock.advance(60)
        await harness.spool.clean_up()


async def replayed(harness: Harness, *, events: int = 5, letter: int | None = None) -> None:
    """Send all there is again, but for a letter that is refused."""
    replay = await harness.spool.operations.begin_replay(ReplayOrder("elastic", 0, 2**42, who="root"))
    lane = (await harness.spool.operations.open_replay(replay.number)).number
    await harness.take(lane)
    letters = [DeadLetter(letter, harness.source.number, "00" * 16, "bad", "", b"", 0)] if letter else []
    settlement = Settlement(ranges=[(1, events)], dead_letters=letters)
    await harness.spool.exchange(lane, settlement, after=events, events=0)
    assert await harness.spool.operations.close_replay(replay.number)


async def backfilled(harness: Harness, *events: str) -> None:
    """Read events again for the sink, deliver them, and close the gaps that are open."""
    lane = await harness.lane()
    gaps = [gap.number for gap in (await harness.spool.status()).gaps if gap.closed_ms is None]
    commit = PageCommit(
        source=harness.source.number,
        epoch=harness.source.epoch,
        page=page_of(*events),
        audience="elastic",
        close_gaps=gaps,
        reader="backfill",
    )
    await harness.spool.commit(commit)
    await harness.settle_taken(lane)


async def test_what_was_detached_and_sent_by_a_replay_is_delivered_and_stays_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        await harness.spool.operations.detach_lane("elastic", 5, "root")
        assert await sums(harness) == (5, 0, 5, False)
        await replayed(harness)
        assert await sums(harness) == (5, 5, 0, True)
        await later(harness)
        assert await sums(harness) == (5, 5, 0, True)


async def test_of_what_a_replay_brought_in_part_the_rest_is_missing(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        await harness.spool.operations.detach_lane("elastic", 5, "root")
        await replayed(harness)
        await harness.put(*names("b", 3))
        await harness.spool.operations.detach_lane("elastic", 8, "root")
        assert await sums(harness) == (8, 5, 3, False)
        await later(harness)
        assert await sums(harness) == (8, 5, 3, False)


async def test_what_a_replay_had_refused_is_not_called_delivered_until_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        await harness.spool.operations.detach_lane("elastic", 5, "root")
        await replayed(harness, letter=2)
        assert (await sums(harness))[2:] == (5, False)
        await harness.spool.retry_letters("elastic", EVERY)
        lane = (await harness.spool.operations.open_replay(1)).number
        await harness.take(lane)
        await harness.settle(lane, (2, 2))
        assert await harness.spool.operations.close_replay(1)
        assert await sums(harness) == (5, 5, 0, True)


async def test_what_was_read_again_for_the_sink_was_counted_twice_and_stays_explained(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        await harness.spool.operations.detach_lane("elastic", 5, "root")
        await backfilled(harness, *names("a", 5))
        assert await sums(harness) == (5, 5, 0, True)
        await later(harness)
        assert await sums(harness) == (5, 5, 0, True)


async def test_a_replay_and_a_backfill_of_one_day_are_each_counted_as_what_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        await harness.spool.operations.detach_lane("elastic", 5, "root")
        await replayed(harness)
        await harness.put(*names("b", 3))
        await harness.spool.operations.detach_lane("elastic", 8, "root")
        await backfilled(harness, *names("b", 3))
        assert await sums(harness) == (8, 8, 0, True)


async def test_a_page_that_was_gone_and_read_again_is_explained_as_long_as_its_books_are_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 5))
        await delete(harness, 5)
        await harness.drain(lane)
        (gap,) = (await harness.spool.status()).gaps
        commit = PageCommit(
            source=harness.source.number,
            epoch=harness.source.epoch,
            page=page_of(*names("a", 5)),
            close_gaps=[gap.number],
            reader="heal",
        )
        await harness.spool.commit(commit)
        await harness.drain(lane)
        assert await sums(harness) == (5, 5, 0, True)
        await later(harness)
        assert await sums(harness) == (5, 5, 0, True)


@pytest.mark.parametrize("is_forgotten", [True, False])
async def test_a_closed_gap_is_kept_only_while_books_need_it(is_forgotten: bool, tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        await harness.spool.operations.detach_lane("elastic", 5, "root")
        await replayed(harness)
        if is_forgotten:
            await harness.reopen()
            await harness.spool.operations.forget_lane("elastic", "root")
        await later(harness)
        assert len((await harness.spool.status()).gaps) == (0 if is_forgotten else 1)
