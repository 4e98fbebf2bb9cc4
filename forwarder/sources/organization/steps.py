"""Reads on by time, where no cursor can be used: each request begins a little before what was read last.

It is unknown whether `from` compares the time of processing or of the event, and whether it includes the bound itself.
So a step begins at least 1 ms before the newest time read (what shares that time is read again and dropped as known),
and as far before as pages allow, because an event may be told late: `back` falls to a quarter when a full page brings
nothing newer, and grows at the tip. There every second request begins at the newest time itself: only when that brings
nothing newer either, whatever the server's own limit of a page is, it is the tip.

Keys of the state beside `cursor` (None) and `from`: `at` (newest processing time read, epoch ms), `back` (ms), `wide`
(`back` of the next wide request, at the tip), `base` (where the walk began), `without` (until when, epoch ms, a cursor
is not believed), `trail` and `copies` as in a walk by cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

FIRST_BACK = 60_000
"""Milliseconds before the newest time at which the first step begins."""


LAST = 3
"""Events at the end of a page that say where the stream has come to."""


class Stuck(Exception):
    """No bound in time leads on; the text says why."""


class Step(msgspec.Struct, frozen=True):
    """What follows a page that was read by time."""

    state: dict[str, Any]
    more: bool


def middle(moments: Sequence[int]) -> int | None:
    """Return the middle one by time: one event of a wrong time among them moves nothing."""
    return sorted(moments)[len(moments) // 2] if moments else None


def begin(state: dict[str, Any], at: int) -> dict[str, Any]:
    """Return the state that goes on from `at`, epoch milliseconds, after a walk by cursor."""
    base = state.get("base", state["from"])
    return _at({"base": base, "trail": state.get("trail", [])}, at, FIRST_BACK)


def follow(state: dict[str, Any], newest: int | None, *, full: bool, widest: int) -> Step:
    """Return what follows a page.

    Args:
        state: What was asked.
        newest: Newest processing time in the page, epoch milliseconds.
        full: The page holds as many events as were asked for, or says that there are more.
        widest: Most milliseconds to begin before the newest time.

    Raises:
        Stuck: The page is full and as narrow as can be, and brings nothing newer.
    """
    at, back = state["at"], state["back"]
    if newest is not None and newest > at:
        return Step(_at(state, newest, back), more=True)
    if full:
        if back == 0:
            raise Stuck("a whole page of its events carries the same time")
        return Step(_at(state, at, back // 4), more=True)
    if back > 0:
        return Step({**_at(state, at, 0), "wide": back}, more=True)
    return Step(_at(state, at, min(2 * state.get("wide", FIRST_BACK), widest)), more=False)


def _at(state: dict[str, Any], at: int, back: int) -> dict[str, Any]:
    names = ("base", "trail", "without", "wide") if back == 0 else ("base", "trail", "without")
    kept = {key: state[key] for key in names if key in state}
    return {**kept, "cursor": None, "from": max(state["base"], at - back - 1), "at": at, "back": back}
