"""Take a JSON page apart without touching the bytes of its events.

The fast way hands out slices of the answer (`msgspec.Raw`). One event that a strict decoder refuses (a lone surrogate,
bad UTF-8, `NaN`) makes it refuse the whole page: then the page is walked with the standard library's lenient scanner,
whose offsets cut the original bytes; what is nested too deeply even for that is measured by its brackets. What is wrong
with that one event is told later, by the lanes that need it. A page that is cut is never taken for a shorter one.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import msgspec

from forwarder.contracts import Retryable
from forwarder.net.http import UNREADABLE
from forwarder.net.json_size import LONGEST_EVENT, is_beyond_reading
from forwarder.sources.organization.cursors import MEMBERS

MOST_EVENTS = 2000
"""Events of one answer; four times the most that is ever asked for. Counted before anything is built: 5 million empty
objects are 15 kB on the wire and would take more than a gigabyte."""

_QUICK = 4 * 2**20
"""Bytes of a page that is taken apart at once."""

_LONGEST_TEXT = 2**20
"""Bytes of a member beside the events, and of the id of an event that is too much to be read."""

_ABSENT = msgspec.Raw()
_Events: Any = msgspec.defstruct(
    "_Events",
    [(f"event{number}", msgspec.Raw, _ABSENT) for number in range(MOST_EVENTS)],
    array_like=True,
    forbid_unknown_fields=True,
    gc=False,
)
"""An array with at most so many elements. A list with a limit of length would be built whole before it is counted."""


_Envelope: Any = msgspec.defstruct(
    "_Envelope", [("data", msgspec.Raw), *((name, msgspec.Raw, _ABSENT) for name in MEMBERS)], gc=False
)
"""A page: its events, and what may say where the feed goes on. All of it stays bytes, also the events: an array is made
only of the last `data`, for each costs 16 µs and a page of 64 MB has room for six million."""

_envelope = msgspec.json.Decoder(_Envelope)
_events = msgspec.json.Decoder(_Events)
# Only offsets are wanted: numbers stay unread (an integer of 5000 digits is an error to int), control characters pass.
_scanner = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)
_SPACES = re.compile(r"[ \t\n\r]*")
_BOM = b"\xef\xbb\xbf"
_BRACKETS = re.compile(r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}]+)', re.DOTALL)
"""The next brackets that stand in no string."""
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class _TooMany(Exception):
    """The answer holds more events than we would ever ask for."""


def open_page(body: bytes) -> tuple[list[bytes], dict[str, bytes]]:
    """Return the events of an answer, and the members that may say where the feed goes on, each as its bytes.

    Raises Retryable: `not_json` when it is not the JSON object we asked for (a cut body, HTML, an error page),
    `too_many_events` when it holds more than `MOST_EVENTS`.
    """
    try:
        page = _envelope.decode(body)
        events = _events.decode(page.data)
    except UNREADABLE:
        return _open_page_leniently(body)
    members = {name: bytes(raw) for name in MEMBERS if 0 < len(raw := getattr(page, name)) <= _LONGEST_TEXT}
    return list(takewhile(bool, map(bytes, msgspec.structs.astuple(events)))), members


async def open_patiently(body: bytes) -> tuple[list[bytes], dict[str, bytes]]:
    """Do what `open_page` does; a large page, which may be made to take seconds, in a thread."""
    return open_page(body) if len(body) <= _QUICK else await asyncio.to_thread(open_page, body)


def _open_page_leniently(body: bytes) -> tuple[list[bytes], dict[str, bytes]]:
    # As Latin-1 every byte is one character of one byte, and on the way back the same byte: all that counts is ASCII.
    walk = _Walk(body.removeprefix(_BOM).decode("latin-1"), measure_only=is_beyond_reading(body))
    try:
        spans, members = walk.page()
    except _TooMany:
        raise Retryable(
            f"the answer holds more than {MOST_EVENTS} events, and at most 500 were asked for", kind="too_many_events"
        ) from None
    except (ValueError, KeyError, IndexError) as error:
        raise Retryable(
            "the answer is not a page of events: it was cut, or something else answered", kind="not_json"
        ) from error
    parts = {name: walk.text[start:end].encode("latin-1") for name, (start, end) in members.items()}
    return [walk.text[start:end].encode("latin-1") for start, end in spans], parts


Span = tuple[int, int]


class _Walk:
    """Goes through a page that the strict decoder refuses. Every method raises ValueError or IndexError for no page.

    Args:
        text: The page as Latin-1.
        measure_only: There is too much in it to read what is between two brackets, even of one event.
    """

    def __init__(self, text: str, *, measure_only: bool) -> None:
        self.text = text
        self._measure_only = measure_only

    def page(self) -> tuple[list[Span], dict[str, Span]]:
        """Return where the events and the members are. Raises KeyError when there are no events, and _TooMany."""
        text = self.text
        found: list[Span] | None = None
        members: dict[str, Span] = {}
        at = self._skip(0)
        if text[at] != "{":
            raise ValueError
        at = self._skip(at + 1)
        while text[at] != "}":
            if text[at] != '"':
                raise ValueError
            name, at = _scanner.raw_decode(text, at)
            at = self._skip(at)
            if text[at] != ":":
                raise ValueError
            start = self._skip(at + 1)
            if name == "data":
                found, end = self._elements(start)
            else:
                end = self._end(start)
                if name in MEMBERS and end - start <= _LONGEST_TEXT:
                    members[name] = (start, end)
            at = self._after_comma(self._skip(end), "}")
        if self._skip(at + 1) != len(text):
            raise ValueError
        if found is None:
            raise KeyError
        return found, members

    def _elements(self, at: int) -> tuple[list[Span], int]:
        """Return where each element of the array at `at` is, and where the array ends."""
        text = self.text
        spans: list[Span] = []
        if text[at] != "[":
            raise ValueError
        at = self._skip(at + 1)
        while text[at] != "]":
            end = self._end(at)
            if len(spans) == MOST_EVENTS:
                raise _TooMany
            spans.append((at, end))
            at = self._after_comma(self._skip(end), "]")
        return spans, at + 1

    def _end(self, at: int) -> int:
        """Return the end of the value that begins at `at`; what is too deep or too much to be read is measured."""
        if self._measure_only and self.text[at] in '[{"':
            return self._end_by_brackets(at)
        try:
            return int(_scanner.raw_decode(self.text, at)[1])
        except RecursionError:
            return self._end_by_brackets(at)

    def _end_by_brackets(self, at: int) -> int:
        if self.text[at] == '"':
            found = _STRING.match(self.text, at)
            if found is None:
                raise ValueError
            return found.end()
        depth = 0
        while (found := _BRACKETS.match(self.text, at)) is not None:
            at = found.start(1)
            for bracket in found[1]:
                at += 1
                depth += 1 if bracket in "[{" else -1
                if depth <= 0:
                    return at
        raise ValueError  # a string or a bracket without its end

    def _skip(self, at: int) -> int:
        found = _SPACES.match(self.text, at)
        return found.end() if found is not None else at

    def _after_comma(self, at: int, closing: str) -> int:
        if self.text[at] == ",":
            at = self._skip(at + 1)
            if self.text[at] == closing:
                raise ValueError
            return at
        if self.text[at] != closing:
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
        if max(map(len, bodies), default=0) <= LONGEST_EVENT:
            return [decode(body) for body in bodies]
    except UNREADABLE:
        pass
    return [_head_leniently(body) for body in bodies]


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


def _text(value: Any) -> str | None:
    """Return a text that can be hashed as UTF-8, or None."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
