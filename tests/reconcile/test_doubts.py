"""Outages, what a log is about to drop, and what is read again become gaps, and stop being ones."""

from __future__ import annotations

import pytest

from forwarder.reconcile.doubts import OUTAGE_MS, SOON_MS, SourceSeen, doubts
from forwarder.spool.gap import Gap, GapCause, GapChange

DAY = 86_400_000
NOW = 400 * DAY
KEPT = 180 * DAY


def seen(**more) -> SourceSeen:
    """Give a source that does well, but for what is said."""
    usual = {"number": 1, "good_ms": NOW, "tip_ms": NOW, "began_ms": NOW - DAY, "high_ms": NOW, "retention_ms": KEPT}
    return SourceSeen(**{**usual, **more})


def gap(cause: GapCause, number: int = 7, source: int = 1, **more) -> Gap:
    return Gap(cause, source=source, number=number, opened_ms=NOW - DAY, **more)


def causes(*args, **kwargs) -> list[tuple[GapCause, int | None]]:
    return [(one.cause, one.from_ms) for one in doubts(*args, **kwargs)[0]]


@pytest.mark.parametrize(
    ("kinds", "cause"),
    [({"auth"}, "key_outage"), ({"forbidden", "timeout"}, "key_outage"), ({"rate_limited", "reset"}, "rate_limited")],
)
def test_an_outage_of_an_hour_is_a_gap_from_what_was_read_last(kinds: set[str], cause: GapCause) -> None:
    long_ago = seen(good_ms=NOW - OUTAGE_MS, tip_ms=NOW - OUTAGE_MS, high_ms=NOW - 2 * DAY, kinds=frozenset(kinds))
    assert causes([long_ago], [], NOW) == [(cause, NOW - 2 * DAY)]
    short = seen(good_ms=NOW - OUTAGE_MS + 1, kinds=frozenset(kinds))
    assert causes([short], [], NOW) == []


def test_an_outage_of_the_other_side_is_not_explained_by_us() -> None:
    assert causes([seen(good_ms=NOW - DAY, kinds=frozenset({"connection"}))], [], NOW) == []


def test_one_gap_an_outage_however_often_it_is_looked_at() -> None:
    refused = seen(good_ms=NOW - DAY, tip_ms=NOW - DAY - 1, kinds=frozenset({"auth"}))
    assert causes([refused], [gap("key_outage")], NOW) == []
    assert causes([refused], [gap("key_outage", source=2)], NOW) == [("key_outage", NOW)]
    closed = gap("key_outage", closed_ms=5)
    assert causes([refused], [closed], NOW) == [("key_outage", NOW)], "the outage before was another one"


@pytest.mark.parametrize("cause", ["key_outage", "rate_limited", "retention"])
def test_it_is_over_when_all_that_the_log_shows_was_read(cause: GapCause) -> None:
    there = gap(cause, from_ms=NOW - 2 * DAY)
    assert doubts([seen()], [there], NOW)[1] == [GapChange(7, "closed", by="tail")]
    assert doubts([seen(tip_ms=NOW - DAY)], [there], NOW)[1] == [], "it had been read before the gap"


def test_what_the_log_is_about_to_drop_is_a_gap_while_it_is_not_read() -> None:
    edge = NOW - KEPT + SOON_MS
    behind = seen(tip_ms=NOW - OUTAGE_MS, high_ms=edge - 1)
    assert causes([behind], [], NOW) == [("retention", edge - 1)]
    assert causes([seen(tip_ms=NOW - OUTAGE_MS, high_ms=edge)], [], NOW) == []
    assert causes([seen(high_ms=edge - 1)], [], NOW) == [], "a log in which nothing happens is read to its end"
    assert causes([seen(tip_ms=0, began_ms=NOW, high_ms=edge - 1)], [], NOW) == [], "it has just begun"
    assert causes([seen(tip_ms=0, high_ms=edge - 1, retention_ms=None)], [], NOW) == []
    assert causes([behind], [gap("retention", from_ms=edge - 1)], NOW) == []


def test_what_the_log_has_dropped_is_lost_and_says_so() -> None:
    behind = seen(tip_ms=NOW - 9 * DAY)
    old, young = NOW - KEPT - 1, NOW - KEPT
    changes = doubts(
        [behind],
        [
            gap("cursor_lost", 1, from_ms=old - DAY, to_ms=old),
            gap("cursor_lost", 2, from_ms=old, to_ms=young),
            gap("retention", 3, from_ms=old),
            gap("detached", 4, from_ms=old, closed_ms=NOW),
            gap("key_outage", 5, from_ms=old),
        ],
        NOW,
    )[1]
    assert [(change.number, change.state) for change in changes] == [(1, "lost")]
    assert changes[0].why == "the log keeps 180 days, and this is older"


def test_what_was_dropped_while_the_tail_stood_still_is_one_gap_and_lost_when_the_tail_goes_on() -> None:
    high = NOW - KEPT - DAY
    there = gap("retention", 3, from_ms=high)
    stands = seen(tip_ms=NOW - 9 * DAY, high_ms=high)
    for later in range(0, 30 * DAY, DAY):
        assert doubts([stands], [there], NOW + later) == ([], [])
    (change,) = doubts([seen()], [there], NOW)[1]
    assert (change.number, change.state) == (3, "lost")
    assert "had dropped a part of this" in change.why
    in_time = gap("retention", 4, from_ms=NOW - KEPT)
    assert doubts([seen()], [in_time], NOW)[1] == [GapChange(4, "closed", by="tail")]


def test_what_a_heal_reads_again_is_being_fetched() -> None:
    there = [gap("cursor_lost", 1), gap("missing_page", 2), gap("damaged_page", 3, fetching_ms=5), gap("detached", 4)]
    there += [gap("damaged_page", 5, lane="archive")]
    assert doubts([seen(heals=True)], there, NOW)[1] == [GapChange(1, "fetching"), GapChange(2, "fetching")]
    assert doubts([seen()], there, NOW)[1] == []
