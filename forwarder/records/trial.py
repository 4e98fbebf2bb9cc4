"""One event through all that a lane does with it before it is sent, to see what would become of it. Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forwarder.contracts import Held, UnexpectedPayload
from forwarder.contracts.identity import document_id

if TYPE_CHECKING:
    from forwarder.contracts import Normalizer
    from forwarder.records.filters import Filter
    from forwarder.records.maker import RecordMaker
    from forwarder.spool.contract import Chunk

WHAT = Literal["sent", "filtered", "dead_letter", "held"]


class Outcome(msgspec.Struct, frozen=True):
    """What would become of an event in a lane.

    Attributes:
        what: `sent`, `filtered`, `dead_letter`, or `held`: the lane would wait with it.
        document_id: By which the destination knows it.
        body: What the format makes of it, for the sink to send.
        marks: Of the record, such as `late`.
        reason: Why it would not be sent: a short word of a dead letter, else a sentence.
        detail: More of it, or what to do.
    """

    what: WHAT
    document_id: str
    body: bytes = b""
    marks: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def outcome_of(chunk: Chunk, maker: RecordMaker, chosen: Filter, normalizer: Normalizer | None) -> Outcome:
    """Return what becomes of a chunk of one event.

    Args:
        chunk: With the event.
        maker: Of the lane.
        chosen: The filter of its sink, which names the rule.
        normalizer: Of the event's feed; None where there is none.
    """
    known_as = document_id(chunk.keys[:16], chunk.revisions.get(0))
    try:
        prepared = maker.make(chunk)
    except Held as error:
        return Outcome("held", known_as, reason=error.reason, detail=error.fix)
    for record in prepared.records:
        return Outcome("sent", record.id, record.body, record.marks)
    for letter in prepared.refused:
        return Outcome("dead_letter", known_as, reason=letter.reason, detail=letter.detail)
    event = None
    if normalizer is not None:
        record = maker.records(chunk)[0]
        [meaning] = normalizer.normalize([record])
        event = None if isinstance(meaning, UnexpectedPayload) else meaning
    why = chosen.why_not(chunk.origin, event)
    return Outcome("filtered", known_as, reason=why or "it comes too late for this sink: late.events is hold_back")
