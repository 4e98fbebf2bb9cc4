"""How far a source was read again: its cursor `reconcile` holds how far each pass came. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

RECONCILE = "reconcile"
"""Name of the cursor."""

_DAY_MS = 86_400_000


class Passes(msgspec.Struct, frozen=True):
    """The passes of one source.

    Attributes:
        begun_ms: What lies before is not read again; epoch milliseconds.
        reached_ms: For each pass, the soonest first: everything before that moment was read again by it.
    """

    begun_ms: int
    reached_ms: list[int]

    def over(self, day: str) -> list[str] | None:
        """Return the passes that read a whole day again, by their number from 1.

        None for a day that is not read again, because it had begun before that did, or is not known.
        """
        try:
            begin = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
        except ValueError:
            return None
        if begin < self.begun_ms:
            return None
        return [str(number) for number, to in enumerate(self.reached_ms, 1) if to >= begin + _DAY_MS]

    @property
    def closed_ms(self) -> int | None:
        """Return before when everything was read again at least once; None when nothing was."""
        return max((to for to in self.reached_ms if to > self.begun_ms), default=None)


def passes_of(state: Mapping[str, Any]) -> Passes | None:
    """Return the passes of a cursor's state; None when it is not understood."""
    try:
        return Passes(int(state["begun"]), [int(each["to"]) for each in state["passes"]])
    except (LookupError, TypeError, ValueError):
        return None
