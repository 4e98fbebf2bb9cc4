"""From the bytes in the spool to the records of one lane. Pure, on the loop, per batch.

::

    meaning ─► filter ─► twins and late ones left out ─► privacy ─► meaning again, of other bytes ─► format

The filter comes before privacy, which would hide from it what its rules name; privacy comes before everything that
leaves: it changes `Record.raw`, and nothing after it has other bytes. What a filter decides by the origin alone is
decided of a whole chunk before any of it is read.

An event that cannot be understood becomes a dead letter in the lanes that need its meaning; a lane that needs none
(format `raw`, no filter on meaning) still delivers it. A body that is longer than the sink can carry is rendered again,
shorter, by its format.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter

import msgspec

from forwarder.contracts import (
    AuditEvent,
    Format,
    FormatTraits,
    Held,
    Late,
    LateConfig,
    Normalizer,
    Record,
    Shrinks,
    UnexpectedPayload,
)
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.records.filters import Chooses
from forwarder.records.lateness import Lateness, tell
from forwarder.records.links import Links
from forwarder.records.places import Unrouted
from forwarder.records.privacy import PrivateRecords, may_be_own
from forwarder.records.shared import BLOCK, Shared
from forwarder.spool.contract import Chunk
from forwarder.spool.letter import DeadLetter

MOST_UNKNOWN_NAMES = 200
"""Names of unknown actions that are counted one by one; the names come from outside, so there must be an end."""

OTHER_NAMES = "(other)"

AT_ONCE = BLOCK
"""Records taken through all steps together: what one step made is still in the processor's cache for the next. They are
those of a block of what lanes share."""


HEAVY = 256 * 1024
"""Bytes of events that end such a group early."""

_NUMBER = attrgetter("seq")


Bodies = Shared[bytes | UnexpectedPayload]


class Prepared(msgspec.Struct):
    """What became of a chunk: records to send, numbers filtered out, and events that cannot be sent."""

    records: list[Record]
    filtered: list[int]
    refused: list[DeadLetter]


class RecordMaker:
    """Makes the records of one lane.

    Args:
        render: The lane's format.
        chosen: The lane's filter.
        normalizer: Gives the normaliser of a feed.
        unknown: Counter of unknown actions, bounded here.
        wants_event: Whether the sink likes to have the meaning as well. Else it is let go once the body is there, for
            what is kept takes memory and, at the next events, time.
        max_body: Longest body in bytes that the sink can carry.
        privacy: Makes events private before anything is rendered; None when nothing is private.
        sink: Name of the lane's sink.
        unrouted: Counts what no sink is there for.
        links: Follows the changes that several sources record.
        lateness: Finds what did not come as it happened.
        bodies: What other lanes have rendered whose formats write the same; None where no other does.
    """

    def __init__(
        self,
        render: Format,
        chosen: Chooses,
        normalizer: Callable[[str], Normalizer],
        unknown: Counter[str],
        *,
        wants_event: bool = False,
        max_body: int | None = None,
        privacy: PrivateRecords | None = None,
        sink: str = "",
        unrouted: Unrouted | None = None,
        links: Links | None = None,
        lateness: Lateness | None = None,
        bodies: Bodies | None = None,
    ) -> None:
        self._format = render
        self._filter = chosen
        self._normalizer = normalizer
        self._unknown = unknown
        self._writes_event = FormatTraits.of(render).needs_event
        self._wants_event = wants_event
        self._max_body = max_body
        self._privacy = privacy
        self._sink = sink
        self._unrouted = unrouted
        self._links = links if links is not None else Links(Counter())
        self._lateness = lateness if lateness is not None else Lateness(LateConfig(), Counter())
        self._bodies = bodies

    def make(self, chunk: Chunk) -> Prepared:
        """Return the records of a chunk, rendered, in order; what the lane has settled before is left out."""
        prepared = Prepared([], [], [])
        for records, _ in self._groups(chunk, prepared):
            self._prepare(chunk, records, prepared)
        return prepared

    async def make_in_turns(self, chunk: Chunk) -> Prepared:
        """Do what `make` does, and let others have their turn after what is heavy: a probe waits for one event only."""
        prepared = Prepared([], [], [])
        for records, heavy in self._groups(chunk, prepared):
            self._prepare(chunk, records, prepared)
            if heavy:
                await asyncio.sleep(0)
        return prepared

    def _groups(self, chunk: Chunk, prepared: Prepared) -> Iterator[tuple[list[Record], bool]]:
        """Give the records by groups, each of one block and as long as it is not heavy, and whether it is."""
        if self._filter.by_origin(chunk.origin) is False:
            prepared.filtered += [seq for seq in range(chunk.first, chunk.last + 1) if seq not in chunk.settled]
            if self._unrouted is not None:
                self._unrouted.left_out(self._sink, chunk.origin, len(prepared.filtered))
            return
        records, end = self.records(chunk), 0
        while end < len(records):
            begin, block = end, records[end].seq // AT_ONCE
            end = bisect_left(records, (block + 1) * AT_ONCE, begin, min(begin + AT_ONCE, len(records)), key=_NUMBER)
            sizes = [len(record.raw) for record in records[begin:end]]
            heavy = sum(sizes) >= HEAVY
            if heavy:
                end = begin + bisect_left(list(accumulate(sizes)), HEAVY) + 1
            yield records[begin:end], heavy

    def _prepare(self, chunk: Chunk, records: list[Record], prepared: Prepared) -> None:
        records = self._understood(chunk, records, prepared)
        late = self._lateness.find(records)
        if late:
            records = self._hold_back(records, late, prepared)
        related = {one.seq: one.event.related for one in records if one.event is not None and one.event.related}
        if related and self._links.drops:
            records = self._leave_out(records, prepared)
        made = len(prepared.records)
        records = self._make_private(records, prepared)
        if late:
            self._lateness.mark(records, late)
            if self._wants_event:
                tell(records)
        self._count_unknown_actions(records)
        self._render(records, prepared)
        if related:  # as the sources gave it: privacy may take away what the id is made of
            self._links.add((related[one.seq], one) for one in prepared.records[made:] if one.seq in related)
        self._let_go(records)

    def _understood(self, chunk: Chunk, records: list[Record], prepared: Prepared) -> list[Record]:
        """Return the records that the filter lets through, with their meaning where anything asks for it."""
        filters = self._filter.by_origin(chunk.origin) is None
        if filters or self._writes_event or self._links.drops:
            records = self._give_meaning(chunk, records, prepared.refused)
        elif self._wants_event or self._lateness.chooses:
            self._offer_meaning(chunk, records)
        return self._select(records, prepared) if filters else records

    def _let_go(self, records: list[Record]) -> None:
        """Let go of what the sink does not want of the meaning: what is kept takes memory and, later, time."""
        if not self._wants_event:
            for record in records:
                record.event = None
        elif records and len(records[-1].raw) >= HEAVY:  # such a one ends its group
            records[-1].event = _without_long_parts(records[-1].event)

    def _make_private(self, records: list[Record], prepared: Prepared) -> list[Record]:
        if self._privacy is None or (records and records[0].origin.feed == HEARTBEAT):  # it tells of nobody
            return records
        if not (self._writes_event or self._wants_event):
            for record in records:
                record.event = None  # it was for the filter only
        return self._privacy.apply(records, prepared.refused)

    def _select(self, records: list[Record], prepared: Prepared) -> list[Record]:
        kept = [record for record in records if self._filter.passes(record.origin, record.event)]
        if len(kept) < len(records):
            stay = {record.seq for record in kept}
            prepared.filtered += [record.seq for record in records if record.seq not in stay]
            if self._unrouted is not None:
                self._unrouted.filtered(self._sink, records, stay)
        return kept

    def _hold_back(self, records: list[Record], late: dict[int, Late], prepared: Prepared) -> list[Record]:
        """Return the records without those that come too late for this sink."""
        out = self._lateness.held_back(late)
        prepared.filtered += sorted(out)
        return [record for record in records if record.seq not in out] if out else records

    def _leave_out(self, records: list[Record], prepared: Prepared) -> list[Record]:
        """Return the records without those whose twin of another source this lane has already."""
        out = {record.seq for record in records if self._links.is_left_out(record)}
        prepared.filtered += sorted(out)
        return [record for record in records if record.seq not in out] if out else records

    def _render(self, records: list[Record], prepared: Prepared) -> None:
        most = self._max_body
        bodies = self._write(records) if self._bodies is None else self._bodies.of(records, self._write)
        for record, body in zip(records, bodies, strict=True):
            if isinstance(body, bytes):
                if most is not None and len(body) > most:
                    self._shorten(record, most, prepared)
                    continue
                record.body = body
                prepared.records.append(record)
            else:
                prepared.refused.append(DeadLetter.of_payload(record, body))

    def _write(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        tell(records)
        return self._format.render(records)

    def _shorten(self, record: Record, most: int, prepared: Prepared) -> None:
        """Have the body written in fewer bytes; what cannot be is a dead letter."""
        why = UnexpectedPayload(f"longer than the {most} bytes that the sink carries")
        tell([record])
        body = self._format.shrink(record, most) if isinstance(self._format, Shrinks) else why
        if isinstance(body, bytes) and len(body) <= most:
            record.body = body
            prepared.records.append(record)
        else:
            why = body if isinstance(body, UnexpectedPayload) else why
            prepared.refused.append(DeadLetter.of_payload(record, why, "too_large"))

    @staticmethod
    def records(chunk: Chunk) -> list[Record]:
        """Return the events of a chunk as they are before anything is done with them, but those that are settled."""
        origin, first, read_ms, source, reader = chunk.origin, chunk.first, chunk.read_ms, chunk.source, chunk.reader
        hexed = chunk.keys.hex()
        records = [
            Record(first + i, origin, hexed[i * 32 : i * 32 + 32], body, None, b"", read_ms, (), source, reader)
            for i, body in enumerate(chunk.bodies)
        ]
        for i in chunk.derived:
            records[i].marks = ("derived_id",)
        for i, digest in chunk.revisions.items():
            records[i].id += "-" + digest.hex()
            records[i].marks = (*records[i].marks, "revision")
        return [record for record in records if record.seq not in chunk.settled] if chunk.settled else records

    def _give_meaning(self, chunk: Chunk, records: list[Record], refused: list[DeadLetter]) -> list[Record]:
        understood: list[Record] = []
        events, counts = self._normalizer(chunk.origin.feed).normalize(records), self._privacy is None
        for record, event in zip(records, events, strict=True):
            if isinstance(event, UnexpectedPayload):
                refused.append(DeadLetter.of_payload(record, event))
                continue
            record.event = event
            if counts and not event.category:
                self._count_unknown(event)
            understood.append(record)
        return understood

    def _offer_meaning(self, chunk: Chunk, records: list[Record]) -> None:
        """Give each record its meaning where it has one; nothing is refused for the lack of it."""
        try:
            events = self._normalizer(chunk.origin.feed).normalize(records)
        except Held:
            return  # no one here knows this feed; its events are delivered as they are
        for record, event in zip(records, events, strict=True):
            if not isinstance(event, UnexpectedPayload):
                record.event = event
                if not (event.category or self._privacy is not None):
                    self._count_unknown(event)

    def _count_unknown_actions(self, records: list[Record]) -> None:
        """Count what a lane with privacy does not know once that has left out what may stand in place of an action."""
        if self._privacy is not None:
            for record in records:
                if record.event is not None and not record.event.category:
                    self._count_unknown(record.event)

    def _count_unknown(self, event: AuditEvent) -> None:
        action = event.action
        room = action in self._unknown or len(self._unknown) < MOST_UNKNOWN_NAMES
        name = action[:100] if room and may_be_own(action, event.feed) else OTHER_NAMES
        self._unknown[name] += 1


def _without_long_parts(event: AuditEvent | None) -> AuditEvent | None:
    """Return what a sink may want to know of a heavy event besides its body, which has the rest already."""
    if event is None:
        return None
    return msgspec.structs.replace(
        event, message=None, context=None, container=None, attributes=None, changes=(), also=None
    )
