"""What follows from an event as a whole, whatever feed it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.normalize.clean_up import DELETES, explain
from forwarder.normalize.related import LINKED, related_of

if TYPE_CHECKING:
    from forwarder.contracts import AuditEvent


CONCLUDED = DELETES.union(*LINKED.values())
"""Acts after which anything follows: reading is most of what happens, and the call for it would cost more than it."""

_linked = LINKED.get


def conclude(event: AuditEvent) -> AuditEvent:
    """Return an event with the id that it shares with those of other feeds, and marked where a job did it."""
    act = event.act
    acts = _linked(event.object)
    if acts is not None and act in acts:
        event.related = related_of(event)
    if act in DELETES:
        explain(event)
    return event
