"""Take a JSON page apart without touching the bytes of its events.

The fast way hands out slices of the answer (`msgspec.Raw`). One event that a strict decoder refuses (a lone surrogate,
bad UTF-8, `NaN`) makes it refuse the whole page: then the page is walked with the standard library's lenient scanner,
whose offsets cut the original bytes; what is nested too deeply even for that is measured by its brackets. What is wrong
with that one event is told later, by the lanes that need it. A page that is cut is never taken for a shorter one.
"""

from __future__ import annotations

import json
import re
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
# Only offsets are wanted: numbers stay unread (an integer of 5000 digits is an error to int), control characters pass.
_scanner = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)
# Bad UTF-8 in a text that is wanted is no DecodeError of msgspec but Python's own, a ValueError.
_REFUSED = (msgspec.DecodeError, ValueError, RecursionError)
_SPACE = " \t\n\r"
_BOM = b"\xef\xbb\xbf"
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)


def open_page(body: bytes) -> tuple[list[bytes], str | None, str | None]:
    """Return (events, meta.next, links.next) of an answer.

    Raises Retryable (`not_json`) when it is not the JSON object we asked for: a cut body, HTML, an error page.
    """
    try:
        page = _envelope.decode(body)
    except _REFUSED:
        return _open_page_leniently(body)
    following, link = page.meta.next if page.meta else None, page.links.next if page.links else None
    return [bytes(raw) for raw in page.data], following, link


def _open_page_leniently(body: bytes) -> tuple[list[bytes], str | None, str | None]:
    # surrogateescape turns bad bytes into text and, on the way back, into the same bytes
    text = body.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    try:
        members = dict(_members(text, _skip(text, 0)))
        spans = _elements(text, members["data"][0])
        following, link = _next_of(members.get("meta")), _next_of(members.get("links"))
    except (ValueError, KeyError, IndexError) as error:
        raise Retryable(
            "the answer is not a page of events: it was cut, or something else answered", kind="not_json"
        ) from error
    return [text[start:end].encode("utf-8", "surrogateescape") for start, end in spans], following, link


def _next_of(member: tuple[int, Any] | None) -> str | None:
    """Return the cursor. Raises ValueError when its text is damaged: it could be neither stored nor sent."""
    value = member[1].get("next") if member and isinstance(member[1], dict) else None
    if not isinstance(value, str):
        return None
    value.encode()
    return value


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _value(text: str, at: int) -> tuple[Any, int]:
    """Return (value, end) of what begins at `at`; of a value nested too deeply to be read, (None, end)."""
    try:
        value, end = _scanner.raw_decode(text, at)
    except RecursionError:
        return None, _end_by_brackets(text, at)
    return value, end


def _end_by_brackets(text: str, at: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(text, at):
        first = token[0][0]
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        elif len(token[0]) == 1:
            break  # a string without an end
        if depth <= 0:
            return token.end()
    raise ValueError


def _members(text: str, at: int) -> list[tuple[str, tuple[int, Any]]]:
    """Return (name, (offset of the value, value)) of each member of the object at `at`, which must be all there is."""
    found: list[tuple[str, tuple[int, Any]]] = []
    if text[at] != "{":
        raise ValueError
    at = _skip(text, at + 1)
    while text[at] != "}":
        if text[at] != '"':
            raise ValueError
        name, at = _scanner.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError
        start = _skip(text, at + 1)
        value, end = _value(text, start)
        found.append((name, (start, value)))
        at = _after_comma(text, _skip(text, end), "}")
    if text[at + 1 :].strip(_SPACE):
        raise ValueError
    return found


def _elements(text: str, at: int) -> list[tuple[int, int]]:
    """Return (start, end) of each element of the array at `at`."""
    spans: list[tuple[int, int]] = []
    if text[at] != "[":
        raise ValueError
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = _value(text, at)
        spans.append((at, end))
        at = _after_comma(text, _skip(text, end), "]")
    return spans


def _after_comma(text: str, at: int, closing: str) -> int:
    if text[at] == ",":
        at = _skip(text, at + 1)
        if text[at] == closing:
            raise ValueError
        return at
    if text[at] != closing:
        raise ValueError
    return at


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
    except _REFUSED:
        return [_head_leniently(body) for body in bodies]


def _head_leniently(body: bytes) -> Head:
    try:
        return _heads.decode(body)
    except _REFUSED:
        pass
    try:
        event, _ = _scanner.raw_decode(body.decode("utf-8", "surrogateescape"))
    except _REFUSED:
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
