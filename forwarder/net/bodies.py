"""Reads the body of an answer, in memory and time that a limit bounds: the other side may be anybody.

Invariant: beside the body itself only the piece at hand is held, and neither how it is cut into pieces nor how it is
compressed makes it dearer.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from forwarder.net.compression import Compressed, Damaged, Decompressor, TooLong

ANSWER = 2 * 2**20
"""Most bytes of an answer to a question of a few words."""

ECHO = 4
"""For each byte that was sent an answer may have so many more: it may quote events, with escapes."""

_FREE_PIECES, _SHORTEST = 10_000, 16
"""So many pieces may be as short as they like; beyond that they hold so many bytes on average."""


def answer_to(content: bytes | Compressed) -> int:
    """Return the most bytes that an answer to this body can reasonably have."""
    return ANSWER + ECHO * (content.plain if isinstance(content, Compressed) else len(content))


class BodyReader:
    """Takes the pieces of one answer.

    Args:
        headers: Of the answer, names in lower case.
        limit: Most bytes that the body may have, as sent and decompressed.
    """

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        self._limit = limit
        self._encoding = headers.get("content-encoding", "").strip().lower()
        announced = headers.get("content-length", "")
        self._announced = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else 0
        self._decompressor: Decompressor | None = None
        self._plain = BytesIO()
        self._size = self._pieces = 0

    def feed(self, piece: bytes) -> None:
        """Take a piece. Raises TooLong, Damaged, or LookupError for an unknown compression."""
        self._size += len(piece)
        self._pieces += 1
        if max(self._size, self._announced) > self._limit:
            raise TooLong(f"more than {self._limit} bytes")
        if self._pieces > _FREE_PIECES and self._size < self._pieces * _SHORTEST:
            raise Damaged("it comes in pieces of a few bytes")
        if self._encoding in {"", "identity"} or not piece:
            self._plain.write(piece)
            return
        if self._decompressor is None:
            self._decompressor = Decompressor(self._encoding, self._limit)
        self._decompressor.feed(piece)

    def finish(self) -> bytes:
        """Return the body. Raises TooShort or Damaged when its compression does not end well."""
        return self._plain.getvalue() if self._decompressor is None else self._decompressor.finish()
