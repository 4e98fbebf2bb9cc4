"""What a format keeps: the body of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from forwarder.contracts.errors import (
    UnexpectedPayload,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


from forwarder.contracts.record import Record


class Format(Protocol):
    """Renders records. Pure and fast: no I/O, no clock.

    Optional attribute:
        keeps_original (bool): It can also hold the event as the API sent it; it is then built as `Type(original=True)`.
    """

    needs_event: ClassVar[bool]

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one body per record, in order, without a line end; a refused one is its own result."""
        ...


@runtime_checkable
class Shrinks(Protocol):
    """A format that can say the same in fewer bytes, for a sink with a `max_body`."""

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Render at most `limit` bytes, marked as cut: whole characters and escapes; still which event, when, who."""
        ...
