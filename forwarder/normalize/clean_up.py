"""Deletions by a job of the product itself: blank drafts, in bulk, by nobody, without a title and from nowhere.

They look like an attack, and Atlassian says they are none ("The organization's audit log displays anonymous users
deleting pages"). Whoever deletes a page by hand has an address, and the page a title or a space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forwarder.contracts import AuditEvent

CLEAN_UP = "clean_up"
"""The mark of such an event."""

SEVERITY = 1

DRAFTS = frozenset({"page", "blog", "draft", "live_doc", "whiteboard", "content"})


DELETES = frozenset({"delete", "remove"})
_NOBODY = frozenset({"anonymous", "system"})


def is_clean_up(event: AuditEvent) -> bool:
    """Say whether a deletion is one by a job, as far as an event says who, what and from where."""
    if event.act not in DELETES or event.object not in DRAFTS:
        return False
    if event.ip is not None or event.source_address is not None or event.space is not None:
        return False
    if event.actor is not None and event.actor.kind not in _NOBODY:
        return False
    content = event.content
    return content is None or not (content.name or content.key or content.url)


def explain(event: AuditEvent) -> None:
    """Mark a deletion by a job, which is nothing to be alarmed about."""
    if is_clean_up(event):
        event.marks = event.marks if CLEAN_UP in event.marks else (*event.marks, CLEAN_UP)
        event.severity = SEVERITY
