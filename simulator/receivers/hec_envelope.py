"""Reads the body of a HEC request by the strictest reading: a stream of JSON objects, judged one after the other.

Invariant: what comes before the first bad object is given back with it, because a collector that reads a stream has
taken it in by then. Two ways lead to the same result: a fast one for bodies that are written as plainly as can be
(one object a line, keys once and in the documented order), and a slow one for all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from simulator.receivers.hec_replies import Refused

METADATA: tuple[str, ...] = ("host", "source", "sourcetype", "index")
KEYS = ("time", *METADATA, "event", "fields")
"""What an envelope may hold. Others are refused: a strict double rather tells of a forged key than overlooks it."""

_BLANK_JSON = re.compile(rb'\s*(?:\{\s*\}|\[\s*\]|"(?:\s|\\[nrtbf]|\\u00[02]0)*")\s*')
_TIME = re.compile(rb"\d+(?:\.\d+)?")
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One event that was taken in. `event` is its JSON or, from `/raw`, its text; `time` is as it was written."""

    event: bytes
    time: str | None = None
    host: str | None = None
    source: str | None = None
    sourcetype: str | None = None
    index: str | None = None
    fields: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a collector allows.

    Attributes:
        indexes: That the token may write to; None for any.
        max_event: Longest event in bytes.
        item: Gets each event that is good so far, and gives back the code to refuse it with, or None.
    """

    indexes: Collection[str] | None = None
    max_event: int = 5 * 2**20
    item: Callable[[Event], int | None] | None = None


_ABSENT = msgspec.Raw()


class _Row(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    time: msgspec.Raw = _ABSENT
    host: msgspec.Raw = _ABSENT
    source: msgspec.Raw = _ABSENT
    sourcetype: msgspec.Raw = _ABSENT
    index: msgspec.Raw = _ABSENT
    event: msgspec.Raw = _ABSENT
    fields: msgspec.Raw = _ABSENT


_read_rows = msgspec.json.Decoder(_Row).decode_lines
_read_values = msgspec.json.Decoder().decode_lines
_write_rows = msgspec.json.Encoder().encode_lines
_write = msgspec.json.encode
_slowly = json.JSONDecoder()
_Scalar = str | int | float | bool
_read_fields = msgspec.json.Decoder(dict[Annotated[str, msgspec.Meta(min_length=1)], _Scalar | list[_Scalar]]).decode


def read_events(body: bytes, rules: Rules) -> tuple[list[Event], Refused | None]:
    """Return the events before the first bad one, and what is wrong with that one."""
    if not body.strip():
        return [], Refused(5)
    events: list[Event] = []
    try:
        rows = _rows(body)
        if rows is None:
            _read_slowly(body, rules, events)
        else:
            for number, row in enumerate(rows):
                events.append(_judge(row, number, rules))
    except Refused as refused:
        return events, refused
    return events, None


def read_lines(body: bytes, metadata: dict[str, str], rules: Rules) -> tuple[list[Event], Refused | None]:
    """Return what `/raw` makes of a body: an event a line, all with the metadata of the query."""
    if not body.strip():
        return [], Refused(5)
    index = metadata.get("index")
    if index is not None and rules.indexes is not None and index not in rules.indexes:
        return [], Refused(7)
    get = metadata.get
    return [
        Event(line, None, get("host"), get("source"), get("sourcetype"), index)
        for line in body.split(b"\n")
        if line.strip()
    ], None


# ------------------------------------------------------------------------------------------------------------ one way


def _rows(body: bytes) -> list[dict[str, bytes]] | None:
    """Return the members of each object, or None when the body needs the slow way."""
    try:
        _read_values(body)  # the other reader passes over bytes that are no UTF-8 and numbers that no double holds
        rows = _read_rows(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    written = _write_rows(rows)  # the very bytes, or else there was more in them than their reader saw
    if written != (body if body.endswith(b"\n") else body + b"\n"):
        return None
    return [{name: bytes(value) for name in KEYS if (value := getattr(row, name)) is not _ABSENT} for row in rows]


def _read_slowly(body: bytes, rules: Rules, events: list[Event]) -> None:
    """Read a stream of objects. Raises Refused for the first that is none."""
    number = 0
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        text = body[: error.start].decode("utf-8")  # so the object that it cuts is the first bad one
    place = _skip(text, 0)
    while place < len(text):
        end, members = _object_at(text, place, number)
        events.append(_judge(members, number, rules))
        number += 1
        place = _skip(text, end)
    if len(text.encode("utf-8")) < len(body):
        raise Refused(6, number)


def _object_at(text: str, place: int, number: int) -> tuple[int, dict[str, bytes]]:
    """Return where the object at `place` ends, and the JSON of each of its members."""
    if text[place] != "{":
        raise Refused(6, number)
    members: dict[str, bytes] = {}
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        key, place = _value_at(text, place, number)
        place = _skip(text, place)
        if not isinstance(key, str) or key in members or key not in KEYS or text[place : place + 1] != ":":
            raise Refused(6, number)
        start = _skip(text, place + 1)
        _, place = _value_at(text, start, number)
        members[key] = text[start:place].encode("utf-8")
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
            if text[place : place + 1] == "}":
                raise Refused(6, number)
        elif text[place : place + 1] != "}":
            raise Refused(6, number)
    return place + 1, members


def _value_at(text: str, place: int, number: int) -> tuple[Any, int]:
    try:
        value, end = _slowly.raw_decode(text, place)
    except (ValueError, RecursionError):
        raise Refused(6, number) from None
    if text[place : place + 1] in {"N", "I"} or text.startswith("-I", place) or _has_no_number(value):
        raise Refused(6, number)
    return value, end


def _has_no_number(value: Any) -> bool:
    """Tell whether there is a number in it that JSON has not, or that no double holds."""
    if isinstance(value, float):
        return value != value or value in {float("inf"), float("-inf")}  # noqa: PLR0124 -- that is what a NaN is
    if isinstance(value, dict):
        return any(map(_has_no_number, value.values()))
    return isinstance(value, list) and any(map(_has_no_number, value))


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] and text[place] in _SPACE:
        place += 1
    return place


# -------------------------------------------------------------------------------------------------------------- judging


def _judge(members: dict[str, bytes], number: int, rules: Rules) -> Event:
    """Return the event of an envelope. Raises Refused with its number."""
    body = members.get("event")
    if body is None or body == b"null":
        raise Refused(12, number)
    if body[:1] not in {b"{", b'"', b"["}:
        raise Refused(6, number)
    if len(body) < 64 and _BLANK_JSON.fullmatch(body):
        raise Refused(13, number)
    if body[:1] == b"[" or len(body) > rules.max_event:
        raise Refused(6, number)
    index = _text(members, "index", number)
    if index is not None and rules.indexes is not None and index not in rules.indexes:
        raise Refused(7, number)
    event = Event(
        body,
        _time(members, number),
        _text(members, "host", number),
        _text(members, "source", number),
        _text(members, "sourcetype", number),
        index,
        _fields(members.get("fields"), number),
    )
    code = rules.item(event) if rules.item is not None else None
    if code is not None:
        raise Refused(code, number)
    return event


def _time(members: dict[str, bytes], number: int) -> str | None:
    """Return the time as written: digits with at most one point, bare or as text; no other is taken."""
    given = members.get("time")
    if given is None:
        return None
    bare = given[1:-1] if given[:1] == b'"' else given
    if not _TIME.fullmatch(bare):
        raise Refused(15, number)
    return bare.decode("ascii")


def _text(members: dict[str, bytes], name: str, number: int) -> str | None:
    given = members.get(name)
    if given is None:
        return None
    if given[:1] != b'"':
        raise Refused(6, number)
    return _text_of(given)


@lru_cache(maxsize=1024)
def _text_of(given: bytes) -> str:
    return str(json.loads(given))


def _fields(given: bytes | None, number: int) -> dict[str, Any] | None:
    """Return the indexed fields: flat, each a text, number or boolean, or a list of such."""
    if given is None:
        return None
    if given[:1] != b"{":
        raise Refused(6, number)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        quickly = _read_fields(given)
        if _write(quickly) == given:
            return quickly
    fields: dict[str, Any] = {}
    for name, value in json.loads(given, object_pairs_hook=_Pairs):
        if name in fields or not name:
            raise Refused(15, number)
        for one in value if type(value) is list else [value]:
            if not isinstance(one, str | int | float):
                raise Refused(15, number)
        fields[name] = value
    return fields


class _Pairs(list[Any]):
    """An object as it was written, keys that come twice included."""
