"""Writes events as JSON, each on one line, whatever shape a format gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import AuditEvent, Record, UnexpectedPayload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ONE_LINE = bytes(32 if byte in b"\r\n" else byte for byte in range(256))

_LONGEST_KEPT = 2**20
"""Bytes of a body after which the buffer is let go: it never shrinks, and each lane has one."""


class JsonLines:
    """Writes events. Not for use by several threads at once.

    Args:
        name: Of the format, for people.
        shape: Makes of an event what is encoded.
    """

    def __init__(self, name: str, shape: Callable[[Record, AuditEvent], msgspec.Struct]) -> None:
        self._name, self._shape = name, shape
        self._encode_into = msgspec.json.Encoder().encode_into
        self._buffer = bytearray()  # one for all events: growing a new one for each costs a third of its encoding

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one JSON object per record, in order, without a line end; what cannot be written is refused."""
        bodies: list[bytes | UnexpectedPayload] = []
        shape, encode_into, buffer = self._shape, self._encode_into, self._buffer
        for record in records:
            event = record.event
            if event is None:
                bodies.append(UnexpectedPayload("the event has no meaning"))
                continue
            try:
                encode_into(shape(record, event), buffer)
            except (ValueError, OverflowError, msgspec.MsgspecError) as error:
                bodies.append(UnexpectedPayload(f"the event cannot be written as {self._name}: {str(error)[:120]}"))
                continue
            body = bytes(buffer)
            if len(body) > _LONGEST_KEPT:
                self._buffer = buffer = bytearray()
            if b"\n" in body or b"\r" in body:  # between tokens of a copied part: in texts they are escaped
                body = body.translate(_ONE_LINE)
            bodies.append(body)
        return bodies
