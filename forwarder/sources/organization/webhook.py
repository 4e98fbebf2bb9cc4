"""Events of the organization's audit log that its webhook sends ahead of the stream.

The stream proves that nothing is missing; the webhook only comes sooner. So what cannot be read here is not kept: the
stream brings it. The payload has the fields of the Events API and not its bytes, in no order, and the same id may come
twice (support.atlassian.com, "Learn more about audit log webhooks").
"""

from __future__ import annotations

from functools import partial

import msgspec

from forwarder.contracts import Page, Received
from forwarder.contracts.identity import EventKeys, pushed_digests
from forwarder.net.json_size import UNREADABLE
from forwarder.normalize.times import TimeReader
from forwarder.sources.organization.heads import heads_of
from forwarder.sources.pushes import BOM, members_of, read_body


class _Envelope(msgspec.Struct, gc=False):
    """A body that holds its events as the API does."""

    id: msgspec.Raw = msgspec.Raw()
    attributes: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)


class Pushes:
    """Reads the bodies of the webhook of one organization.

    Args:
        keys: Of its feed.
    """

    def __init__(self, keys: EventKeys) -> None:
        self._keys = keys
        self._times = TimeReader()

    def read(self, body: bytes) -> Received:
        """Return the events of a body. They are known to the stream by their ids, whatever their bytes."""
        found = read_body(_without_envelope(body), partial(_why_no_event, times=self._times))
        bodies = [event for event, reason in found if not reason]
        reasons = [reason for _, reason in found if reason]
        heads = heads_of(bodies)
        times = [(head.attributes.time or "") if head.attributes else "" for head in heads]
        processed = [(head.attributes.processedAt or "") if head.attributes else "" for head in heads]
        page = Page(
            bodies=bodies,
            keys=self._keys.keys(head.id or "" for head in heads),
            digests=pushed_digests(bodies),
            minutes=[time[:16] if time[10:11] == "T" else "" for time in times],
            next={},
            newest=self._times.read(max(processed, default="") or max(times, default="")),
        )
        return Received(page, len(reasons), reasons[0] if reasons else "", events=len(bodies))


def _without_envelope(body: bytes) -> bytes:
    try:
        found = _envelope.decode(body.removeprefix(BOM))
    except UNREADABLE:
        return body
    if bytes(found.data)[:1] in {b"[", b"{"} and not bytes(found.id) and not bytes(found.attributes):
        return bytes(found.data)
    return body


def _why_no_event(event: bytes, times: TimeReader) -> str | None:
    """Say why a part of a body is not a whole event: one that is taken stands for what the stream gives of its id."""
    members = members_of(event)
    if members is None:
        return "it is not a sound JSON object"
    ident, attributes = members.get("id"), members.get("attributes")
    if not (isinstance(ident, str) and ident and isinstance(attributes, dict)):
        return "it is not an event of the audit log: it has no id, or no attributes"
    time, action = attributes.get("time"), attributes.get("action")
    if not (isinstance(time, str) and time[10:11] == "T" and times.read(time) is not None):
        return "it is not a whole event: it has no time"
    if not (isinstance(action, str) and action):
        return "it is not a whole event: it has no action"
    return None
