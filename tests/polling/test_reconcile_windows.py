"""Logs that are read in windows are read again by their own plan: newest first, halved, with ids or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import CursorLost, Held
from forwarder.polling.plan import RECONCILE, TAIL
from forwarder.spool.sqlite.store import SqliteSpool
from tests.polling.pollers import attempt, spool_in, spooled
from tests.polling.test_reconcile_properties import Ticking
from tests.polling.test_windows import Course, WindowLog

HOUR = 3600
PASSES = {"after": 2 * HOUR, "again": 6 * HOUR, "last": 0}


class Reconciling(Course):
    async def step(self) -> None:
        await self.poller._reconcile.begin()
        name, wait = self.poller._choose()
        if wait > 0:
            self.clock.advance(wait + 0.001)
        else:
            await attempt(self.poller, name)

    async def follow(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            await self.step()

    def row(self) -> dict[str, Any]:
        return self.poller._rows[RECONCILE].state


async def course(spool: SqliteSpool, log: WindowLog) -> Reconciling:
    made = Reconciling(log, spool, every=600, since=0, overlap=600, trailing_every=600, reconcile=PASSES)
    await made.start()
    await made.follow(60)
    return made


@pytest.mark.parametrize("has_ids", [True, False])
async def test_what_becomes_visible_late_is_recovered_and_nothing_else(tmp_path: Path, has_ids: bool) -> None:
    clock = Ticking()
    log = WindowLog(clock, limit=5, has_ids=has_ids)
    async with spool_in(tmp_path, clock) as spool:
        c = await course(spool, log)
        for at in range(40):
            log.add(c.now() + at * 90_000, f"e{at}")
            log.add(c.now() + at * 90_000, f"e{at}" if not has_ids else f"f{at}")
        late = c.now() + 30_000
        log.add(late, "hidden", late + 90 * 60_000)
        await c.follow(10 * HOUR)
        await c.all_arrived()
        assert c.poller.report.recovered == 1
        [gap] = (await spool.status()).gaps
        assert (gap.cause, gap.state, gap.events, gap.closed_by) == ("late", "closed", 1, RECONCILE)
        assert c.row()["passes"][0]["to"] >= c.now() - 4 * HOUR * 1000


async def test_a_part_of_a_window_that_cannot_be_read_is_a_gap_until_a_later_pass(tmp_path: Path) -> None:
    clock = Ticking()
    log = WindowLog(clock)
    async with spool_in(tmp_path, clock) as spool:
        c = await course(spool, log)
        at = c.now() + 30_000
        log.add(at, "hidden", at + 90 * 60_000)
        fetch, broken = log.fetch, [at]

        async def refuse(state: dict[str, Any]) -> Any:
            if any(state["since"] <= each <= state["until"] for each in broken) and c.now() > at + 2 * HOUR * 1000:
                raise Held("too much", fix="Wait.", kind="too_large")
            return await fetch(state)

        log.fetch = refuse  # type: ignore[method-assign]
        await c.follow(5 * HOUR)
        gaps = [gap for gap in (await spool.status()).gaps if gap.cause == "late"]
        assert {gap.state for gap in gaps} == {"open"}
        assert all((gap.from_ms or 0) <= at <= (gap.to_ms or 0) for gap in gaps)
        assert all((gap.to_ms or 0) - (gap.from_ms or 0) < 10 for gap in gaps), "all around it was read"
        assert c.poller._plan[TAIL].state == ""
        broken.clear()
        await c.follow(5 * HOUR)
        assert {gap.state for gap in (await spool.status()).gaps if gap.cause == "late"} == {"closed"}
        assert await spooled(spool) == ["hidden"]


@pytest.mark.parametrize("limit", [5, 50])
async def test_a_window_whose_every_cursor_is_lost_is_left_until_a_later_pass(tmp_path: Path, limit: int) -> None:
    clock = Ticking()
    log = WindowLog(clock, limit=limit)
    async with spool_in(tmp_path, clock) as spool:
        c = await course(spool, log)
        at = c.now() + 30_000
        for number in range(12):
            log.add(at + number * 60_000, f"e{number}")
        hidden = at + 5500
        log.add(hidden, "hidden", hidden + 90 * 60_000)
        fetch, loses = log.fetch, [True]

        async def lose(state: dict[str, Any]) -> Any:
            if loses and state["offset"] and state["since"] <= at <= state["until"] and c.now() > at + 2 * HOUR * 1000:
                raise CursorLost("the API no longer takes its page cursor")
            return await fetch(state)

        log.fetch = lose  # type: ignore[method-assign]
        await c.follow(5 * HOUR)
        gaps = [gap for gap in (await spool.status()).gaps if gap.cause == "late"]
        assert {gap.state for gap in gaps} == {"open"}
        assert any((gap.from_ms or 0) <= at <= (gap.to_ms or 0) for gap in gaps)
        assert c.row()["passes"][0]["to"] > at + HOUR * 1000, "it goes on behind it"
        assert c.poller._plan[TAIL].state == ""
        loses.clear()
        await c.follow(5 * HOUR)
        assert {gap.state for gap in (await spool.status()).gaps if gap.cause == "late"} == {"closed"}
        await c.all_arrived()
