"""What follows from an event as a whole, whatever feed it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.normalize.clean_up import DELETES, explain
from forwarder.normalize.related import LINKED, link

if TYPE_CHECKING:
    from forwarder.contracts import AuditEvent


def conclude(event: AuditEvent) -> AuditEvent:
    """Return an event with the id that it shares with those of other feeds, and marked where a job did it."""
    if event.object in LINKED:
        link(event)
    if event.act in DELETES:
        explain(event)
    return event
