"""The marks of an event that is not as documented, and the moment that stands for a time that is useless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.normalize.times import names_zone
from forwarder.sources.organization.facts import NO_RARE

if TYPE_CHECKING:
    from forwarder.sources.organization.facts import Facts


def marks_of(
    marks: tuple[str, ...],
    texts: tuple[str | None, str, str],
    time_ms: int | None,
    processed_ms: int | None,
    context: Facts,
    container: Facts,
) -> tuple[str, ...]:
    """Return the marks of an event that is not as documented; `texts` are its id, its action and its time."""
    ident, action, when = texts
    here, there = context.rare or NO_RARE, container.rare or NO_RARE
    useless = time_ms is None or time_ms < 0
    processed = processed_ms is not None and processed_ms >= 0
    found = {
        "derived_id": not ident,
        "action_missing": not action,
        "time_missing": not when,
        "time_unreadable": bool(when) and time_ms is None,
        "time_before_1970": time_ms is not None and time_ms < 0,
        "time_of_processing": useless and processed,
        "time_of_reading": useless and not processed,
        "zone_assumed": time_ms is not None and not names_zone(when),
        "odd_shape": here.odd or there.odd,
        "refitted": here.refitted or there.refitted,
        "truncated": here.cut or there.cut,
    }
    return (*marks, *(mark for mark, holds in found.items() if holds and mark not in marks))


def usable_time(time_ms: int | None, processed_ms: int | None, read_ms: int) -> int:
    """Return when it happened, or the next best moment: nothing was recorded before 1970, and receivers refuse it."""
    if time_ms is not None and time_ms >= 0:
        return time_ms
    return read_ms if processed_ms is None or processed_ms < 0 else processed_ms
