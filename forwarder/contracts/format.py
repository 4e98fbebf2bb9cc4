"""What a format keeps: the body of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from forwarder.contracts.errors import UnexpectedPayload
from forwarder.contracts.record import Record
from forwarder.contracts.traits import Traits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.contracts.settings import FieldsConfig


class FormatTraits(Traits, frozen=True):
    """What a format declares of itself, as attributes of its class; what it leaves out is as here.

    Attributes:
        writes: `json`: one JSON object; `line`: text without a line end; `structured_data`: elements for the header of
            a syslog message (RFC 5424 section 6.3).
        has_timestamp: The JSON has `@timestamp`.
        needs_event: It writes the event's meaning, not the bytes of the API.
        keeps_original: It can also hold the event as the API sent it; it is then built as `Type(original=True)`.
    """

    writes: Literal["json", "line", "structured_data"] = "line"
    has_timestamp: bool = False
    needs_event: bool = True
    keeps_original: bool = False


class Format(Protocol):
    """Renders records. Pure and fast: no I/O, no clock. What else it may declare of itself is in `FormatTraits`.

    Sinks of the same format may share what was rendered for one of them, so nothing in it depends on the sink.
    """

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one body per record, in order, without a line end; a refused one is its own result."""
        ...


@runtime_checkable
class ChangesFields(Protocol):
    """A format that writes fields under other names, leaves some out or adds some, as a sink's `fields` say."""

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return a format with these changes. Raises ConfigError, naming what to write instead."""
        ...


@runtime_checkable
class Shrinks(Protocol):
    """A format that can say the same in fewer bytes, for a sink with a `max_body`."""

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Render at most `limit` bytes, marked as cut: whole characters and escapes; still which event, when, who."""
        ...
