"""Clauses B15 to B17 on every sink: one event that a destination fails on, a destination that fails on all.

What has no part in them says why, in `cannot` of its far end.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from forwarder.contracts import Batch, Delivery
from forwarder.testing.delivering import EVENTS, delivering, everything
from forwarder.testing.far_end import FarEnd
from forwarder.testing.suite import clause
from forwarder.testing.waiting import until

MOST_COPIES = 14
"""One for each halving of a batch, and the few before the search begins."""


@clause("choke")
async def test_b15_an_event_that_is_failed_on_is_named_and_holds_nothing_up(
    far_end: type[FarEnd], tmp_path: Path
) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.choke({"e7"})
        d.start(patience=3600)
        await d.fill()
        await d.until(lambda: len(d.lane.report.aside) == 1 and d.lane.report.accepted == EVENTS - 1)
        (aside,) = d.lane.report.aside
        assert (aside.seq, aside.document_id) == (8, d.bench.document_ids[7])
        assert aside.reason
        await d.until(lambda: not d.lane.report.well)  # said once what was taken beside it is settled
        await d.until(lambda: f"event 8 (id {aside.document_id})" in d.lane.report.reason)
        await d.fill(3, "later")
        await d.until(lambda: d.lane.report.accepted == EVENTS + 2)
        assert set(d.end.landed) == (everything() - {"e7"}) | everything(3, "later")
        assert d.lane.report.dead_letters == 0


@clause("choke")
@pytest.mark.parametrize("bad", [{"e0", "e24"}, {"e7", "e8"}], ids=["first and last", "side by side"])
async def test_b15_what_is_failed_on_becomes_a_dead_letter_and_the_others_arrive(
    far_end: type[FarEnd], bad: set[str], tmp_path: Path
) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.choke(bad)
        d.start(patience=0.1)
        await d.fill()
        late: list[str] = []

        async def decided() -> bool:
            if d.lane.report.state == "held" and set(late) <= set(d.end.landed):
                late.append(f"later{len(late)}-0")  # all that is left fails alike: the next one that is taken decides
                await d.fill(1, late[-1][:-1])
            return len(await d.bench.spool.dead_letters("one")) == len(bad)

        await until(decided, watch=d.bench.watch, shown=d.bench.shown)
        landed = await d.arrived()
        letters = await d.bench.spool.dead_letters("one")
        assert {letter.raw.split(b'"')[3].decode() for letter in letters} == bad
        assert {letter.reason for letter in letters} == {"not_taken"}
        assert all(letter.detail for letter in letters)
        assert set(landed) == (everything() - bad) | set(late)
        assert max(landed.values()) <= MOST_COPIES
        await d.only_doubtful_doubles(landed)


@clause("choke")
async def test_b16_what_meets_everything_is_no_events_fault(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.choke(everything())
        d.start(patience=0.01)
        await d.fill()
        await d.until(lambda: d.lane.report.tries >= 12)
        assert not d.lane.report.well
        assert d.lane.report.reason
        assert d.lane.report.fix
        assert (d.lane.report.dead_letters, d.lane.report.aside) == (0, ())
        d.end.calm()
        landed = await d.arrived()
        assert set(landed) == everything()
        assert d.lane.report.dead_letters == 0
        await d.only_doubtful_doubles(landed)


@clause("away")
async def test_b16_a_destination_that_is_away_sets_off_no_search(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        await d.end.close()
        d.start(patience=0.01)
        await d.fill()
        sizes: set[int] = set()
        send = d.sink.send

        async def seen(batch: Batch) -> Delivery:
            sizes.add(len(batch.records))
            delivery: Delivery = await send(batch)
            return delivery

        d.sink.send = seen
        await d.until(lambda: d.lane.report.tries >= 12)
        assert 1 not in sizes
        assert (d.lane.report.dead_letters, d.lane.report.aside) == (0, ())
        await d.end.open()
        assert await d.arrived() == Counter(everything())
        assert d.lane.report.dead_letters == 0


@clause("other_words")
async def test_b17_a_success_in_other_words_accepts_nothing_holds_and_is_quoted(
    far_end: type[FarEnd], tmp_path: Path
) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.play("other_words", None)
        d.start(patience=0.01)
        await d.fill()
        await d.until(lambda: d.lane.report.state == "held" and d.lane.report.tries >= 12)
        assert "Welcome" in d.lane.report.reason
        assert d.lane.report.fix
        assert (d.lane.report.accepted, d.lane.report.dead_letters) == (0, 0)
        d.end.calm()
        assert set(await d.arrived()) == everything()
