"""What `status` says of history, shares, a shortened re-read, and others who use the key."""

from __future__ import annotations

from typing import Any

import pytest

from forwarder.observe.status_reading import reading_lines


def lines(**source: Any) -> list[str]:
    return reading_lines({"sources": [{"name": "acme", **source}]})


def reader(cursor: str, kind: str, share: float, log: float | None = None, left: float | None = None) -> dict[str, Any]:
    return {"cursor": cursor, "reader": kind, "share": share, "log_seconds_left": log, "seconds_left": left}


def test_history_is_told_with_its_end_and_everybody_s_share() -> None:
    readers = [
        reader("tail", "tail", 0.331),
        reader("trail", "reread", 0.11),
        reader("backfill", "backfill", 0.56, 90_000, 7300),
    ]
    assert lines(readers=readers, requests_per_minute=50.2) == [
        "source acme reads history, 1 d 1 h of it to go: complete in 2 h 1 min at this pace",
        "source acme: 50 requests a minute; of the last 200, tail 33 %, trail 11 %, backfill 56 %",
    ]


@pytest.mark.parametrize(
    ("log", "left", "words"),
    [
        (None, None, ""),
        (0.0, 0.0, ", all of it by now; it follows live events until that is sure"),
        (60.0, None, ", 1 min of it to go: how long that takes is not known yet"),
    ],
)
def test_what_is_not_known_is_not_claimed(log: float | None, left: float | None, words: str) -> None:
    assert lines(readers=[reader("heal", "heal", 0.5, log, left)])[0] == f"source acme reads a gap{words}"


def test_nothing_is_said_where_only_live_events_are_read() -> None:
    assert (
        lines(readers=[reader("tail", "tail", 1.0), reader("trail", "reread", 0.0)], others_share=0.0, limit=50) == []
    )
    assert lines() == []


def test_a_shortened_reread_and_what_others_use_are_said() -> None:
    (line,) = lines(reread_left_out_seconds=6000, reread_stretch_seconds=1200, reread_period_seconds=7200)
    assert line.startswith("source acme reads the newest 20 min again, 2 h after the time before, and leaves out ")
    assert line.endswith("the 1 h 40 min before: its request budget carries no more")
    assert lines(others_share=0.6, limit=50, foreign_limits=3) == [
        "source acme: others used 60 % of the API's limit of 50 requests",
        "source acme: 3 times the API's limit was used up, and not by our requests",
    ]
