r"""Texts of LEEF, which knows no escapes: what becomes of characters that would end a value, a header or a record.

`|` and the delimiter `^` become blanks, like control characters and the line ends of Unicode; half of a surrogate pair
becomes U+FFFD; no value begins or ends with white space. JSON loses nothing: there both can only stand within a text,
as `\u007c` and `\u005e`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.formats.kit.shortening import Piece
from forwarder.formats.kit.texts import one_line, without_line_ends
from forwarder.formats.leef.attributes import TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLANKED = str.maketrans("|^", "  ")


def says_ends(text: str) -> bool:
    """Say whether a text holds what ends a value or a part of the header."""
    return "|" in text or "^" in text


def plain(text: str) -> str:
    """Return a text with nothing in it that a value or a part of the header cannot hold."""
    return one_line(text).translate(_BLANKED).strip()


def escaped(text: str) -> str:
    """Return JSON as it stands in a record. A plain text stays what it is."""
    return text.replace("|", "\\u007c").replace("^", "\\u005e") if says_ends(text) else text


def cleaned(parts: Sequence[str], *, json: bool = False) -> tuple[list[Piece], set[str]]:
    """Return names and values in turns as pieces, and the marks that this takes; what is empty is left out.

    Args:
        parts: `BEFORE` of a fact, its value, and so on.
        json: The values are JSON, to be escaped; white space between its tokens says nothing.
    """
    pieces: list[Piece] = []
    marks: set[str] = set()
    for before, value in zip(parts[0::2], parts[1::2], strict=True):
        attribute = TABLE.columns[before]
        text = one_line(without_line_ends(value)).strip() if json else plain(value)
        if not json and says_ends(value):
            marks.add("replaced")
        if attribute.longest and len(text) > attribute.longest:
            marks.add("truncated")
            text = text[: attribute.longest].rstrip()
        if text:
            pieces.append(Piece(before, text, attribute.need))
    return pieces, marks
