"""Events as the API sent them, byte for byte.

A body is read once as a whole before it is passed on, so that no line of the output can stop a reader: it must be one
JSON object, UTF-8, with numbers that a double holds. That is the whole cost of this format. Cheaper looks (a grammar
scan with a search for non-ASCII and long exponents) were measured at two thirds of it and are not worth their code.
Line ends between tokens are blanked out, where JSON allows any white space. Two more changes are made, and said in the
event: one that is too long for its sink is cut, and the escape of half a surrogate pair, which is JSON by its grammar
and stops readers for good (jq 1.6 reads no line behind it), becomes that of U+FFFD.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

import msgspec

from forwarder.contracts import UnexpectedPayload
from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.json_fields import JSON_EXAMPLE, JSON_NAME, JsonTemplate
from forwarder.formats.kit.json_shortening import Plan, decode, shorten
from forwarder.net.json_size import QUICK, TOO_MUCH, UNREADABLE, is_beyond_reading, why_unsound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.contracts import FieldsConfig, Format, Record

_ONE_LINE = bytes(32 if byte in b"\r\n" else byte for byte in range(256))


MARK = "audit_forwarder"
"""Member that a changed event has besides its own: `{"truncated": true, "bytes": 12345}`, the length it had, or
`{"repaired": true}`."""

UNSOUND = "not_json"
"""Why an event is refused that no line of JSON could carry as it is."""

_REPAIRED = b',"audit_forwarder":{"repaired":true}}'
_HALF = re.compile(rb"(?<!\\)(\\++)u[dD](?:[89abAB]..(\\u[dD][c-fC-F]..)?|[c-fC-F]..)")
"""A run of backslashes that may end in the escape of half a surrogate pair; the second group is the other half."""

_PLAN = Plan(
    essential=((MARK,), ("id",), ("attributes", "time"), ("attributes", "action"), ("attributes", "actor", "id")),
    actor=(
        ("attributes", "actor", "id"),
        ("attributes", "actor", "email"),
        ("attributes", "actor", "name"),
        ("attributes", "actor"),
    ),
    least=(
        ("attributes", "context"),
        ("attributes", "container"),
        ("attributes", "actor", "links"),
        ("relations",),
        ("links",),
    ),
)


RULES = Rules(
    None, frozenset({MARK, "id", "attributes.time", "attributes.action"}), JSON_NAME, JSON_EXAMPLE, dotted=True
)
"""What a template may do: the API decides what else there is."""


class _Changed(JsonTemplate):
    needs_event: ClassVar[bool] = False


class RawFormat:
    """Passes bodies on."""

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "json"
    needs_event: ClassVar[bool] = False

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder().decode

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return the body of each record, in order; what is not a JSON object is refused."""
        return [self._one(record.raw) for record in records]

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Return the event in at most `limit` bytes: `context`, `container` and links are cut first, then other texts.

        Id, time, action and who acted stay as they are; a limit that cannot hold them is refused.
        """
        if is_beyond_reading(record.raw):
            return UnexpectedPayload(TOO_MUCH, "too_large")
        body = self._one(record.raw)
        if isinstance(body, UnexpectedPayload):
            return body
        tree = decode(body)
        repaired = (
            {"repaired": True} if body.endswith(_REPAIRED) and not record.raw.rstrip().endswith(_REPAIRED) else {}
        )
        tree[MARK] = {"truncated": True, "bytes": len(record.raw), **repaired}
        try:
            short = shorten(tree, limit, _PLAN)
        except RecursionError:
            return UnexpectedPayload("the event is nested too deeply to be shortened")
        return short or UnexpectedPayload(f"what must be said of this event takes more than {limit} bytes of JSON")

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return this format with a sink's changes to what it writes. Raises ConfigError."""
        return _Changed(self, changes, RULES)

    def _one(self, raw: bytes) -> bytes | UnexpectedPayload:
        if len(raw) > QUICK and is_beyond_reading(raw):
            refusal = why_unsound(raw)
            suspect = refusal is None and b"\\u" in raw
        else:
            refusal, suspect = self._why_refused(raw)
        if refusal is not None:
            return UnexpectedPayload(refusal, UNSOUND)
        if suspect:
            raw = with_whole_characters(raw)
        if b"\n" in raw or b"\r" in raw:
            return raw.translate(_ONE_LINE)
        return raw

    def _why_refused(self, raw: bytes) -> tuple[str | None, bool]:
        """Say what is wrong, and whether there is half a character in it, which only the fast decoder refuses."""
        try:
            tree = self._decode(raw)
        except UNREADABLE:
            refusal = _refusal(raw)
            return refusal, refusal is None
        return (None if type(tree) is dict else "the event is not a JSON object"), False


def with_whole_characters(raw: bytes) -> bytes:
    """Return a JSON object with U+FFFD for every escaped half of a surrogate pair, marked when there was one.

    Looks at nothing but what may be such a half, one at a time: 12 MB of other escapes would become 700 MB of matches.
    """
    whole: bytearray | None = None
    found = _HALF.search(raw)
    while found is not None:
        is_escape = len(found[1]) % 2  # else each backslash is the character, and `u` begins a word
        if is_escape and found[2] is None:
            if whole is None:
                whole = bytearray(raw)
            whole[found.end() - 6 : found.end()] = b"\\ufffd"
        found = _HALF.search(raw, found.end() if is_escape else found.end(1))
    return raw if whole is None else bytes(whole).rstrip()[:-1] + _REPAIRED


def _constant(name: str) -> NoReturn:
    msg = f"{name} is not a JSON value"
    raise ValueError(msg)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        msg = "a number is out of range"
        raise ValueError(msg)
    return number


def _refusal(raw: bytes) -> str | None:
    """Say what is wrong, or None: an escaped half surrogate is sound JSON that only the fast decoder refuses."""
    try:
        tree = json.loads(raw.decode("utf-8"), parse_constant=_constant, parse_float=_number)
    except RecursionError:
        return "the event is nested too deeply"
    except ValueError as error:
        return f"the event is not JSON: {str(error)[:120]}"
    return None if type(tree) is dict else "the event is not a JSON object"
