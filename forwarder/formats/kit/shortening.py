"""Fits a record of named texts into a number of bytes: what is needed least is cut first, and nothing in the middle.

Invariant: a text is cut between characters and escaped afterwards, so that no character and no escape is ever halved.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHORTEST_ACTOR = 16
"""An actor without an id is cut to no fewer characters than this."""


class Need(IntEnum):
    """What happens to a text when room is short; the highest go first."""

    ESSENTIAL = 0  # stays as it is
    ACTOR = 1  # the name of an actor who has no id: cut at last, never dropped
    WHOLE = 2  # an id, an address, a time: misleading when cut, so it stays or goes
    HANDY = 3  # the same, and goes before those
    TEXT = 4  # cut
    LEAST = 5  # cut before all others


_CUT = {Need.ACTOR, Need.TEXT, Need.LEAST}


class Piece(NamedTuple):
    """One text with what stands in front of it in the record."""

    before: str
    text: str
    need: Need


def shorten(pieces: Sequence[Piece], limit: int, escape: Callable[[str], str]) -> str | None:
    """Return the pieces as one text of at most `limit` bytes in UTF-8, or None when not even the essentials fit.

    Args:
        pieces: In the order of the record; of equal need the last is dropped first.
        limit: Bytes.
        escape: Makes a text fit to stand in the record; must never make it shorter.
    """
    left = [piece._replace(text=piece.text[: max(limit, 1)]) if piece.need in _CUT else piece for piece in pieces]
    for need in (Need.LEAST, Need.TEXT):
        found = _with_cut(left, need, limit, escape)
        if found is not None:
            return found
        left = [piece for piece in left if piece.need is not need]
    while _size(left, escape) > limit:
        last = max(
            ((piece.need, place) for place, piece in enumerate(left) if piece.need in {Need.WHOLE, Need.HANDY}),
            default=None,
        )
        if last is None:
            return _with_cut(left, Need.ACTOR, limit, escape, least=SHORTEST_ACTOR)
        del left[last[1]]
    return _written(left, escape)


def _with_cut(
    pieces: Sequence[Piece], need: Need, limit: int, escape: Callable[[str], str], least: int = 0
) -> str | None:
    """Cut the texts of one need to as many characters as fit, the same for all, or return None."""

    def cut(most: int) -> list[Piece]:
        shorter = [
            piece._replace(text=piece.text[:most].rstrip() or piece.text[:most]) if piece.need is need else piece
            for piece in pieces
        ]
        return [piece for piece in shorter if piece.text or piece.need is not need]

    longest = max((len(piece.text) for piece in pieces if piece.need is need), default=0)
    lengths = range(least, longest + 1)
    fitting = bisect_right(lengths, limit, key=lambda most: _size(cut(most), escape))
    if lengths and fitting == 0:
        return None
    chosen = cut(lengths[fitting - 1]) if lengths else list(pieces)
    return _written(chosen, escape) if _size(chosen, escape) <= limit else None


def _written(pieces: Sequence[Piece], escape: Callable[[str], str]) -> str:
    return "".join(f"{before}{escape(text)}" for before, text, _ in pieces)


def _size(pieces: Sequence[Piece], escape: Callable[[str], str]) -> int:
    return len(_written(pieces, escape).encode())
