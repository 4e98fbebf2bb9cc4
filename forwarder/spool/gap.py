"""What a gap is: something that a sink may lack, why, and what became of it. Plain data."""

from __future__ import annotations

from typing import Literal

import msgspec

GapCause = Literal[
    "cursor_lost",
    "detached",
    "damaged_page",
    "missing_page",
    "lane_forgotten",
    "late",
    "rate_limited",
    "key_outage",
    "retention",
    "dropped_by_sink",
    "restored",
]
"""Why something may be incomplete."""

LOST_PAGES: tuple[GapCause, ...] = ("damaged_page", "missing_page")
"""Causes of gaps whose events the spool had. It has forgotten their ids, so that they are new when read again."""


class GapChange(msgspec.Struct, frozen=True):
    """What becomes of a gap that is on record.

    Attributes:
        number: Of the gap.
        state: From now on.
        by: What closed it.
        why: Why it is lost.
    """

    number: int
    state: Literal["fetching", "closed", "lost"]
    by: str = ""
    why: str = ""


class Gap(msgspec.Struct):
    """A stretch of time or of numbers that may be incomplete at a sink, and what became of it.

    Attributes:
        cause: Why.
        source: Source number, or None.
        lane: Sink name, or None when it concerns every sink.
        from_ms, to_ms: Stretch of processing time, epoch milliseconds, when known.
        first_seq, last_seq: Stretch of numbers, when known.
        fetching_ms: Since when it is read again.
        closed_by: What closed it: the name of a reader, or who did it.
        lost_ms: When it was given up: nothing has these events any more.
        why: Why it was given up.
    """

    cause: GapCause
    detail: str = ""
    source: int | None = None
    lane: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    events: int | None = None
    opened_ms: int = 0
    closed_ms: int | None = None
    number: int = 0
    fetching_ms: int | None = None
    closed_by: str = ""
    lost_ms: int | None = None
    why: str = ""

    @property
    def state(self) -> Literal["open", "fetching", "closed", "lost"]:
        """What became of it."""
        if self.closed_ms is not None:
            return "closed"
        if self.lost_ms is not None:
            return "lost"
        return "open" if self.fetching_ms is None else "fetching"

    @property
    def is_open(self) -> bool:
        """Whether it may still be closed: it is neither closed nor lost."""
        return self.state in {"open", "fetching"}
