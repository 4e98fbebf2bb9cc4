"""The short form of `make truth`, a test for each kind; and a judge that lets nothing pass."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from forwarder.spool.gap import Gap
from tests.truth.kinds import KINDS
from tests.truth.verdict import Plant, judged


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(600)
async def test_each_gap_is_found_with_its_cause_and_nothing_else_is(kind: str, tmp_path: Path) -> None:
    row = await KINDS[kind](tmp_path, random.Random(f"1 {kind}"), 2)
    assert row.is_well, row


GAP = Gap("late", number=1, events=1, opened_ms=1, closed_ms=2, closed_by="reconcile")
PLANT = Plant("one", "late", lambda gap: gap.opened_ms == 1, 1, "reconcile")


def test_what_is_right_passes() -> None:
    assert judged("kind", [PLANT], [GAP], []).is_well


@pytest.mark.parametrize(
    "gaps",
    [
        [],
        [Gap("late", number=1, events=1, opened_ms=1)],
        [Gap("late", number=1, events=1, opened_ms=1, closed_ms=2, closed_by="heal")],
        [Gap("late", number=1, events=2, opened_ms=1, closed_ms=2, closed_by="reconcile")],
        [Gap("cursor_lost", number=1, events=1, opened_ms=1, closed_ms=2, closed_by="reconcile")],
        [GAP, Gap("late", number=2, events=1, opened_ms=7)],
    ],
    ids=["not found", "not closed", "closed by another", "wrong count", "wrong cause", "one that is none"],
)
def test_what_is_wrong_does_not(gaps: list[Gap]) -> None:
    assert not judged("kind", [PLANT], gaps, []).is_well


def test_an_event_that_is_missing_does_not() -> None:
    assert not judged("kind", [PLANT], [GAP], ["two"]).is_well
