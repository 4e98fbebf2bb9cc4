"""Take a JSON page apart without touching the bytes of its events, whatever its API calls the list of them.

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
from forwarder.net.json_size import is_beyond_reading

MOST_EVENTS = 2000
"""Events of one answer; twice the most that is ever asked for. Counted before anything is built: 5 million empty
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

_events = msgspec.json.Decoder(_Events)
# Only offsets are wanted: numbers stay unread (an integer of 5000 digits is an error to int), control characters pass.
_scanner = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SPACES = re.compile(r"[ \t\n\r]*")
_BOM = b"\xef\xbb\xbf"
_BRACKETS = re.compile(r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}]+)', re.DOTALL)
"""The next brackets that stand in no string."""
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class _TooMany(Exception):
    """The answer holds more events than we would ever ask for."""


class PageCutter:
    """Takes the pages of one API apart.

    Args:
        events: The member with the list of events, such as `data`.
        members: The members beside it that may say where the log goes on, or how a page was cut.
    """

    def __init__(self, events: str, members: Sequence[str]) -> None:
        self._list = events
        self._members = tuple(members)
        # All of it stays bytes, also the events: an array is made only of the last list, for each costs 16 µs and a
        # page of 64 MB has room for six million.
        fields: list[Any] = [(events, msgspec.Raw), *((name, msgspec.Raw, _ABSENT) for name in self._members)]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("_Envelope", fields, gc=False)).decode

    def open(self, body: bytes) -> tuple[list[bytes], dict[str, bytes]]:
        """Return the events of an answer, and the members beside them that are there, each as its bytes.

        Raises Retryable: `not_json` when it is not the JSON object we asked for (a cut body, HTML, an error page),
        `too_many_events` when it holds more than `MOST_EVENTS`.
        """
        try:
            page = self._decode(body)
            events = _events.decode(getattr(page, self._list))
        except UNREADABLE:
            return self._open_leniently(body)
        found = ((name, bytes(getattr(page, name))) for name in self._members)
        members = {name: raw for name, raw in found if 0 < len(raw) <= _LONGEST_TEXT}
        return list(takewhile(bool, map(bytes, msgspec.structs.astuple(events)))), members

    async def open_patiently(self, body: bytes) -> tuple[list[bytes], dict[str, bytes]]:
        """Do what `open` does; a large page, which may be made to take seconds, in a thread."""
        return self.open(body) if len(body) <= _QUICK else await asyncio.to_thread(self.open, body)

    def _open_leniently(self, body: bytes) -> tuple[list[bytes], dict[str, bytes]]:
        # As Latin-1 every byte is one character of one byte, and on the way back the same byte: what counts is ASCII.
        text = body.removeprefix(_BOM).decode("latin-1")
        walk = _Walk(text, self._list, self._members, measure_only=is_beyond_reading(body))
        try:
            spans, members = walk.page()
        except _TooMany:
            raise Retryable(
                f"the answer holds more than {MOST_EVENTS} events, more than were asked for", kind="too_many_events"
            ) from None
        except (ValueError, KeyError, IndexError) as error:
            raise Retryable(
                "the answer is not a page of events: it was cut, or something else answered", kind="not_json"
            ) from error
        parts = {name: text[start:end].encode("latin-1") for name, (start, end) in members.items()}
        return [text[start:end].encode("latin-1") for start, end in spans], parts


class MemberReader:
    """Reads a few members of each record, as the bytes that stand there.

    Args:
        names: The members.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._decode = msgspec.json.Decoder(
            msgspec.defstruct("_Members", [(name, msgspec.Raw, _ABSENT) for name in names], gc=False)
        ).decode

    def read(self, body: bytes) -> tuple[bytes, ...]:
        """Return the members in order; what is absent, too long, or in no object is empty. Raises nothing."""
        try:
            found = [bytes(raw) for raw in msgspec.structs.astuple(self._decode(body))]
        except UNREADABLE:
            found = self._leniently(body)
        return tuple(raw if len(raw) <= _LONGEST_TEXT else b"" for raw in found)

    def _leniently(self, body: bytes) -> list[bytes]:
        text = body.decode("latin-1")
        try:
            _, spans = _Walk(text, None, self._names, measure_only=is_beyond_reading(body)).page()
        except (ValueError, IndexError):
            spans = {}
        ends = [spans.get(name, (0, 0)) for name in self._names]
        return [text[start:end].encode("latin-1") for start, end in ends]


def text_of(raw: bytes) -> str | None:
    """Return the text or number that some bytes of JSON are, the number as it is written; None for anything else."""
    if raw[:1] != b'"':
        return raw.decode() if _NUMBER.fullmatch(raw) else None
    if b"\\" not in raw and raw.isascii():
        return raw[1:-1].decode()
    try:
        value, _ = _scanner.raw_decode(raw.decode("utf-8", "surrogateescape"))
    except UNREADABLE:
        return None
    return str(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


Span = tuple[int, int]


class _Walk:
    """Goes through a page that the strict decoder refuses. Every method raises ValueError or IndexError for no page.

    Args:
        text: The page as Latin-1.
        events: The member with the list of events, if one is wanted.
        members: Those whose place is wanted.
        measure_only: There is too much in it to read what is between two brackets, even of one event.
    """

    def __init__(self, text: str, events: str | None, members: Sequence[str], *, measure_only: bool) -> None:
        self.text = text
        self._list = events
        self._members = members
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
            if name == self._list:
                found, end = self._elements(start)
            else:
                end = self._end(start)
                if name in self._members and end - start <= _LONGEST_TEXT:
                    members[name] = (start, end)
            at = self._after_comma(self._skip(end), "}")
        if self._skip(at + 1) != len(text):
            raise ValueError
        if found is None and self._list is not None:
            raise KeyError
        return found or [], members

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
