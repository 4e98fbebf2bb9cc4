"""Finds the one bad event of a refused request, and says beforehand what may be doubled by looking for it.

Splunk reads a request as a stream: what stands before a bad event may be indexed already, and sending it again doubles
it. So after a first refusal nothing is sent again at once: the batch is given back as doubtful, the lane puts that on
record, and when the same records come back, they may be sent in parts. Positions are those in the batch throughout.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from forwarder.contracts import Record
from sinks.splunk_hec.answers import Answer

Positions = Sequence[int]


class Isolation:
    """What one client slot remembers of its last refused request: who is on record, and who is suspected."""

    def __init__(self) -> None:
        self._on_record: frozenset[int] = frozenset()
        self._suspect: int | None = None
        self._by_index = False

    def covers(self, records: Iterable[Record]) -> bool:
        """Tell whether all of these are on record as possibly doubled, so that they may be sent in parts."""
        return bool(self._on_record) and all(record.seq in self._on_record for record in records)

    def remember(self, answer: Answer, records: Sequence[Record], sent: Positions) -> None:
        """Note a refusal of the records at `sent`; all of the batch goes on record."""
        self._on_record = frozenset(record.seq for record in records)
        place = suspect(answer, sent)
        self._suspect = None if place is None else records[place].seq
        self._by_index = answer.fate.verdict == "index"

    def forget(self) -> None:
        """Note that a batch came through."""
        self._on_record, self._suspect, self._by_index = frozenset(), None, False

    def parts(self, records: Sequence[Record], sent: Positions, indexes: Sequence[str | None]) -> list[Positions]:
        """Return how to send records that are on record: by index, around the suspect, or in halves."""
        if self._by_index:
            return by_index(sent, indexes)
        for place, position in enumerate(sent):
            if records[position].seq == self._suspect:
                self._suspect = None
                return around(sent, place)
        return halves(sent)


def suspect(answer: Answer, sent: Positions) -> int | None:
    """Return the position of the event that an answer names, if it names one of those that were sent."""
    number = answer.number
    return sent[number] if number is not None and 0 <= number < len(sent) else None


def narrow(answer: Answer, sent: Positions, indexes: Sequence[str | None]) -> list[Positions]:
    """Return the parts to try next, smaller than what was refused; the suspect alone comes first."""
    if answer.fate.verdict == "index":
        return by_index(sent, indexes)
    place = answer.number
    return around(sent, place) if place is not None and 0 <= place < len(sent) else halves(sent)


def around(sent: Positions, place: int) -> list[Positions]:
    """Return the one at `place` alone, then those before it and those behind it."""
    parts = [sent[place : place + 1], sent[:place], sent[place + 1 :]]
    return [part for part in parts if part]


def halves(sent: Positions) -> list[Positions]:
    """Return two halves; a single one stays whole."""
    half = len(sent) // 2
    return [part for part in (sent[:half], sent[half:]) if part]


def by_index(sent: Positions, indexes: Sequence[str | None]) -> list[Positions]:
    """Return the positions of each index, in order."""
    groups: dict[str | None, list[int]] = {}
    for position in sent:
        groups.setdefault(indexes[position], []).append(position)
    return list(groups.values())


class Queue(deque[Positions]):
    """Parts that are still to be sent, in order."""

    def first(self, parts: Iterable[Positions]) -> None:
        """Put parts before all others."""
        self.extendleft(reversed(list(parts)))

    def rest(self) -> list[int]:
        """Return every position that is still waiting."""
        return [position for part in self for position in part]
