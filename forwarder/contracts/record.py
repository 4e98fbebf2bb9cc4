"""What a lane hands to a sink for one event, and who finds out what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from forwarder.contracts.errors import (
    UnexpectedPayload,
)
from forwarder.contracts.event import AuditEvent, Late
from forwarder.contracts.page import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence


class Record(msgspec.Struct, gc=False):
    """One event on its way to one sink.

    Attributes:
        seq: Its number in the spool.
        origin: Where it came from.
        id: Document id: 32 hex characters, for a revision followed by `-` and 16 more.
        raw: JSON of the API, after this lane's privacy.
        event: Its meaning, for the format, and for a sink that `wants_event`; None in a lane that needs none.
        body: What the format made of it.
        read_ms: When the page was read, epoch milliseconds.
        marks: `derived_id`, `revision`, `private`, or the kind of `late`, when they apply.
        source: Number of the source in the spool.
        reader: Who brought its page to the spool: the name of a cursor, such as `tail`, or of an act.
        late: How it was found, where it did not come as it happened; also where its format cannot say so.
        elsewhere: It is late, and the sink is to write it to its other place.
    """

    seq: int
    origin: Origin
    id: str
    raw: bytes
    event: AuditEvent | None = None
    body: bytes = b""
    read_ms: int = 0
    marks: tuple[str, ...] = ()
    source: int = 0
    reader: str = ""
    late: Late | None = None
    elsewhere: bool = False


class Normalizer(Protocol):
    """Gives the raw events of one feed their meaning. Never raises; an event it cannot read is its own result."""

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order."""
        ...
