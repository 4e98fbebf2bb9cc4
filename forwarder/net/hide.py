"""Stars in place of what must not be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.net.secret_search import Search
from forwarder.net.secret_spellings import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STARS = "**********"


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without these, whole or in part, as they are or escaped: for what only one caller knows."""
    known = {secret: False for secret in secrets if len(secret) >= SHORTEST}
    return starred(text, sorted(Search(known).spans(text)))


def starred(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return the text with stars in place of the spans, which are in order; those that touch become one."""
    if not spans:
        return text
    pieces: list[str] = []
    end = 0
    for start, stop in spans:
        if start >= end or not pieces:
            pieces += [text[end:start], STARS]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])
