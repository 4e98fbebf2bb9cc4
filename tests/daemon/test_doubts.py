"""The daemon puts an outage on record while it lasts, and closes it when all was read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.daemon.doubts import DoubtWatch
from forwarder.observe.reports import SourceReport
from forwarder.spool.contract import CursorMove, PageCommit
from forwarder.spool.gap import Gap
from tests.spool.spools import Harness, opened

HOUR = 3600


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with opened(tmp_path) as made:
        yield made


def watch(harness: Harness, report: SourceReport, reads: str = "stream") -> DoubtWatch:
    source: Any = SimpleNamespace(reads=reads, retention_ms=180 * 86_400_000)
    return DoubtWatch(harness.spool, {"acme": source}, {"acme": report}, harness.clock, asyncio.Event(), every=60)


async def states(harness: Harness) -> list[tuple[str, str, str]]:
    return [(gap.cause, gap.state, gap.closed_by) for gap in (await harness.spool.status()).gaps]


async def test_an_outage_is_on_record_while_it_lasts_and_over_when_all_was_read(harness: Harness) -> None:
    report = SourceReport("acme", "organization")
    looks = watch(harness, report)
    report.last_good_poll = report.tip_reached = harness.clock.time()
    report.errors["rate_limited"] = 3
    await looks.look()
    harness.clock.advance(2 * HOUR)
    await looks.look()
    assert await states(harness) == [], "those errors were before the last good answer"
    report.errors["rate_limited"] += 1
    await looks.look()
    await looks.look()
    assert await states(harness) == [("rate_limited", "open", "")]
    harness.clock.advance(60)
    report.last_good_poll = harness.clock.time()
    await looks.look()
    assert await states(harness) == [("rate_limited", "open", "")], "an answer is not all of them"
    report.tip_reached = harness.clock.time()
    await looks.look()
    assert await states(harness) == [("rate_limited", "closed", "tail")]


async def test_what_is_only_sent_to_us_has_no_outage(harness: Harness) -> None:
    report = SourceReport("acme", "guard_detect")
    looks = watch(harness, report, "pushed")
    harness.clock.advance(9 * HOUR)
    report.errors["auth"] += 1
    await looks.look()
    assert await states(harness) == []


async def test_a_gap_of_pages_that_are_gone_is_fetched_while_a_heal_reads(harness: Harness) -> None:
    lane = await harness.lane()
    await harness.put("a")

    def delete_pages(parts: Any) -> None:
        parts.database.con.execute("DELETE FROM pages")

    await harness.spool._run(delete_pages)
    await harness.take(lane)
    report = SourceReport("acme", "organization", last_good_poll=harness.clock.time(), tip_reached=harness.clock.time())
    looks = watch(harness, report)
    await looks.look()
    assert await states(harness) == [("missing_page", "open", "")]
    heal = CursorMove("heal", None, {"walk": {"at": 1}, "from": 1, "high": 1})
    await harness.spool.commit(PageCommit(harness.source.number, harness.source.epoch, [heal]))
    await looks.look()
    assert await states(harness) == [("missing_page", "fetching", "")]


async def test_of_many_gaps_also_the_oldest_is_given_up_when_its_log_has_dropped_it(harness: Harness) -> None:
    now = int(harness.clock.time() * 1000)
    old = Gap("late", source=harness.source.number, from_ms=1, to_ms=2)
    young = [Gap("late", source=harness.source.number, from_ms=now, to_ms=now) for _ in range(1500)]
    await harness.spool.commit(PageCommit(harness.source.number, harness.source.epoch, open_gaps=[old, *young]))
    await watch(harness, SourceReport("acme", "organization", tip_reached=harness.clock.time())).look()
    gaps = await harness.spool.gaps_that_matter()
    assert [gap.from_ms for gap in gaps if gap.state == "lost"] == [1]
