"""What a named cursor's row holds beside the source's own state: where it began, how far it came, and where it passed.

Keys of a row, JSON, times are epoch milliseconds of processing: `walk` (state of the source), `from` and `high` (lower
bound, newest read as far as the clock can be right), `reached` (newest read, whatever the clock says), `recent` (of the
newest pages, where each stood and its newest time), `marks` (checkpoints: a few places it passed lately, as
[high, walk]), `near` (when it reached the present: where it first came within the trailing stretch of it), `present`
(the newest time known when it began: the present is not before that, whatever the clock says). Checkpoints make it
possible to read the newest stretch again *in the order and under the bound of the walk itself*: a bound in time alone
would miss an event that happened long ago and became visible behind the cursor. `by_time` is how far it came by cursor
when it had to go on without one, `tip` that it once came to what looked like its end, `dropped` who dropped it.
"""

from __future__ import annotations

from typing import Any

from forwarder.contracts import CursorState, Page

Progress = dict[str, Any]
CHECKPOINTS_PER_REREAD = 4
"""Checkpoints for each trailing stretch; more are read again less, and the row grows."""

RECENT = 5
"""Pages of which it is remembered where they stood."""

MOST_SKEW_MS = 3_600_000
"""An event processed further in the future than this is no measure of how far a walk came."""


def begin(walk: CursorState, since_ms: int) -> Progress:
    """Return the row of a walk that begins at `since_ms`."""
    begun = {"walk": walk, "from": since_ms, "high": since_ms, "reached": since_ms}
    return {**begun, "marks": [[since_ms, walk]], "recent": [[since_ms, since_ms]]}


def advance(
    row: Progress,
    page: Page,
    now_ms: int,
    trailing_ms: int,
    reread_ms: int,
    keep_ms: int | None = None,
    *,
    apart_ms: int = 0,
    present_ms: int | None = None,
) -> Progress:
    """Return the row after a page.

    Args:
        row: The row before; it is not changed.
        page: What was read.
        now_ms: The present.
        trailing_ms: Length of the stretch that is read again.
        reread_ms: Time between two such reads.
        keep_ms: Where the next such read must begin at the latest, if it is known: after a long silence that lies far
            behind what is read now, and what became visible there meanwhile is found by that read only.
        apart_ms: How far checkpoints lie apart at least; a row is written with each page.
        present_ms: What the present is not before, where that is known by what was read; else the clock is believed.
    """
    newest = page.newest or 0
    high = max(row["high"], newest) if newest <= now_ms + MOST_SKEW_MS else row["high"]
    checkpoints = row["marks"]
    if row["high"] - checkpoints[-1][0] >= max(trailing_ms // CHECKPOINTS_PER_REREAD, apart_ms):
        # Of the old ones only the newest is ever needed. By what was read, too: the clock may be ahead.
        old = min(now_ms, high) - 2 * (trailing_ms + reread_ms)
        first = _last_at(checkpoints, old)
        kept = [] if keep_ms is None else checkpoints[_last_at(checkpoints, keep_ms) : first][:1]
        checkpoints = [*kept, *checkpoints[first:], [row["high"], row["walk"]]]
    after = {**row, "walk": page.next, "high": high, "reached": max(reached(row), newest), "marks": checkpoints}
    if page.by_time:
        after["by_time"] = row.get("by_time", read_up_to(row))
    if (end := end_of(page)) is not None:
        after["recent"] = [*row.get("recent", ()), [end, newest]][-RECENT:]
    if page.since is not None:
        after["from"] = max(row["from"], page.since)
    present = now_ms if present_ms is None else min(now_ms, present_ms)
    if "near" not in row and (page.done or high >= present - trailing_ms):
        after["near"] = min(now_ms, after["reached"])  # a clock that is ahead must not leave out what comes late
    return after


def end_of(page: Page) -> int | None:
    """Return where a stream stands behind a page, epoch milliseconds, or None where no event says so."""
    return page.newest if page.stands_at is None else page.stands_at


def read_up_to(row: Progress, overlap_ms: int = 0) -> int:
    """Return the moment before which all is read, epoch milliseconds, although events may carry a wrong time.

    `high` is the newest that was read, so one event of a wrong time brings it forward, perhaps over all that a walk is
    still to read. A stream is sorted: what lies behind an event was read only if the pages around it lie there as well.
    Of the newest pages the last but one counts, for one of them may hold an event that is too old. Less than the
    overlap between the two is none of this, since nobody goes on from a moment without looking back as far.
    """
    recent, high = sorted(end for end, _ in row.get("recent", ())), int(row["high"])
    if not recent:
        return high
    least = int(recent[1] if len(recent) == RECENT else recent[0])
    return high if high - least <= overlap_ms else max(least, int(row["from"]))


def stands_at(row: Progress) -> int:
    """Return where the newest page of a walk stood, epoch milliseconds."""
    return int(row["recent"][-1][0]) if "recent" in row else reached(row)


def seen_lately(row: Progress, overlap_ms: int) -> int:
    """Return the newest processing time that was read; one of a wrong time is forgotten behind some pages."""
    recent = row.get("recent", ())
    newest = max((newest for _, newest in recent), default=0)
    is_odd = len(recent) == RECENT and reached(row) - newest > overlap_ms
    return newest if is_odd else reached(row)


def _last_at(checkpoints: list[Any], moment_ms: int) -> int:
    """Return the position of the last one at or before a moment, else of the first."""
    return max((at for at, (high, _) in enumerate(checkpoints) if high <= moment_ms), default=0)


def reached(row: Progress) -> int:
    """Return the newest processing time that was read, epoch milliseconds; rows of older versions know `high` only."""
    newest: int = row["reached"] if "reached" in row else row["high"]
    return newest


def checkpoint_after(row: Progress, moment_ms: int) -> tuple[int, CursorState]:
    """Return (high, walk) of the oldest checkpoint at or after a moment, or of the newest there is."""
    high, walk = next((mark for mark in row["marks"] if mark[0] >= moment_ms), row["marks"][-1])
    return high, walk


def checkpoint_before(row: Progress, moment_ms: int) -> tuple[int, CursorState]:
    """Return (high, walk) of the newest checkpoint at or before a moment, or of the oldest there is."""
    high, walk = row["marks"][_last_at(row["marks"], moment_ms)]
    return high, walk
