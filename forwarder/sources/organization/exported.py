"""Rows of the table that administrators export from the page of the audit log.

A row has no id, and is no event of the API: it is made one of the same shape, whose id says where it comes from, with
the whole row in it. What a row does not say is left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from forwarder.contracts import AuditEvent, Normalizer, Origin, Record
from forwarder.contracts.export import SeenEvent
from forwarder.sources.organization.heads import heads_of

if TYPE_CHECKING:
    from forwarder.contracts.export import ExportedRow

MEMBER = "audit_forwarder_import"
"""Member of an event that was made of a row: `{"file", "line", "row": [[column, text], …]}`."""

ID = "import-"
"""Ids of such events begin so."""

_LONGEST_WORDS = 300


def event_of(row: ExportedRow) -> bytes:
    """Return the event that a row stands for."""
    ident, name, email = row.actor
    actor = {key: value for key, value in (("id", ident), ("name", name), ("email", email)) if value}
    attributes: dict[str, Any] = {"time": _iso(row.time_ms), "action": row.action}
    if actor:
        attributes["actor"] = actor
    if row.ip:
        attributes["location"] = {"ip": row.ip}
    event: dict[str, Any] = {"id": _id(row), "type": "events", "attributes": attributes}
    if row.message:
        event["message"] = {"content": row.message, "format": "simple"}
    event[MEMBER] = {"file": row.file, "line": row.line, "row": row.cells}
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")


def seen_in(
    normalizer: Normalizer, origin: Origin, bodies: Sequence[bytes], minutes: Collection[str]
) -> list[SeenEvent]:
    """Return what events say that happened in these minutes."""
    heads = heads_of(bodies)
    records = [
        Record(0, origin, "", body)
        for body, head in zip(bodies, heads, strict=True)
        if head.attributes is not None and (head.attributes.time or "")[:16] in minutes
    ]
    return [_seen(event) for event in normalizer.normalize(records) if isinstance(event, AuditEvent)]


def _seen(event: AuditEvent) -> SeenEvent:
    who = event.actor
    actor = (who.id or "", who.name or "", who.address or "") if who is not None else ("", "", "")
    words = (event.action, event.action_name or "", event.message or "")
    return SeenEvent(event.time_ms, actor, tuple(text[:_LONGEST_WORDS] for text in words))


def _id(row: ExportedRow) -> str:
    said = json.dumps([row.time_ms, row.cells]).encode()
    return f"{ID}{blake2b(said, digest_size=16).hexdigest()}-{row.copy}"


def _iso(time_ms: int) -> str:
    seconds, thousandths = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{thousandths:03d}Z"
