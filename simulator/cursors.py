"""Page cursors: opaque text that remembers where a reader is, what it asked for and in which order.

Nothing is kept in memory but a counter, so a cursor outlives a restart with the same secret. The text is standard
base64 and holds `+`, `/` and `=`, so that a reader which does not encode it is found out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

import msgspec


class CursorError(ValueError):
    """The text is no cursor of this server, or one that is no longer valid."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor remembers.

    Attributes:
        feed: `stream` or `events`.
        organization: Whose log.
        after: Key of the last entry that was served, or None at the beginning.
        lower: `from` of the first request, epoch milliseconds.
        upper: `to` of the first request.
        ascending: Sort order.
        filters: The other parameters of the first request.
        serial: Counts issued cursors; later ones are higher.
    """

    feed: str
    organization: str
    after: int | None = None
    lower: int | None = None
    upper: int | None = None
    ascending: bool = True
    filters: dict[str, list[str]] = {}
    serial: int = 0


class Cursors:
    """Issues and reads cursors.

    Args:
        secret: What makes them opaque; the same secret reads them again.
        first: Serial to begin with; a restarted server begins higher.
    """

    def __init__(self, secret: str, first: int = 1) -> None:
        self._secret = secret.encode()
        self._serial = first
        self._valid_from = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Position).decode

    def issue(self, position: Position) -> str:
        """Write a new cursor; two of the same position differ."""
        self._serial += 1
        plain = self._encode(msgspec.structs.replace(position, serial=self._serial))
        padding = (1 - len(plain)) % 3  # with 9 bytes before it: one over a multiple of three, two `=` at the end
        plain = bytes([padding]) + plain + bytes(padding)
        nonce = zlib.crc32(self._serial.to_bytes(8, "big") + self._secret).to_bytes(4, "big")
        return base64.b64encode(nonce + zlib.crc32(plain).to_bytes(4, "big") + self._mask(plain, nonce)).decode()

    def read(self, text: str) -> Position:
        """Return what a cursor remembers. Raises CursorError."""
        try:
            packed = base64.b64decode(text, validate=True)
            plain = self._mask(packed[8:], packed[:4])
            if zlib.crc32(plain).to_bytes(4, "big") != packed[4:8]:
                raise CursorError("damaged")
            position = self._decode(plain[1 : len(plain) - plain[0]])
        except (binascii.Error, msgspec.DecodeError, ValueError, IndexError) as error:
            raise CursorError(str(error)) from error
        if position.serial < self._valid_from:
            raise CursorError("no longer valid")
        return position

    def forget(self) -> None:
        """Make every cursor issued so far invalid."""
        self._valid_from = self._serial + 1

    def _mask(self, data: bytes, nonce: bytes) -> bytes:
        stream = hashlib.shake_128(self._secret + nonce).digest(len(data))
        return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
