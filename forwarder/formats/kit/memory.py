"""What a format keeps of events it has written: bounded, since what is remembered comes from outside.

Much of an event is the same in thousands of others: what its action always says, its place, its site. A format writes
such a part once and looks it up from then on, by everything the part is made of. So a lookup can never be stale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts import AuditEvent

REMEMBERED = 4096
FEW = 16
"""Enough for what changes with every page, such as the moment it was read."""

LONGEST_REMEMBERED = 512
"""Characters of what a part is looked up by. What is written of it is longer by its names only."""

_K = TypeVar("_K", bound="str | int | tuple[object, ...]")
_V = TypeVar("_V")


class Memory(dict[_K, _V]):
    """What was written, by what it was made of: `memory[key]` writes what is not there.

    Args:
        write: Makes the value of a key, and of nothing else.
        most: Keys to keep; a full memory is emptied first.
    """

    def __init__(self, write: Callable[[_K], _V], most: int = REMEMBERED) -> None:
        super().__init__()
        self._write, self._most = write, most

    def __missing__(self, key: _K) -> _V:
        value = self._write(key)
        parts = key if isinstance(key, tuple) else (key,)
        if sum(len(part) for part in parts if isinstance(part, str)) <= LONGEST_REMEMBERED:
            if len(self) >= self._most:
                self.clear()
            self[key] = value
        return value


class ActionFields(NamedTuple):
    """What an action says whoever does it, wherever and whenever: the fields of the event that its meaning decides."""

    action: str
    product: str | None
    action_name: str | None
    act: str | None
    object: str | None
    layer: str
    category: tuple[str, ...]
    types: tuple[str, ...]
    outcome: str
    reason: str | None
    severity: int
    feed: str


def action_facts(fields: ActionFields) -> dict[str, str | None]:
    """Return what an action always says as texts by the names of facts; an unknown outcome is absent."""
    return {
        "action": fields.action,
        "outcome": fields.outcome if fields.outcome != "unknown" else None,
        "reason": fields.reason,
        "severity": str(fields.severity),
        "category": ",".join(fields.category),
        "type": ",".join(fields.types),
        "product": fields.product,
        "act": fields.act,
        "object": fields.object,
        "layer": fields.layer,
        "feed": fields.feed,
        "action_name": fields.action_name,
    }


class Actions(Generic[_V]):
    """What was written of actions.

    Args:
        write: Makes it, of nothing but what an action always says.
    """

    def __init__(self, write: Callable[[ActionFields], _V]) -> None:
        self.known: Memory[tuple[object, ...], _V] = Memory(lambda key: write(ActionFields._make(key)))

    def of(self, event: AuditEvent) -> _V:
        """Return what is written of the action of an event."""
        return self.known[
            (  # a plain tuple: to make a named one costs more than all the rest
                event.action,
                event.product,
                event.action_name,
                event.act,
                event.object,
                event.layer,
                event.category,
                event.types,
                event.outcome,
                event.reason,
                event.severity,
                event.feed,
            )
        ]
