"""Events of our own: heartbeats, which say that all is well where nothing else comes, and the test events of people.

They go the way of every event, so that a receiver can raise an alarm on the absence of heartbeats: something on the way
is broken. What they say is in `context` in every format, and in `raw`.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from forwarder.contracts import AuditEvent, Page, Thing, UnexpectedPayload
from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.contracts.identity import EventKeys, content_digests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.contracts import Record

COUNTED = ("spooled", "accepted", "rejected", "filtered", "detached")
"""What is counted since the last heartbeat, by the books; `waiting` is what waits now."""


class Heartbeat(msgspec.Struct, omit_defaults=True, tag_field="type", tag="heartbeat"):
    """One heartbeat as it is spooled: JSON with these members, and `type`, which no event of an audit log has so.

    Attributes:
        id: Of this one.
        time: When it was made, ISO 8601.
        audit_source, audit_sink: Of which source, to which sink.
        state: What the source says of itself: `idle`, `working`, `retrying` …
        every_seconds: When the next one is expected.
        since: When the one before was made, ISO 8601; None for the first one.
        events: What the books counted since then, or since the sink began.
        waiting: Events of the source that wait for the sink.
        newest_event: Time of the newest event that was seen of the source, if any.
        last_good_poll: When the source last answered well, if ever.
        archive_heads: The SHA-256 of the newest digest of each archive, by its sink. Whoever writes to an archive can
            cut off its end, and cannot take back what others were sent.
    """

    id: str
    time: str
    audit_source: str
    audit_sink: str
    state: str
    every_seconds: float
    since: str | None
    events: dict[str, int]
    waiting: int = 0
    newest_event: str | None = None
    last_good_poll: str | None = None
    archive_heads: dict[str, str] = {}


class TrialEvent(msgspec.Struct, tag_field="type", tag="test_event"):
    """A test event as it is spooled: somebody wants to see whether events come to a sink.

    Attributes:
        id: Of this one; nothing else in the world has it.
        time: When it was made, ISO 8601.
        audit_source: In whose name it was sent; empty for none.
        audit_sink: To which sink.
        who: Who asked for it.
    """

    id: str
    time: str
    audit_source: str
    audit_sink: str
    who: str


def new_id() -> str:
    """Return an id that no other event of our own has, of this installation or another."""
    return uuid.uuid4().hex


def page_of(beats: Sequence[Heartbeat | TrialEvent]) -> Page:
    """Return the page of events of our own for one sink."""
    keys = EventKeys(HEARTBEATS.feed, HEARTBEATS.scope)
    bodies = [msgspec.json.encode(beat) for beat in beats]
    return Page(
        bodies=bodies,
        keys=[keys.key(beat.id) for beat in beats],
        digests=content_digests(bodies),
        minutes=[beat.time[:16] for beat in beats],
        next={},
    )


class HeartbeatNormalizer:
    """Gives events of our own their meaning: information on a host that runs, of no person and no product."""

    def __init__(self) -> None:
        self._read = msgspec.json.Decoder(Heartbeat | TrialEvent)

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order."""
        return [self._event(record) for record in records]

    def _event(self, record: Record) -> AuditEvent | UnexpectedPayload:
        try:
            beat = self._read.decode(record.raw)
            moment = datetime.fromisoformat(beat.time)
        except (msgspec.DecodeError, ValueError) as error:
            return UnexpectedPayload(f"not a heartbeat: {type(error).__name__}")
        own = _said_by(beat)
        return AuditEvent(
            document_id=record.id,
            feed=record.origin.feed,
            organization=record.origin.organization,
            action=own.action,
            time_ms=int(moment.timestamp() * 1000),
            read_ms=record.read_ms,
            event_id=beat.id,
            product="audit-forwarder",
            action_name=own.name,
            act="report",
            object=own.action,
            layer="attested",
            category=("host",),
            types=("info",),
            outcome="success",
            content=Thing("source", beat.audit_source, None, beat.audit_source) if beat.audit_source else None,
            space=Thing("sink", beat.audit_sink, None, beat.audit_sink),
            message=own.message,
            marks=record.marks,
            time_text=beat.time,
            context=msgspec.Raw(msgspec.json.encode(own.facts)),
        )


class _Own(NamedTuple):
    action: str
    name: str
    message: str
    facts: Mapping[str, Any]


def _said_by(event: Heartbeat | TrialEvent) -> _Own:
    if isinstance(event, TrialEvent):
        message = f"test event {event.id} for sink {event.audit_sink}, sent by {event.who}: nothing happened"
        facts = {"audit_source": event.audit_source, "audit_sink": event.audit_sink, "who": event.who}
        return _Own("test_event", "Test event", message, facts)
    counts = ", ".join(f"{name} {event.events.get(name, 0)}" for name in COUNTED)
    message = (
        f"source {event.audit_source} is {event.state}; sink {event.audit_sink} since {event.since or 'it began'}: "
        f"{counts}; waiting {event.waiting}"
    )
    return _Own("heartbeat", "Heartbeat", message, _facts(event))


def _facts(beat: Heartbeat) -> Mapping[str, Any]:
    return {
        "audit_source": beat.audit_source,
        "audit_sink": beat.audit_sink,
        "state": beat.state,
        "every_seconds": beat.every_seconds,
        "since": beat.since,
        **beat.events,
        "waiting": beat.waiting,
        "newest_event": beat.newest_event,
        "last_good_poll": beat.last_good_poll,
        **({"archive_heads": beat.archive_heads} if beat.archive_heads else {}),
    }
