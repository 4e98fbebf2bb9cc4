"""What is said of a cursor that does not do well: the state, reason and fix that the status shows."""

from __future__ import annotations

from typing import Literal

import msgspec

from forwarder.contracts import Held, Page, Retryable
from forwarder.contracts.errors import fix_of
from forwarder.contracts.moments import iso_ms
from forwarder.polling.plan import Course
from forwarder.polling.recurrence import SURE

OF_A_PLACE = frozenset({"too_large", "too_many_events", "no_cursor"})
"""Kinds that hold a walk at one place for good, while others can be read: live events must not wait there."""

_NO_CURSOR = "no cursor that the API gives can be used, so it is read on by time"
_NO_CURSOR_FIX = (
    "Nothing has to be done while events arrive; report it, for the API, or a proxy before it, has changed. Events "
    "that become known late may come later than usual."
)
_LOOP = "the API gives the same cursor with the same events again"
UNKNOWN = "the API gives cursors and does not know them when they are used"
RECURS = "the API gives events that this walk has read already, again and again under new cursors"


class Complaint(msgspec.Struct, frozen=True):
    """One complaint; `kind` is the label under which it is counted, or empty."""

    state: Literal["retrying", "held"]
    reason: str
    fix: str = ""
    kind: str = ""


def of_page(page: Page, course: Course) -> Complaint | None:
    """Return what is wrong with a cursor that answered, or None."""
    if page.trouble is not None or page.looping:
        trouble = page.trouble or Retryable(_LOOP, kind="loop")
        return Complaint("retrying", str(trouble), trouble.fix, trouble.kind)
    if page.by_time and course.distrusts:
        return Complaint("retrying", f"{course.distrusts}, so it is read on by time", _NO_CURSOR_FIX)
    if page.by_time:
        return Complaint("retrying", _NO_CURSOR, _NO_CURSOR_FIX, "no_cursor")
    if course.recurrence.hits >= SURE:
        return Complaint("retrying", RECURS, fix_of("no_progress"), "no_progress")
    if course.losses.failures > 1:
        return Complaint("retrying", UNKNOWN, fix_of("no_cursor"))
    return None


def of_error(error: Retryable | Held, high_ms: int) -> Complaint:
    """Return what is said of a failed request; `high_ms` is how far the walk came, epoch milliseconds."""
    if not isinstance(error, Held):
        return Complaint("retrying", str(error), error.fix, error.kind)
    reason = error.reason
    if error.kind in OF_A_PLACE:
        reason += f" It is read up to {_utc(high_ms)}."
    return Complaint("held", reason, error.fix, error.kind)


def _utc(at_ms: int) -> str:
    """Return ISO 8601, or the number for a moment that no calendar holds."""
    return iso_ms(at_ms, "milliseconds") or f"{at_ms} ms"
