"""What a poller needs to know of an event in the common event model: its id and its times."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

import msgspec

from forwarder.net.http import UNREADABLE
from forwarder.net.json_size import LONGEST_EVENT, is_beyond_reading
from forwarder.sources.organization.cursors import MEMBERS
from forwarder.sources.pages import PageCutter

PAGES = PageCutter("data", MEMBERS)
"""Pages of the organization's log, and of whatever else has the same events."""

_LONGEST_TEXT = 2**20
"""Bytes of the id of an event that is too much to be read."""

_ABSENT = msgspec.Raw()
# Numbers stay unread (an integer of 5000 digits is an error to int), control characters pass.
_scanner = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)


class HeadAttributes(msgspec.Struct, gc=False):
    """The two times of an event, as text, and its action, as it is written."""

    time: str | None = None
    processedAt: str | None = None  # noqa: N815 -- the API's name
    action: msgspec.Raw = _ABSENT


class Head(msgspec.Struct, gc=False):
    """What a poller needs to know of an event."""

    id: str | None = None
    attributes: HeadAttributes | None = None


_heads = msgspec.json.Decoder(Head)


def heads_of(bodies: Sequence[bytes]) -> list[Head]:
    """Return the head of each event; what cannot be read is absent, never an error."""
    decode = _heads.decode
    try:
        if max(map(len, bodies), default=0) <= LONGEST_EVENT:
            return [decode(body) for body in bodies]
    except UNREADABLE:
        pass
    return [_head_leniently(body) for body in bodies]


def why_no_event(body: bytes) -> str:
    """Say why a JSON object is no event of the common model, of the organization or of a workspace, or nothing."""
    [head] = heads_of([body])
    if head.attributes is None or not (head.attributes.time or head.attributes.processedAt):
        return "it is not an event of the audit log: it has no attributes with a time"
    return ""


def _head_leniently(body: bytes) -> Head:
    if is_beyond_reading(body):
        return _head_of_much(body)
    try:
        return _heads.decode(body)
    except UNREADABLE:
        pass
    try:
        event, _ = _scanner.raw_decode(body.decode("utf-8", "surrogateescape"))
    except UNREADABLE:
        return Head()
    if not isinstance(event, dict):
        return Head()
    attributes = event.get("attributes")
    times = attributes if isinstance(attributes, dict) else {}
    return Head(_text(event.get("id")), HeadAttributes(_text(times.get("time")), _text(times.get("processedAt"))))


class _Bytes(msgspec.Struct, gc=False):
    """A head whose texts are looked at before they are read: one of 30 MB with one emoji takes 120 MB."""

    id: msgspec.Raw = _ABSENT


_bytes_of_head = msgspec.json.Decoder(_Bytes)


def _head_of_much(body: bytes) -> Head:
    """Return the head of an event that is too much to be read: its id, when that can be one."""
    try:
        ident = _bytes_of_head.decode(body).id
        return Head(msgspec.json.decode(ident, type=str)) if len(bytes(ident)) <= _LONGEST_TEXT else Head()
    except UNREADABLE:
        return Head()


_CONTENT = r"(?:issue|work_?item|page|blog|blog_?post|comment|attachment|whiteboard|live_?doc|database|embed|folder)"
_PRODUCT, _ACT = r"(?:jira|confluence)", r"[a-z]+ed"
_USER_ACTIVITY = re.compile(
    rf'"(?:{_PRODUCT}_{_CONTENT}_{_ACT}|{_ACT}_{_PRODUCT}_{_CONTENT}|(?:user_)?(?:{_CONTENT}_viewed|viewed_{_CONTENT}))"'.encode(),
    re.IGNORECASE,
)
"""What people do with content in Jira and Confluence, such as `jira_issue_viewed`, not to administer them."""


_LONGEST_ACTION = 200


def has_user_activity(heads: Sequence[Head], listed: AbstractSet[bytes] = frozenset()) -> bool:
    """Tell whether any of the events is of what people do in a product, and not of its administration.

    Args:
        heads: Of the events.
        listed: Actions, as JSON, that the organization itself lists as user activity.
    """
    actions = {bytes(head.attributes.action) for head in heads if head.attributes is not None}
    if not listed.isdisjoint(actions):
        return True
    return any(len(action) <= _LONGEST_ACTION and _is_user_activity(action) for action in actions)


@lru_cache(maxsize=2048)
def _is_user_activity(action: bytes) -> bool:
    return _USER_ACTIVITY.fullmatch(action) is not None


def _text(value: Any) -> str | None:
    """Return a text that can be hashed as UTF-8, or None."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
