"""What the row of a backfill that someone asked for holds: the cursor `backfill:<number>`. Pure data.

Beside the members of every row, as `progress` and `window_cursors` explain them, it has `order`, JSON:

`since_ms`, `until_ms`
    The stretch, epoch milliseconds of processing time. A log that is read in windows is read between the two. A stream
    is read beyond the end by the overlap, for events that were processed later than they happened.
`sink`
    For which sink alone it is; empty: for everyone. Ids are remembered apart for each sink that has its own pages.
`who`, `asked_ms`
    Who asked for it, and when.
`paused`
    By whom; nothing is asked for it meanwhile.
`ended_ms`, `ended_by`
    When it was over, and who cancelled it; no one did when all of it was read.
`read`
    Events that were read, new or not; one at the end of a window is read twice.
`beyond`
    Pages in a row that were beyond its end: one alone may hold an event of a wrong time.

`walk` is None while it is not begun, and when it is over. A row that is over stays: it is on record what was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from forwarder.polling.plan import BACKFILL
from forwarder.spool.gap import LOST_PAGES, Gap, GapCause

Row = dict[str, Any]

_PREFIX = f"{BACKFILL}:"

PAGES_BEYOND = 3
"""Pages in a row beyond its end with which a walk over a stream is over."""


class Order(msgspec.Struct, frozen=True):
    """What was asked for and how it stands; the module explains the members."""

    since_ms: int
    until_ms: int
    sink: str = ""
    who: str = ""
    asked_ms: int = 0
    paused: str = ""
    ended_ms: int = 0
    ended_by: str = ""
    read: int = 0
    beyond: int = 0

    @property
    def is_open(self) -> bool:
        """Whether there is something left to read."""
        return not self.ended_ms

    @property
    def is_due(self) -> bool:
        """Whether it is to be read now."""
        return self.is_open and not self.paused


def name_of(number: int) -> str:
    """Return the name of the cursor of a backfill."""
    return f"{_PREFIX}{number}"


def number_of(name: str) -> int:
    """Return the number of a backfill by the name of its cursor; 0 for any other cursor."""
    number = name.removeprefix(_PREFIX)
    return int(number) if name.startswith(_PREFIX) and number.isdecimal() else 0


def order_of(row: Row) -> Order | None:
    """Return what was asked for with a row; None for that of any other cursor."""
    order = row.get("order")
    return None if order is None else msgspec.convert(order, Order)


def with_order(row: Row, order: Order) -> Row:
    """Return a row with another order."""
    return {**row, "order": msgspec.to_builtins(order)}


def at_rest(order: Order, row: Row | None = None) -> Row:
    """Return the row of an order of which no walk is at work: it is not begun yet, or over."""
    high = order.since_ms if row is None else reached(row)
    start = {"walk": None, "from": order.since_ms, "high": high, "reached": high}
    return with_order(start, order)


def reached(row: Row) -> int:
    """Return how far a walk came, epoch milliseconds; of windows, those that were read as a whole."""
    walk = row["walk"] or {}
    at: int = walk["scan"] if "scan" in walk else row["high"]
    return at


def changed(row: Row, order: Order) -> Row:
    """Return a row after a person changed its order; one that is over has no walk."""
    return with_order(row, order) if order.is_open else at_rest(order, row)


def read(row: Row, events: int, newest: int | None, end_ms: int) -> Row:
    """Return a row after a page.

    Args:
        row: With the walk after it.
        events: How many the page held.
        newest: Where the log stands behind it, epoch milliseconds.
        end_ms: Behind which nothing has to be read.
    """
    order = order_of(row)
    if order is None:
        return row
    beyond = order.beyond
    if events:
        beyond = beyond + 1 if newest is not None and newest > end_ms else 0
    return with_order(row, msgspec.structs.replace(order, read=order.read + events, beyond=beyond))


def over(row: Row, now_ms: int) -> Row | None:
    """Return what stays of a row whose walk is over; None for that of any other walk."""
    order = order_of(row)
    return None if order is None else at_rest(msgspec.structs.replace(order, ended_ms=now_ms), row)


def is_behind(row: Row) -> bool:
    """Tell whether a walk over a stream has come behind its end."""
    order = order_of(row)
    return order is not None and order.beyond >= PAGES_BEYOND


_UNKNOWN: frozenset[GapCause] = frozenset({"cursor_lost", *LOST_PAGES, "late", "rate_limited", "key_outage"})
"""Causes of gaps of which the spool does not know the events, so that they are new to it when they are read again."""


def closes(order: Order, gap: Gap, others: Iterable[Order]) -> bool:
    """Tell whether a gap of the source is closed by an order of which all was read.

    A backfill for everyone brings nothing to a sink that lacks what the spool knows, and one for that sink brings it
    only once. What became doubtful after it was asked for it may have passed by then.

    Args:
        order: What was read.
        gap: The gap.
        others: The orders of the source that are on record.
    """
    if not gap.is_open or (gap.lane or "") != order.sink or gap.opened_ms > order.asked_ms:
        return False
    since, until = gap.from_ms, gap.to_ms
    if since is None or until is None or not order.since_ms <= since <= until <= order.until_ms:
        return False
    if not gap.lane or gap.cause in LOST_PAGES:  # of these the ids are forgotten, also those of one sink
        return gap.cause in _UNKNOWN
    # what came to the sink once the gap was open is not what that lacks
    before = [each for each in others if each.sink == order.sink and each.asked_ms < gap.opened_ms]
    return not any(each.since_ms <= until and since <= each.until_ms for each in before)
