"""What is found when a stretch is read again: counted as recovered, and on record as one closed gap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forwarder.contracts import Origin, Page
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import CursorMove, PageCommit
from forwarder.spool.gap import Gap
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock

ORIGIN = Origin("acme", "organization", "org-1")
KEYS = EventKeys("organization", "org-1")
LATE = Gap("late", "found", source=1, from_ms=10, to_ms=20)


def page(*names: str) -> Page:
    bodies = [f'{{"id":"{name}"}}'.encode() for name in names]
    minutes = ["2026-11-30T10:00"] * len(names)
    return Page(bodies=bodies, keys=KEYS.keys(names), digests=content_digests(bodies), minutes=minutes, next={})


async def commit(spool: SqliteSpool, *names: str, **more: Any) -> None:
    await spool.commit(PageCommit(1, 1, page=page(*names), **more))


async def test_what_pages_of_one_stretch_find_is_one_gap(tmp_path: Path) -> None:
    spool = SqliteSpool(SpoolConfig(path=tmp_path / "spool.db"), FakeClock())
    await spool.open()
    await spool.open_source(ORIGIN)
    again: dict[str, Any] = {"reader": "reconcile", "compares": True, "finds": LATE}
    await commit(spool, "a", "b", reader="tail")
    await commit(spool, "a", "b", **again)
    assert (await spool.status()).gaps == []
    await commit(spool, "b", "c", "d", **again)
    await commit(spool, "e", **{**again, "compares": False})
    [gap] = (await spool.status()).gaps
    assert (gap.cause, gap.state, gap.closed_by, gap.events) == ("late", "closed", "reconcile", 3)
    await spool.open_lane("all", "memory", start=None, on_full="pause")
    [line] = await spool.day_books()
    assert (line.spooled, line.compared, line.recovered) == (5, 5, 3)
    await spool.close()


async def test_a_gap_says_who_closed_it_and_why_it_was_given_up(tmp_path: Path) -> None:
    clock = FakeClock()
    spool = SqliteSpool(SpoolConfig(path=tmp_path / "spool.db"), clock)
    await spool.open()
    await spool.open_source(ORIGIN)
    lost = Gap("retention", "", source=1, lost_ms=5, why="the API keeps it no more")
    done = await spool.commit(PageCommit(1, 1, open_gaps=[LATE, lost]))
    move = CursorMove("reconcile", None, {})
    await spool.commit(PageCommit(1, 1, [move], close_gaps=done.gaps[:1], reader="reconcile"))
    first, second = (await spool.status()).gaps
    assert (first.state, first.closed_by) == ("closed", "reconcile")
    assert (second.state, second.lost_ms, second.why) == ("lost", 5, "the API keeps it no more")
    await spool.close()


async def test_it_is_known_up_to_when_ids_are_remembered_no_more(tmp_path: Path) -> None:
    clock = FakeClock()
    spool = SqliteSpool(SpoolConfig(path=tmp_path / "spool.db", id_retention=100, retain=0), clock)
    await spool.open()
    await spool.open_source(ORIGIN)
    await commit(spool, "a")
    written = int(clock.now * 1000)
    clock.advance(60)
    await commit(spool, "b")
    await spool.clean_up()
    assert (await spool.status()).ids_gone_ms == 0
    clock.advance(60)
    await spool.clean_up()
    assert (await spool.status()).ids_gone_ms == written
    await spool.close()
