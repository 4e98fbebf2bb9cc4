"""What a dead letter is, how some of them are chosen, and what came of acting on them. Plain data.

::

    rejected ─► dead ──retry──► retried (waits again) ─► accepted · filtered · dead once more (number and `tries` rise)
                  └──discard──► gone; counted as rejected and discarded forever, named in a `Discard` for a year
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from forwarder.contracts import Record, UnexpectedPayload

LONGEST_DETAIL = 1000
"""Characters of a sink's answer that are kept."""


PAGE_GONE = "[Its page had left the spool before it was refused; kept is the event as it was to be sent.]"
"""End of the detail of a letter whose event is not as the API sent it."""


class DeadLetter(msgspec.Struct):
    """An event that a sink will never take, kept as the API sent it; privacy is applied when it is shown or retried.

    A lane names the event by its number, and the spool copies it from its own page when the letter is settled.

    Attributes:
        seq: Its number in the spool.
        source: Number of the source in the spool.
        reason: Short stable word.
        detail: The sink's own words; hostile text.
        raw: The event; empty when it was not asked for, or is damaged. In a settlement: what the lane has of it, after
            its privacy, which is kept only when the page is gone.
        read_ms: When its page was read, epoch milliseconds; 0 when unknown.
        derived: Its id was made from its content.
        at_ms: When it was rejected, epoch milliseconds.
        number: Its own number, by which people name it; never used twice.
        tries: How often it was rejected.
        retried: It is on its way to the sink again.
        former: A target that the sink no longer writes to rejected it; it can be shown and discarded only.
        day: Of the event, in the books; the spool knows it.
        reader: Who brought its page.
    """

    seq: int
    source: int
    document_id: str
    reason: str
    detail: str
    raw: bytes
    at_ms: int = 0
    number: int = 0
    lane: str = ""
    read_ms: int = 0
    derived: bool = False
    tries: int = 1
    retried: bool = False
    former: bool = False
    source_name: str = ""
    feed: str = ""
    day: str = ""
    reader: str = ""

    @classmethod
    def of(cls, record: Record, reason: str, detail: str) -> DeadLetter:
        """Make the dead letter of a record; a long detail is cut."""
        return cls(
            record.seq,
            record.source,
            record.id,
            reason,
            _cut(detail, LONGEST_DETAIL),
            record.raw,
            read_ms=record.read_ms,
            derived="derived_id" in record.marks,
            reader=record.reader,
        )

    @classmethod
    def of_payload(cls, record: Record, error: UnexpectedPayload, word: str | None = None) -> DeadLetter:
        """Make the dead letter of an event that cannot be understood, or written."""
        return cls.of(record, word or error.word, error.reason)

    def without_page(self) -> DeadLetter:
        """Return the letter with what the lane has of the event, and a detail that says so."""
        detail = _cut(self.detail, LONGEST_DETAIL - len(PAGE_GONE) - 1)
        return msgspec.structs.replace(self, detail=f"{detail} {PAGE_GONE}".strip())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


class Selection(msgspec.Struct, frozen=True):
    """Which dead letters: every condition must hold, and an empty one always does.

    Attributes:
        reasons: One of these words.
        numbers: One of these.
        since_ms, until_ms: Rejected in this stretch, both ends included.
        upto: Highest number: what comes after someone looked is not meant.
    """

    reasons: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    upto: int | None = None

    @property
    def chooses(self) -> bool:
        """False when it means every dead letter of a sink."""
        return bool(self.reasons or self.numbers) or self.since_ms is not None or self.until_ms is not None


EVERY = Selection()
"""Every dead letter there is."""


class LetterCount(msgspec.Struct, frozen=True):
    """How many dead letters of a sink have a reason, and when the first and the last was rejected.

    `retried` ones are on their way again and not among `letters`; `former` ones are.
    """

    lane: str
    reason: str
    letters: int
    retried: int
    former: int
    first_ms: int
    last_ms: int
    highest: int  # number


class LetterAct(msgspec.Struct, frozen=True):
    """What a retry or a discard did to one lane.

    Attributes:
        numbers: The letters it took up.
        left: How many it had to leave: of a former target, or on their way already.
        damaged: Letters that a retry had to leave because their event cannot be read any more; they stay as they are.
    """

    lane: str
    numbers: tuple[int, ...]
    left: int = 0
    damaged: tuple[int, ...] = ()


class Discard(msgspec.Struct, frozen=True):
    """A discard on record.

    Attributes:
        who: Who did it, as the operating system says.
        chosen: What was asked for, in words.
        letters: Number, spool number, document id, reason and time (epoch milliseconds) of each.
    """

    number: int
    lane: str
    at_ms: int
    who: str
    chosen: str
    events: int
    letters: tuple[tuple[int, int, str, str, int], ...]
