"""The two sinks that do all the contract allows, behind a real lane and spool: nothing lost, no lie, books balanced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forwarder.testing.far_end import context
from forwarder.testing.lanes import bench, event
from tests.contract.sinks_for_tests import LateSink, PartialSink

EVENTS = 120


def made(kind: Any, seed: int) -> Any:
    name = "late" if kind is LateSink else "partial"
    return kind(kind.Config(type=name, seed=seed), context(name, slots=3))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [LateSink, PartialSink])
async def test_whatever_a_sink_does_every_event_is_accounted_for(tmp_path: Path, kind: Any, seed: int) -> None:
    async with bench(tmp_path) as b:
        sink = made(kind, seed)
        lane = b.start("one", sink, window=3, confirm_within=0.3, max_dead_letters=2 * EVENTS, patience=0.2)
        for page in range(EVENTS // 20):
            await b.fill(*(event(f"p{page}-{i}") for i in range(20)))
        await b.drained("one", others=True)
        ledger = sink.ledger
        (line,) = await b.spool.books()
        letters = {letter.document_id for letter in await b.spool.dead_letters("one", limit=len(b.names))}
        everything = set(ledger.landed) | letters
        assert len(everything) == len(b.names)
        assert line.rejected == len(letters)
        assert line.accepted == len(b.names) - len(letters)
        assert not ledger.lies
        doubled = {document_id for document_id, times in ledger.landed.items() if times > 1}
        in_doubt = {n for first, last in await b.doubts("one") for n in range(first, last + 1)}
        assert doubled <= {b.document_ids[n - 1] for n in in_doubt}
        assert lane.report.accepted == line.accepted
        await b.balanced()


@pytest.mark.parametrize("kind", [LateSink, PartialSink])
async def test_a_lane_that_is_stopped_and_started_again_and_again_loses_nothing(tmp_path: Path, kind: Any) -> None:
    async with bench(tmp_path) as b:
        sink = made(kind, 99)
        for page in range(8):
            lane = b.start("one", sink, window=3, confirm_within=0.3, max_dead_letters=2 * EVENTS, patience=0.2)
            sends = sink.ledger.sends
            await b.fill(*(event(f"p{page}-{i}") for i in range(10)))
            await b.until(lambda sends=sends: sink.ledger.sends > sends)
            await b.stop("one")
            assert lane.report.state == "stopped"
        b.start("one", sink, window=3, confirm_within=0.3, max_dead_letters=2 * EVENTS, patience=0.2)
        await b.drained("one", others=True)
        letters = {letter.document_id for letter in await b.spool.dead_letters("one", limit=len(b.names))}
        assert len(set(sink.ledger.landed) | letters) == len(b.names)
        assert not sink.ledger.lies
        await b.balanced()
