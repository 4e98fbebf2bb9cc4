"""The end of a walk that has one: `to` of its state, epoch milliseconds.

Nothing is known of `to` but that there is it: whether it compares the time of processing or of the event, whether the
bound itself is inside, and whether a cursor remembers it. It is asked for where there is no cursor. An event is outside
when both of its times lie behind it. The stream is sorted by processing time, so behind a page of which the last
ones with a time of processing are such there are no others: the walk is over there, whatever the page says of a next
one. Several of them, since one may carry a wrong time; an event without that time tells nothing of where the stream is.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from forwarder.normalize.times import TimeReader
from forwarder.sources.organization.cursors import Onward
from forwarder.sources.organization.heads import heads_of
from forwarder.sources.organization.steps import LAST

if TYPE_CHECKING:
    from forwarder.contracts import CursorState, Page


def with_end(asked: CursorState, state: CursorState) -> CursorState:
    """Return a state with the end of the walk that it belongs to."""
    return {**state, "to": asked["to"]} if "to" in asked else state


def kept(asked: CursorState, page: Page) -> Page:
    """Return a page that leads on to the same end."""
    return msgspec.structs.replace(page, next=with_end(asked, page.next)) if "to" in asked else page


def is_behind(state: CursorState) -> bool:
    """Tell whether what would be asked for lies behind the end: servers refuse that."""
    return "to" in state and not state.get("cursor") and state["from"] > state["to"]


def bound(state: CursorState) -> dict[str, str]:
    """Return the parameter that asks for the end."""
    return {"to": str(state["to"])} if "to" in state else {}


def inside(state: CursorState, bodies: list[bytes], onward: Onward) -> tuple[list[bytes], Onward]:
    """Return the events up to the end, and how the page goes on: not at all, once it is passed."""
    if "to" not in state or not bodies:
        return bodies, onward
    to, read = state["to"], TimeReader().read
    within, last = [], deque[bool](maxlen=LAST)
    for body, head in zip(bodies, heads_of(bodies), strict=True):
        attributes = head.attributes
        texts = (attributes.processedAt, attributes.time) if attributes is not None else ()
        moments = [read(text) if text else None for text in texts]
        known = [moment for moment in moments if moment is not None]
        is_outside = bool(known) and min(known) > to
        if not is_outside:
            within.append(body)
        if moments and moments[0] is not None:
            last.append(is_outside)
    return within, Onward(ended=True) if last and all(last) else onward
