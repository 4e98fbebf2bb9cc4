"""Makes text from outside harmless to look at, on a terminal as in a log file.

Invariant: what comes out is printable and on one line, so it can neither end a line, nor move a cursor, nor turn the
direction of writing, nor hide itself.
"""

from __future__ import annotations

_LONGEST_WORD = 256
"""Longest word that is left out whole where a text is cut."""


def visible(text: str, *, keep: str = "") -> str:
    r"""Return `text` with everything that does not print written as an escape: `\x1b`, `\n`, `\u202e`.

    Args:
        text: Anything, lone surrogates included.
        keep: Characters to leave alone all the same, such as a line end where the caller splits lines itself.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii") for char in text
    )


def shorten(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, and say how many are missing."""
    if len(text) <= limit:
        return text
    end = _cut(text, limit)
    return f"{text[:end]}… ({len(text) - end} more characters)"


def plain(text: str, limit: int) -> str:
    """Return hostile text on one line, printable and at most `limit` characters long."""
    shown = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: _cut(shown, limit - 1)] + "…"


def _cut(text: str, limit: int) -> int:
    """Return where to cut: not inside a word, for half a secret would not be known for one; unless it is very long."""
    lowest = max(limit // 2, limit - _LONGEST_WORD)
    end = limit
    while end > lowest and not (text[end - 1].isspace() or text[end].isspace()):
        end -= 1
    return end if end > lowest else limit
