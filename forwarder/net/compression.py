"""Compresses what is sent, and undoes it for what comes, up to a limit: a small answer must not fill the memory.

ISA-L does it in a fifth of zlib's time at level 1, and smaller; where it has no build, zlib does it.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import msgspec

try:
    from isal import igzip_lib, isal_zlib
except ImportError:  # pragma: no cover - a processor without a build of it
    _codec: Any = zlib
    _ERRORS: tuple[type[Exception], ...] = (zlib.error,)
else:
    _codec = isal_zlib
    _ERRORS = (igzip_lib.IsalError,)  # type: ignore[assignment]  # the stubs call the class an instance

_GZIP = 31  # zlib's window size, with a gzip header
_ENCODINGS = {"gzip", "x-gzip", "deflate"}

MOST_MEMBERS = 10_000
"""Members of one gzip body; one for every 64 KiB is far below it, and empty ones cost time for nothing."""

_SLICE = 16 * 1024
"""Bytes taken at once: what lies behind a member is copied, so many members in a long piece would cost its square."""


class Damaged(ValueError):
    """The compressed bytes are not what they claim to be."""


class TooShort(Damaged):
    """The compressed bytes end too early."""


class TooLong(ValueError):
    """There is more than the limit allows."""


class Compressed(msgspec.Struct, frozen=True):
    """A body as it is sent, so that who sends it need not hold what it was made of until the answer is there.

    Attributes:
        body: It, as gzip.
        plain: Bytes that it was made of.
    """

    body: bytes
    plain: int


def compressed(body: bytes) -> Compressed:
    """Return `body` as gzip, fast rather than small: 1 ms per MB."""
    return Compressed(_codec.compress(body, 1, _GZIP), len(body))


class Decompressor:
    """Undoes gzip, also of several members, or deflate, piece by piece, in time and memory that `limit` bounds.

    Args:
        encoding: Value of Content-Encoding, lower case.
        limit: Most bytes to give back.

    Raises:
        LookupError: The encoding is another one.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        if encoding not in _ENCODINGS:
            raise LookupError(encoding)
        self._gzip = encoding != "deflate"
        self._limit = limit
        self._plain = BytesIO()
        self._members = 0
        self._member: Any = None
        self._begun = b""  # first bytes of a deflate stream, until they tell which kind it is
        self._ended = False

    def feed(self, piece: bytes) -> None:
        """Take what came. Raises Damaged or TooLong."""
        view = memoryview(piece)
        for at in range(0, len(view), _SLICE):
            self._feed(bytes(view[at : at + _SLICE]))

    def finish(self) -> bytes:
        """Return everything. Raises TooShort, or Damaged."""
        if self._member is not None or not self._members:
            raise TooShort("the end is missing")
        return self._plain.getvalue()

    def _feed(self, rest: bytes) -> None:
        while rest and not self._ended:
            if self._member is None:
                rest = self._begin(rest)
                continue
            try:
                plain = self._member.decompress(rest, self._limit + 1 - self._plain.tell())
            except _ERRORS as error:
                raise Damaged("not what the encoding asks for") from error
            self._plain.write(plain)
            if self._plain.tell() > self._limit:
                raise TooLong(f"more than {self._limit} bytes")
            rest = b""
            if self._member.eof:
                rest, self._member = self._member.unused_data, None
                self._ended = not self._gzip  # what comes behind a deflate stream means nothing

    def _begin(self, rest: bytes) -> bytes:
        """Open the next member and return what belongs to it; between two there may be zeros."""
        window = _GZIP
        if self._gzip:
            rest = rest.lstrip(b"\0") if self._members else rest
        else:
            rest, self._begun = self._begun + rest, b""
            if len(rest) < 2:
                self._begun = rest
                return b""
            # RFC 9110 means zlib (RFC 1950) by it; some servers send the bare stream (RFC 1951).
            window = 15 if rest[0] & 15 == 8 and int.from_bytes(rest[:2], "big") % 31 == 0 else -15
        if rest:
            self._members += 1
            if self._members > MOST_MEMBERS:
                raise Damaged(f"more than {MOST_MEMBERS} gzip members")
            self._member = _codec.decompressobj(wbits=window)
        return rest


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the compression of a whole body, which is not empty.

    Raises:
        Damaged, TooShort, TooLong: As named; nothing is given back then.
        LookupError: The encoding is another one.
    """
    decompressor = Decompressor(encoding, limit)
    decompressor.feed(body)
    return decompressor.finish()
