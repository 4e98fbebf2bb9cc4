"""Records made private: their bytes, and their meaning anew, so that nothing that is rendered knows more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.catalogue.names import known_objects, known_products
from forwarder.contracts import AuditEvent, Held, UnexpectedPayload
from forwarder.contracts.identity import content_digests
from forwarder.normalize.lenient import Unreadable
from forwarder.spool.letter import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts import Normalizer, Record
    from forwarder.records.privacy.policy import Privacy

_DECIDED = ("act", "layer", "category", "types", "outcome", "severity", "ocsf_class", "ocsf_activity")
"""What the whole event decides, in the words of the catalogue: a sentence that is left out may have told it."""

MARK = "private"

_LENGTH = 32
"""Characters of a document id without that of its revision."""


class PrivateRecords:
    """Applies the privacy of one sink to records whose filter has passed.

    Args:
        privacy: Of the sink.
        normalizer: Gives the normaliser of a feed that keeps nothing between lanes.
    """

    def __init__(self, privacy: Privacy, normalizer: Callable[[str], Normalizer]) -> None:
        self._privacy = privacy
        self._normalizer = normalizer

    def apply(self, records: list[Record], refused: list[DeadLetter]) -> list[Record]:
        """Return the records as this sink may see them; what cannot be made private is refused.

        Raises Held when the key of the pseudonyms cannot be read.
        """
        made: list[Record] = []
        self._privacy.look_at_key()
        for record in records:
            try:
                record.raw = self._privacy.apply(record.origin.feed, record.raw)
            except Unreadable as error:
                why = UnexpectedPayload(f"no one can tell what of it is private: {error}")
                refused.append(DeadLetter.of_payload(record, why))
                continue
            except (OSError, ValueError) as error:
                raise Held(
                    f"the key of the pseudonyms cannot be read: {error}",
                    fix="Put the key back where privacy.key_file says; without it nothing is sent to this sink.",
                    kind="setup_missing",
                ) from None
            if "revision" in record.marks:  # a hash of what is left out would let its reader try what that was
                record.id = f"{record.id[:_LENGTH]}-{content_digests([record.raw])[0].hex()}"
            record.marks = (*record.marks, MARK)
            made.append(record)
        return self._with_meaning(made, refused)

    def _with_meaning(self, records: list[Record], refused: list[DeadLetter]) -> list[Record]:
        whole = [record.event for record in records]
        if not any(whole):
            return records
        understood: list[Record] = []
        events = self._normalizer(records[0].origin.feed).normalize(records)
        for record, before, event in zip(records, whole, events, strict=True):
            if before is None:
                understood.append(record)
            elif isinstance(event, UnexpectedPayload):
                refused.append(DeadLetter.of_payload(record, event))
            else:
                record.event = _decided_as(event, before)
                understood.append(record)
        return understood


def _decided_as(event: AuditEvent, whole: AuditEvent) -> AuditEvent:
    for name in _DECIDED:
        setattr(event, name, getattr(whole, name))
    if whole.object in known_objects():  # any other was made of a text, and what is left of that gives the same again
        event.object = whole.object
    if whole.product in known_products():
        event.product = whole.product
    return event
