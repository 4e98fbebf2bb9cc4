"""What is remembered of single places of the stream, in memory only: how much to ask for, and what came there last.

Less is asked for where an answer was too much, and more again afterwards. A place that gives the same events again and
again without a cursor looks like the tip, and may be a server with a smaller limit of its own: it is doubted at times.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import Held, Retryable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.contracts import CursorState, ErrorKind

_LEAST: dict[ErrorKind, int] = {
    "too_large": 1,
    "too_many_events": 1,
    "timeout": 5,
    "truncated": 5,
    "not_json": 5,
    "server_error": 25,
}
"""Failures that a smaller page may avoid, and the smallest page to try."""

_FIXES: dict[ErrorKind, str] = {
    "too_large": "Raise http.max_response of this source; until then what follows that event waits.",
    "too_many_events": "Report it: the API, or something before it, does not keep to the limit; what follows waits.",
}
"""What is beyond the smallest page even: asked for at once, and then a place that cannot be passed."""

_MOST_PLACES = 64
"""More walks than this are never at work."""

_MOST_PATIENCE = 16

_LEAST_DOUBTED = 10
"""Events of a page below which no server cuts its pages."""

_DOUBTED_AT, _DOUBTED_EVERY = 2, 10
"""At which repeat, and at every which further one, a tip is doubted."""

Place = tuple[str, int]


class Repeats:
    """Counts how often a place gave the same events in a row."""

    def __init__(self) -> None:
        self._places: dict[Place, tuple[int, int]] = {}

    def doubts(self, state: CursorState, digests: Sequence[bytes]) -> bool:
        """Count an answer without a cursor; return True when it should be made sure that nothing follows."""
        place, found = _place(state), hash(tuple(digests))
        before, count = self._places.pop(place, (found, 0))
        count = count + 1 if before == found else 1
        self._places[place] = (found, count)
        _bound(self._places)
        return len(digests) >= _LEAST_DOUBTED and (count == _DOUBTED_AT or count % _DOUBTED_EVERY == 0)


class _Reduced(msgspec.Struct, frozen=True):
    """A limit below the usual one, the good pages until it is doubled, and how many of these the last doubling took."""

    limit: int
    left: int
    patience: int


class Limits:
    """The limits of one source.

    Args:
        most: Events to ask for where nothing is in the way.

    Attributes:
        cap: Events at which the server was seen to cut its pages without a word; infinite while it was not.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.cap = math.inf
        self._places: dict[Place, _Reduced] = {}

    def at(self, state: CursorState) -> int:
        """Return how many events to ask for."""
        found = self._places.get(_place(state))
        return self.most if found is None else min(found.limit, self.most)

    def cut_at(self, events: int) -> None:
        """Ask for as many as the server gives, so that a page it cut is full, and is not taken for the tip again."""
        self.cap = self.most = events

    def passed(self, state: CursorState, following: CursorState) -> None:
        """Note a page that came: after some of them twice as much is asked for, sooner each time that goes well."""
        found = self._places.pop(_place(state), None)
        if found is None:
            return
        if found.left > 1:
            found = _Reduced(found.limit, found.left - 1, found.patience)
        else:
            patience = max(found.patience // 2, 1)
            found = _Reduced(2 * found.limit, patience, patience)
        if found.limit < self.most:
            self._keep(following, found)

    def failed(self, state: CursorState, error: Retryable) -> Retryable | Held:
        """Ask for half as many from now on, where that may help; return the error that says so."""
        least, limit = _LEAST.get(error.kind), self.at(state)
        if least is None:
            return error
        if limit > least:
            smaller = max(limit // 2, least)
            found = self._places.get(_place(state))
            patience = 1 if found is None else min(2 * found.patience, _MOST_PATIENCE)
            self._keep(state, _Reduced(smaller, patience, patience))
            return Retryable(
                f"{error}; {smaller} events are asked for next instead of {limit}",
                kind=error.kind,
                retry_after=error.retry_after,
                sent=error.sent,
                fix=error.fix,
                smaller=error.kind in _FIXES,
            )
        if error.kind not in _FIXES:
            return error
        reason = f"{str(error).rstrip('.')}, although only one event was asked for."
        return Held(reason, fix=_FIXES[error.kind], kind=error.kind)

    def _keep(self, state: CursorState, reduced: _Reduced) -> None:
        self._places[_place(state)] = reduced
        _bound(self._places)


def _bound(places: dict[Place, Any]) -> None:
    while len(places) > _MOST_PLACES:
        del places[next(iter(places))]


def _place(state: CursorState) -> Place:
    return str(state.get("cursor") or ""), int(state["from"])
