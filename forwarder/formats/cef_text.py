r"""Texts of CEF: what becomes of characters that would end a value, a header or a record, and of too many of them.

In a header `|` and `\` are escaped, in a value `=` and `\`, and line ends there are written as `\n` and `\r` (CEF
standard, revision 27). Every other control character and the line ends of Unicode become blanks, half of a surrogate
pair U+FFFD; no text begins or ends with white space.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from forwarder.formats.cef_keys import BY_BEFORE
from forwarder.formats.shortening import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PLAIN = 100
"""Longest value of a key that sets no length, such as a number or an address."""

_CONTROL = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_OR_LINE_END = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def escaped(text: str) -> str:
    """Return a value as it stands in a record."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


def header(text: str, longest: int) -> tuple[str, bool]:
    """Return a part of the header as it stands in a record, and whether it had to be cut."""
    whole = plain(text, _CONTROL_OR_LINE_END)
    short = whole[:longest].rstrip()
    return short.replace("\\", "\\\\").replace("|", "\\|"), len(whole) > longest


def cleaned(parts: Sequence[str], *, json: bool = False) -> tuple[list[Piece], bool]:
    """Return keys and values in turns as pieces, fit but for escaping, and whether any had to be cut.

    What is empty by then is left out.

    Args:
        parts: `BEFORE` of a key, its value, and so on.
        json: The values are JSON: white space between its tokens says nothing.
    """
    pieces: list[Piece] = []
    cut = False
    for before, value in zip(parts[0::2], parts[1::2], strict=True):
        key = BY_BEFORE[before]
        whole = _plain_json(value) if json else plain(value)
        longest = key.longest or LONGEST_PLAIN
        cut = cut or len(whole) > longest
        if short := whole[:longest].rstrip():
            pieces.append(Piece(before, short, key.need))
    return pieces, cut


def carries(before: str, value: str) -> bool:
    """Say whether a key can hold this very value."""
    return len(value) <= BY_BEFORE[before].longest and value == plain(value, _CONTROL_OR_LINE_END)


def _plain_json(text: str) -> str:
    if "\n" in text or "\r" in text:
        text = msgspec.json.format(text, indent=-1)
    return plain(text, _CONTROL_OR_LINE_END)


def plain(text: str, control: re.Pattern[str] = _CONTROL) -> str:
    """Return a text with nothing in it that a value cannot hold, before any cut and escape."""
    return _SURROGATE.sub("\ufffd", control.sub(" ", text)).strip()
