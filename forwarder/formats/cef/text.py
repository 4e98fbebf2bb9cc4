r"""Texts of CEF: what becomes of characters that would end a value, a header or a record, and of too many of them.

In a header `|` and `\` are escaped, in a value `=` and `\`, and line ends there are written as `\n` and `\r` (CEF
standard, revision 27). Every other control character and the line ends of Unicode become blanks, half of a surrogate
pair U+FFFD; no text begins or ends with white space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.formats.cef.keys import TABLE
from forwarder.formats.kit.shortening import Piece
from forwarder.formats.kit.texts import CONTROL_BUT_LINE_ENDS, one_line, without_line_ends

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PLAIN = 100
"""Longest value of a key that sets no length, such as a number or an address."""


def escaped(text: str) -> str:
    """Return a value as it stands in a record."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


def header(text: str, longest: int) -> tuple[str, bool]:
    """Return a part of the header as it stands in a record, and whether it had to be cut."""
    whole = one_line(text).strip()
    short = whole[:longest].rstrip()
    return short.replace("\\", "\\\\").replace("|", "\\|"), len(whole) > longest


def cleaned(parts: Sequence[str], *, json: bool = False) -> tuple[list[Piece], set[str]]:
    """Return keys and values in turns as pieces, fit but for escaping, and that any had to be cut.

    What is empty by then is left out.

    Args:
        parts: `BEFORE` of a key, its value, and so on.
        json: The values are JSON: white space between its tokens says nothing.
    """
    pieces: list[Piece] = []
    cut = False
    for before, value in zip(parts[0::2], parts[1::2], strict=True):
        key = TABLE.columns[before]
        longest = key.longest or LONGEST_PLAIN
        if json:  # ends with a bracket, so that its length tells; most of a huge one need not be looked at
            compact = without_line_ends(value)
            cut, whole = cut or len(compact) > longest, one_line(compact[:longest])
        else:
            whole = plain(value)
            cut = cut or len(whole) > longest
        if short := whole[:longest].rstrip():
            pieces.append(Piece(before, short, key.need))
    return pieces, {"truncated"} if cut else set()


def carries(before: str, value: str) -> bool:
    """Say whether a key can hold this very value."""
    return len(value) <= TABLE.columns[before].longest and value == one_line(value).strip()


def plain(text: str) -> str:
    """Return a text with nothing in it that a value cannot hold, before any cut and escape."""
    return one_line(text, CONTROL_BUT_LINE_ENDS).strip()
