"""Whether a cursor is to blame for failing requests: the same is refused with it, and without it answered, again."""

from __future__ import annotations

from forwarder.contracts import CursorLost, ErrorKind, Held, Retryable
from forwarder.polling import progress
from forwarder.polling.asking import Asker
from forwarder.polling.handover import HandOver
from forwarder.polling.tips import Tips

_DOUBTED_AFTER: dict[ErrorKind, int] = {
    "bad_request": 2,
    "unexpected_status": 2,
    "not_found": 2,
    "forbidden": 2,
    "auth": 2,
    "redirect": 2,
    "login_page": 2,
    "other": 2,
    "timeout": 3,
    "server_error": 5,
    "reset": 5,
    "truncated": 5,
    "not_json": 5,
    "connection": 5,
    "rate_limited": 10,
}
"""So many failures of one request in a row, and its cursor may be to blame: the same is then asked without it. What is
not here says nothing of a cursor."""

_DOUBTED_AGAIN = 4
"""A cursor that was not to blame is doubted again after so many times as many failures."""

_ORDER = (False, False, True, False, True)
"""Requests without and with a cursor that is doubted. A fault that comes and goes, also one that meets every second or
third request, does not refuse just those with the cursor in this order."""


def is_due(kind: ErrorKind, failures: int, *, lost_before: bool) -> bool:
    """Tell whether it is time to find out.

    Args:
        kind: Of the last failure.
        failures: Of the same request in a row, the last one included.
        lost_before: The cursor before this one was lost as well, and nothing was of use since.
    """
    after = _DOUBTED_AFTER.get(kind)
    if after is None:
        return False
    return lost_before or failures == after or failures % (after * _DOUBTED_AGAIN) == 0


class Trial:
    """Finds out what is to blame.

    Args:
        asker: Who asks.
        tips: What makes sure of an empty answer.
        store: What makes the state of a walk without a cursor.
    """

    def __init__(self, asker: Asker, tips: Tips, store: HandOver) -> None:
        self._asker = asker
        self._tips = tips
        self._store = store

    async def convicts(self, name: str, row: progress.Progress) -> bool:
        """Tell whether the cursor of a walk is to blame, by five requests at most."""
        async with self._asker.alone():
            return await self._refuses_only_the_cursor(name, row)

    async def _refuses_only_the_cursor(self, name: str, row: progress.Progress) -> bool:
        without = self._store.walk_at(name, row["high"])
        for has_cursor in _ORDER:
            try:
                page = await self._asker.ask(name, row["walk"] if has_cursor else without)
                if page is None:
                    return False
                if has_cursor:
                    await self._tips.sure(name, row, page)
            except (Retryable, Held, CursorLost):
                if not has_cursor:
                    return False
            else:
                if has_cursor:
                    return False
        return True
