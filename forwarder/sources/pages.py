"""Take a JSON page apart without touching the bytes of its events.

The fast way hands out slices of the answer (`msgspec.Raw`). One event that a strict decoder refuses (a lone surrogate,
bad UTF-8, `NaN`) makes it refuse the whole page: then the page is walked with the standard library's lenient scanner,
whose offsets cut the original bytes. What is wrong with that one event is told later, by the lanes that need it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from forwarder.contracts import Retryable


class Meta(msgspec.Struct):
    """Where the feed goes on; every member may be missing."""

    next: str | None = None


class Links(msgspec.Struct):
    """The same as URLs."""

    next: str | None = None


class Envelope(msgspec.Struct):
    """A page of the organization feeds; `data` stays bytes."""

    data: list[msgspec.Raw]
    meta: Meta | None = None
    links: Links | None = None


_envelope = msgspec.json.Decoder(Envelope)
_scanner = json.JSONDecoder()
_SPACE = " \t\n\r"


def open_page(body: bytes) -> tuple[list[bytes], str | None, str | None]:
    """Return (events, meta.next, links.next) of an answer.

    Raises Retryable (`not_json`) when it is not the JSON object we asked for: a cut body, HTML, an error page.
    """
    try:
        page = _envelope.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _open_page_leniently(body)
    following, link = page.meta.next if page.meta else None, page.links.next if page.links else None
    return [bytes(raw) for raw in page.data], following, link


def _open_page_leniently(body: bytes) -> tuple[list[bytes], str | None, str | None]:
    # surrogateescape turns bad bytes into text and, on the way back, into the same bytes
    text = body.decode("utf-8", "surrogateescape")
    try:
        members = dict(_members(text, _skip(text, 0)))
        spans = _elements(text, members["data"][0])
    except (ValueError, KeyError, IndexError, RecursionError) as error:
        raise Retryable(
            "the answer is not a page of events: it was cut, or something else answered", kind="not_json"
        ) from error
    events = [text[start:end].encode("utf-8", "surrogateescape") for start, end in spans]
    return events, _next_of(members.get("meta")), _next_of(members.get("links"))


def _next_of(member: tuple[int, Any] | None) -> str | None:
    value = member[1].get("next") if member and isinstance(member[1], dict) else None
    return value if isinstance(value, str) else None


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _members(text: str, at: int) -> list[tuple[str, tuple[int, Any]]]:
    """Return (name, (offset of the value, value)) of each member of the object at `at`."""
    found: list[tuple[str, tuple[int, Any]]] = []
    if text[at] != "{":
        raise ValueError
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, at = _scanner.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError
        start = _skip(text, at + 1)
        value, at = _scanner.raw_decode(text, start)
        found.append((name, (start, value)))
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _elements(text: str, at: int) -> list[tuple[int, int]]:
    """Return (start, end) of each element of the array at `at`."""
    spans: list[tuple[int, int]] = []
    if text[at] != "[":
        raise ValueError
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = _scanner.raw_decode(text, at)
        spans.append((at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return spans


class HeadAttributes(msgspec.Struct, gc=False):
    """The two times of an event, as text."""

    time: str | None = None
    processedAt: str | None = None  # noqa: N815 -- the API's name


class Head(msgspec.Struct, gc=False):
    """What a poller needs to know of an event."""

    id: str | None = None
    attributes: HeadAttributes | None = None


_heads = msgspec.json.Decoder(Head)


def heads_of(bodies: Sequence[bytes]) -> list[Head]:
    """Return the head of each event; what cannot be read is absent, never an error."""
    decode = _heads.decode
    try:
        return [decode(body) for body in bodies]
    except (msgspec.DecodeError, RecursionError):
        return [_head_leniently(body) for body in bodies]


def _head_leniently(body: bytes) -> Head:
    try:
        return _heads.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        event = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return Head()
    if not isinstance(event, dict):
        return Head()
    attributes = event.get("attributes")
    times = attributes if isinstance(attributes, dict) else {}
    return Head(_text(event.get("id")), HeadAttributes(_text(times.get("time")), _text(times.get("processedAt"))))


def _text(value: Any) -> str | None:
    """Return a text that can be hashed as UTF-8, or None."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
