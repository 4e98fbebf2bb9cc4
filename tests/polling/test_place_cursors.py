"""Cursors of a log that is read by places: one walk from history to the present, and a heal that ends."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Held, Lost
from forwarder.polling.place_cursors import PlaceCursors
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.polling.progress import MOST_SKEW_MS
from tests.polling.pollers import ScriptedSource, page
from tests.polling.test_handover import DAY, HOUR, NOW, Harness, gap


def row(since: int, *, walk: Any = 7, high: int | None = None, **more: Any) -> dict[str, Any]:
    high = since if high is None else high
    return {"walk": {"walk": walk}, "from": since, "high": high, "reached": high, "places": True, **more}


async def harness(**cursors: dict[str, Any]) -> Harness:
    gaps = [gap(3)] if HEAL in cursors else []
    return await Harness(cursors, of=PlaceCursors, gaps=gaps).open()


@pytest.mark.parametrize(("since", "kept", "begins"), [(7, 180, 7), (7, 2, 2), (0, 180, 0)])
async def test_the_one_walk_begins_with_history(since: int, kept: int, begins: int) -> None:
    source = ScriptedSource(page)
    source.retention_ms = kept * DAY
    d = await Harness(of=PlaceCursors, source=source, since=since * 86400).open()
    (move,) = d.last.moves
    at = NOW - begins * DAY
    assert (move.name, move.version) == (TAIL, None)
    assert move.state == {"walk": {"walk": 1, "from": at}, "from": at, "high": at, "reached": at, "places": True}
    assert not d.store.start_reread()
    assert not any(d.store.walks(name) for name in (REREAD, BACKFILL, HEAL))
    assert PlaceCursors.fits(move.state)
    assert not PlaceCursors.fits({"walk": {}})


@pytest.mark.parametrize(
    ("newest", "high", "reached"),
    [
        (-5, -5, -5),
        (-2 * DAY, -DAY, -DAY),
        (MOST_SKEW_MS, MOST_SKEW_MS, MOST_SKEW_MS),
        (MOST_SKEW_MS + 1, -DAY, MOST_SKEW_MS + 1),
        (None, -DAY, -DAY),
    ],
)
async def test_a_page_is_written_with_the_place_behind_it(newest: int | None, high: int, reached: int) -> None:
    d = await harness(tail=row(NOW - DAY))
    at = None if newest is None else NOW + newest
    done = await d.store.page(TAIL, page({}, "a", next={"walk": 8}, newest=at, done=True))
    assert (done.ended, done.high) == (False, NOW + high)
    assert done.committed is not None
    expected = {**row(NOW - DAY, walk=8), "high": NOW + high, "reached": NOW + reached}
    assert (d.moves()[TAIL].state, d.last.moves[0].version, d.last.close_gaps) == (expected, 1, ())
    assert d.last.page is not None


async def test_a_page_without_events_is_written_only_where_it_leads_on() -> None:
    d = await harness(tail=row(NOW - DAY))
    assert (await d.store.page(TAIL, page({}, next={"walk": 7}))).committed is None
    assert d.spool.commits == []
    assert (await d.store.page(TAIL, page({}, next={"walk": 8}))).committed is not None
    assert d.last.page is None


async def test_a_heal_ends_with_what_is_there_and_closes_its_gap() -> None:
    d = await harness(tail=row(NOW), heal=row(NOW - DAY))
    assert not (await d.store.page(HEAL, page({}, "a", next={"walk": 8}, done=False))).ended
    assert d.last.close_gaps == ()
    assert (await d.store.page(HEAL, page({}, next={"walk": 8}, done=True))).ended
    assert (d.moves()[HEAL].state, d.last.close_gaps, d.store._gaps) == (None, (3,), [])
    assert not d.store.walks(HEAL)


@pytest.mark.parametrize("names", [(), ("a",)])
async def test_what_is_lost_is_on_record_with_the_place_behind_it(names: tuple[str, ...]) -> None:
    d = await harness(tail=row(NOW - DAY), heal=row(NOW - DAY))
    lost = [Lost("node n: x", "the product removed 1 file before it was read", 5, 9)]
    with capture_logs() as log:
        await d.store.page(TAIL, page({}, *names, next={"walk": 8}, lost=lost, done=False))
    (opened,) = d.last.open_gaps
    assert (opened.cause, opened.state, opened.source, opened.lane) == ("retention", "lost", 4, None)
    assert (opened.detail, opened.why, opened.from_ms, opened.to_ms) == ("node n: x", lost[0].why, 5, 9)
    assert d.moves()[TAIL].state["walk"] == {"walk": 8}
    assert [(line["event"], line["log_level"]) for line in log] == [("lost_before_it_was_read", "error")]
    await d.store.page(HEAL, page({}, next={"walk": 8}, done=True))
    assert d.last.close_gaps == (3,), "no heal brings back what is lost"


@pytest.mark.parametrize(("since", "high"), [(-90 * DAY, -HOUR), (-HOUR, -5), (-DAY, HOUR)])
async def test_places_that_are_lost_are_read_from_the_beginning_of_the_walk(since: int, high: int) -> None:
    """The newest record says nothing of a node that was down for longer than any overlap."""
    d = await harness(tail=row(NOW + since, high=NOW + high))
    assert await d.store.lost(TAIL, "gone") is False
    (move,) = d.last.moves
    assert (move.version, move.state["from"], move.state["walk"]["from"]) == (1, NOW + since, NOW + since)
    assert await d.store.set_aside(TAIL, Held("x", fix="y", kind="too_large")) is None
    assert await d.store.by_time(TAIL) is False
    assert d.store.untouched(TAIL) is True
