"""How far a source was read again: its cursor `reconcile` holds how far each pass came. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAY_MS = 86_400_000


class Passes(msgspec.Struct, frozen=True):
    """The passes of one source.

    Attributes:
        begun_ms: What lies before is not read again; epoch milliseconds.
        reached_ms: For each pass, the soonest first: everything before that moment was read again by it.
        last_ms: How long after a window the last pass is to read it; None when nothing is read again any more.
    """

    begun_ms: int
    reached_ms: list[int]
    last_ms: int | None = 7 * _DAY_MS

    def over(self, day: str) -> list[str] | None:
        """Return the passes that read a whole day again, by their number from 1.

        None for a day that is not read again, because it had begun before that did, is not known, or had not been read
        again when that ended.
        """
        begin = _begin_ms(day)
        if begin is None or begin < self.begun_ms:
            return None
        over = [str(number) for number, to in enumerate(self.reached_ms, 1) if to >= begin + _DAY_MS]
        return None if self.last_ms is None and not over else over

    def late_ms(self, day: str) -> int:
        """Return when a day that no pass has read is long overdue: a day after the last was to; epoch milliseconds."""
        return (_begin_ms(day) or 0) + 2 * _DAY_MS + (self.last_ms or 0)

    @property
    def closed_ms(self) -> int | None:
        """Return before when everything was read again at least once; None when nothing was."""
        return max((to for to in self.reached_ms if to > self.begun_ms), default=None)


def _begin_ms(day: str) -> int | None:
    try:
        return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def passes_of(state: Mapping[str, Any]) -> Passes | None:
    """Return the passes of a cursor's state; None when it is not understood."""
    try:
        return Passes(int(state["begun"]), [int(each["to"]) for each in state["passes"]])
    except (LookupError, TypeError, ValueError):
        return None
