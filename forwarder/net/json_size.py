"""How much a JSON text from outside would become once it is read: bounded by counting, before anything is built.

A value takes 16 to 100 bytes of memory and as little as two on the wire, and a text of which one character is beyond
the first 65 536 takes four times its bytes.
"""

from __future__ import annotations

import codecs
import re

import msgspec

LONGEST_EVENT = 8 * 2**20
"""Bytes of an event, or of anything else that is read as a whole. The most that real ones were seen to have is 1 MB."""

MOST_VALUES = 400_000
"""Values in it, counted by what separates and opens them; a text that holds so many commas counts as well."""


QUICK = MOST_VALUES
"""Bytes of a text that cannot be too much, so that most need not be counted."""

TOO_MUCH = f"the event is too large to be read: over {LONGEST_EVENT // 2**20} MiB, or over {MOST_VALUES} values"


UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
"""What a decoder raises for bytes that are not the JSON it wants: bad UTF-8 is a ValueError of Python's own, and deep
nesting exhausts the stack."""

_SLICE = 64 * 1024
_PART = 2**20
_NUMBER = rb"[ \t\r\n]*+-?(?:[0-9]{300}|[0-9]++(?:\.[0-9]++)?[eE]\+?[0-9]{3})"
_OUT_OF_RANGE = re.compile(rb"[\[:,]" + _NUMBER)
"""A number that a double may not hold, or what looks like one in a text: the id of an account may be `1:517e396d-…`."""
_WITHIN_RANGE = re.compile(
    rb"(?:[^\"\[:,]++|\"(?:[^\"\\]++|\\.)*+\"|[\[:,](?!" + _NUMBER + rb"))*+",
    re.DOTALL,
)
"""All of a JSON text up to such a number outside of texts."""
_DIGITS = bytes(48 if 48 <= byte <= 57 else 101 if byte == 69 else byte for byte in range(256))
_SIGNS_OF_IT = (b"0" * 300, b"e000", b"e+000")


class _Object(msgspec.Struct):
    """Any JSON object: its members are skipped, not built."""


_skim = msgspec.json.Decoder(_Object).decode


def values_in(text: bytes) -> int:
    """Return at least the number of values in a JSON text."""
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def is_beyond_reading(text: bytes) -> bool:
    """Say whether reading a JSON text could take more memory and time than any real event is worth."""
    return len(text) > LONGEST_EVENT or (len(text) > QUICK and values_in(text) > MOST_VALUES)


def why_unsound(text: bytes) -> str | None:
    """Say why a JSON object could stop a reader, or return None; nothing is built, whatever its size."""
    try:
        _skim(text)
        decoder = codecs.getincrementaldecoder("utf-8")()
        for at in range(0, len(text), _SLICE):
            decoder.decode(text[at : at + _SLICE])
    except RecursionError:
        return "the event is nested too deeply"
    except UNREADABLE as error:
        return f"the event is not a JSON object: {str(error)[:120]}"
    return "the event holds a number that is out of range" if _is_out_of_range(text) else None


def _is_out_of_range(text: bytes) -> bool:
    """Search thoroughly only where there is a sign of it: 40 ms per million of values, and 400 to be sure."""
    for at in range(0, len(text), _PART):
        part = text[at : at + _PART + 400].translate(_DIGITS)
        if any(sign in part for sign in _SIGNS_OF_IT):
            return _OUT_OF_RANGE.search(text) is not None and _WITHIN_RANGE.fullmatch(text) is None
    return False
