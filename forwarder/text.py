"""Makes text from outside harmless to look at, on a terminal as in a log file.

Invariant: what comes out is printable and on one line, so it can neither end a line, nor move a cursor, nor turn the
direction of writing, nor hide itself.
"""

from __future__ import annotations


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
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


def plain(text: str, limit: int) -> str:
    """Return hostile text on one line, printable and at most `limit` characters long."""
    shown = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
