"""The row of the cursor that reads again, as its reader writes it, is understood."""

from __future__ import annotations

from forwarder.polling import recheck
from forwarder.reconcile.passes import Passes, passes_of

HOUR = 3_600_000
MIDNIGHT = 1_794_614_400_000  # of 2026-11-14
DELAYS = recheck.passes_of([2 * 3600, 24 * 3600])


def test_a_row_that_was_just_begun_has_read_nothing() -> None:
    found = passes_of(recheck.begin(DELAYS, MIDNIGHT))
    assert found == Passes(MIDNIGHT, [MIDNIGHT, MIDNIGHT])
    assert found.closed_ms is None
    assert found.over("2026-11-14") == []
    assert found.over("2026-11-13") is None


def test_what_nobody_reads_again_any_more_keeps_its_passes_and_expects_none() -> None:
    ended = Passes(MIDNIGHT, [MIDNIGHT + 24 * HOUR], None)
    assert (ended.over("2026-11-14"), ended.over("2026-11-15")) == (["1"], None)
    assert Passes(MIDNIGHT, [MIDNIGHT + 24 * HOUR]).over("2026-11-15") == []
    assert Passes(MIDNIGHT, [], HOUR).late_ms("2026-11-14") == MIDNIGHT + 49 * HOUR


def test_what_a_pass_has_read_is_over() -> None:
    state = recheck.begin(DELAYS, MIDNIGHT)
    state["passes"][0]["to"] = MIDNIGHT + 24 * HOUR
    found = passes_of(state)
    assert found is not None
    assert found.over("2026-11-14") == ["1"]
    assert found.closed_ms == MIDNIGHT + 24 * HOUR
