"""Takes the body of a pushed request apart without touching the bytes of its events; for every source that receives.

A body is strict JSON: one object, or an array of them. What is anything else is kept as an object of ours, so that it
goes the way of an event and becomes a dead letter where its meaning is asked for.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import UnexpectedPayload
from forwarder.net.json_size import TOO_MUCH, UNREADABLE, is_beyond_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

MOST_EVENTS = 1000
"""Events of one body."""

BOM = b"\xef\xbb\xbf"
_SPACES = b" \t\r\n"
_MARK = b'{"unreadable":'

_EMPTY = "the body is empty"
_NO_EVENTS = "the body is not a JSON object, and not an array of them"
_TOO_MANY = f"the body holds more than {MOST_EVENTS} events"
_NOT_SOUND = "the body is not sound JSON: it was cut, or something else was sent"
_NO_TEXT = "it is not UTF-8"
_REASONS = frozenset({TOO_MUCH, _EMPTY, _NO_EVENTS, _TOO_MANY, _NOT_SOUND, _NO_TEXT})


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_scanner = json.JSONDecoder(parse_constant=_refuse)
_elements = msgspec.json.Decoder(list[msgspec.Raw])


class _NotEvents(Exception):
    """The body is not what it should be; the message says why, without anything of the body."""


class _Unreadable(msgspec.Struct, forbid_unknown_fields=True):
    unreadable: str
    text: str | None = None
    base64: str | None = None


def _parts_of(body: bytes) -> list[bytes]:
    """Return the parts of a body that may be events, each as its bytes. Raises _NotEvents."""
    text = body.removeprefix(BOM).strip(_SPACES)
    if not text:
        raise _NotEvents(_EMPTY)
    if text[:1] == b"{":
        return [text]
    if text[:1] != b"[":
        raise _NotEvents(_NO_EVENTS)
    if is_beyond_reading(text):
        raise _NotEvents(TOO_MUCH)
    try:
        found = [bytes(each) for each in _elements.decode(text)]
    except UNREADABLE:
        found = _elements_of(text)
    if len(found) > MOST_EVENTS:
        raise _NotEvents(_TOO_MANY)
    return found


def _elements_of(text: bytes) -> list[bytes]:
    """Return the elements of an array by the standard library, which reads also half a character."""
    found: list[bytes] = []
    try:
        array, at = text.decode(), 1
        while True:
            at = _past_spaces(array, at)
            if array[at] == "]" and not found:
                break
            _, end = _scanner.raw_decode(array, at)
            found.append(array[at:end].encode())
            at = _past_spaces(array, end) + 1
            if array[at - 1] != ",":
                break
        if array[at - 1 :].strip() not in {"]", "[]"}:
            raise ValueError
    except (*UNREADABLE, IndexError):
        raise _NotEvents(_NOT_SOUND) from None
    return found


def _past_spaces(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def members_of(event: bytes) -> dict[str, Any] | None:
    """Return the members of an object that the quick decoder refuses, or None when it is not a sound JSON object."""
    try:
        found = _scanner.decode(event.decode())
    except UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def half_a_text(written: msgspec.Raw) -> str | None:
    """Return a text with half a character in it, which the quick decoder refuses, or None when it is not a text."""
    try:
        found = json.loads(bytes(written))
    except UNREADABLE:
        return None
    return found if isinstance(found, str) else None


def read_body(body: bytes, why_not: Callable[[bytes], str | None]) -> list[tuple[bytes, str]]:
    """Return what is to be stored of a body, and why each part is no event; that is empty for an event.

    Args:
        body: As it was sent.
        why_not: Says why a part is no event of the source, or nothing.
    """
    try:
        parts = _parts_of(body)
    except _NotEvents as error:
        return [(_kept(body, str(error)), str(error))]
    found = []
    for part in parts:
        reason = TOO_MUCH if is_beyond_reading(part) else _why_no_text(part) or why_not(part)
        found.append((_kept(part, reason), reason) if reason else (part, ""))
    return found


def _why_no_text(part: bytes) -> str:
    try:
        part.decode()
    except ValueError:
        return _NO_TEXT
    return ""


def _kept(part: bytes, reason: str) -> bytes:
    """Return a JSON object that holds what could not be read, and why not."""
    try:
        return msgspec.json.encode(_Unreadable(reason, text=part.decode()))
    except ValueError:
        return msgspec.json.encode(_Unreadable(reason, base64=base64.b64encode(part).decode()))


def refused(event: bytes, reasons: Collection[str]) -> UnexpectedPayload | None:
    """Return the dead letter of an object that was made of what could not be read, or None for any other.

    Who sends events may send one that looks like such an object: its text would be shown to anybody as our reason.

    Args:
        event: As it is stored; of a redacted source without what could not be read.
        reasons: Why a part is no event of the source, besides those that are the same for every source.
    """
    if not event.startswith(_MARK):
        return None
    try:
        found = msgspec.json.decode(event, type=_Unreadable)
    except UNREADABLE:
        return None
    is_ours = found.unreadable in _REASONS or found.unreadable in reasons
    return UnexpectedPayload(found.unreadable) if is_ours and None in {found.text, found.base64} else None
