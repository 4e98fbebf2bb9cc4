"""Which closed window of a log is read again next, to see whether all of it is there. Pure: the moment is handed in.

A window is an hour of the clock (UTC), of the last pass after some days a day. It is closed when it is over, and read
again by each pass: `reconcile.after` later, and once more after each of `reconcile.again`. A window that is read late
enough for several passes counts for all of them. The first pass goes first, then the second; each goes forward.

The row of the cursor `reconcile`, JSON, times are epoch milliseconds:

`begun`
    Windows before it are none of ours: a backfill has read them, behind the present as it was then.
`passes`
    One for each pass, in their order, `{"to"}`: everything between `begun` and `to` was read again by it, or is a gap
    because no pass has read it.
`window`
    What is read at present: `{"pass", "since", "until", "asked"}`, the number of its pass from 0, its stretch, and
    when it was begun; also `torn` when a part of it could not be read. Only then there are the members of a walk, as
    `progress` and `windows` explain them. A restart goes on with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

State = dict[str, Any]

HOUR, DAY = 3_600_000, 86_400_000

BY_DAY = 2 * DAY
"""From this delay on a pass reads a day at once."""


class Pass(msgspec.Struct, frozen=True):
    """How long after a window it is read again, and how long a window is, milliseconds."""

    after: int
    width: int


class Window(msgspec.Struct, frozen=True):
    """What is to be read: a stretch of time, and the number of the pass that does it."""

    number: int
    since: int
    until: int


def passes_of(delays: Sequence[float]) -> tuple[Pass, ...]:
    """Return the passes of so many seconds each, the soonest first."""
    after = sorted({int(delay * 1000) for delay in delays})
    return tuple(Pass(each, DAY if each >= BY_DAY else HOUR) for each in after)


def begin(passes: Sequence[Pass], now_ms: int) -> State:
    """Return the row of a log that is followed from now on."""
    return {"begun": now_ms, "passes": [{"to": now_ms} for _ in passes]}


def begin_anew(state: State, at_ms: int) -> State:
    """Return the row of a log whose events have other ids from a moment on: none is compared with what was before."""
    return {"begun": at_ms, "passes": [{"to": max(front["to"], at_ms)} for front in state["passes"]]}


def at_rest(state: State) -> State:
    """Return the row without the window that is read at present: it is begun anew."""
    return {"begun": state["begun"], "passes": state["passes"]}


def fitted(state: State, passes: Sequence[Pass], now_ms: int) -> State:
    """Return the row for the passes that are set now, and for a clock that was ahead when it was written.

    A new pass begins with what it would read today. No pass has come further than to its delay before the present,
    unless the clock was ahead: then it goes back by a window, since what it read last it may have read too soon.
    """
    begun = min(state["begun"], now_ms)
    fronts = list(state["passes"])
    fronts += [{"to": max(begun, now_ms - each.after)} for each in passes[len(fronts) :]]
    for number, each in enumerate(passes):
        front, latest = fronts[number], now_ms - each.after
        if front["to"] > max(latest, begun):
            fronts[number] = {"to": max(begun, latest - each.width)}
    return {"begun": begun, "passes": fronts}


def due(state: State, passes: Sequence[Pass], now_ms: int) -> Window | None:
    """Return the window to read now, or None."""
    for number, each in enumerate(passes):
        since = state["passes"][number]["to"]
        until = (since // each.width + 1) * each.width
        if until + each.after <= now_ms:
            return Window(number, since, until)
    return None


def opened(state: State, window: Window, now_ms: int, walk: State) -> State:
    """Return the row while a window is read, by a walk."""
    stretch = {"pass": window.number, "since": window.since, "until": window.until, "asked": now_ms}
    return {**walk, **at_rest(state), "window": stretch}


def window_of(state: State) -> Window:
    """Return the window that is read at present."""
    window = state["window"]
    return Window(window["pass"], window["since"], window["until"])


def closed(state: State, passes: Sequence[Pass], *, is_whole: bool = True) -> State:
    """Return the row after the window at hand, of which all was read, or else some was not."""
    window, asked = window_of(state), state["window"]["asked"]
    fronts = list(state["passes"])
    for number, front in enumerate(fronts):
        is_late_enough = number < len(passes) and window.until + passes[number].after <= asked
        if number == window.number or (is_late_enough and is_whole and window.since <= front["to"] < window.until):
            fronts[number] = {"to": window.until}
    return {"begun": state["begun"], "passes": fronts}


def passed_over(state: State, window: Window, each: Pass, floor_ms: int, now_ms: int) -> tuple[State, int]:
    """Return the row beyond what can be read no more, and where that ends.

    Args:
        state: The row.
        window: The first such window.
        each: Its pass.
        floor_ms: Before it nothing can be read.
        now_ms: The present: what is not due yet is not passed over.
    """
    width = each.width
    end = max(window.until, min(-(-floor_ms // width), (now_ms - each.after) // width) * width)
    fronts = list(state["passes"])
    fronts[window.number] = {"to": end}
    return {"begun": state["begun"], "passes": fronts}, end
