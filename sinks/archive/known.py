"""Which events an archive has already: what is sent again is known by its number and bytes, and not stored twice.

After a kill everything comes again that was not settled, in other groups than before. An event cannot be stored before
it was read, so only names of objects since then are listed, and only objects whose numbers span that of an event are
read. A number alone proves nothing: a spool that was put back from a snapshot gives its numbers once more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from forwarder.archive.evidence import DamagedEvidence, Evidence, events_of, header_of
from forwarder.archive.stores import NotStored
from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from forwarder.archive.layout import EvidenceName

_DAY_MS = 86_400_000
_READ_AT_ONCE = 2  # objects whose numbers are kept in memory
_MOST_EVENTS = 1_000_000
_NONE = 2**63
_EPOCH = date(1970, 1, 1)


class _Shelf:
    """The objects of one source that were stored from some day on."""

    def __init__(self) -> None:
        self.since_day = 2**31
        self.names: list[EvidenceName] = []
        self.highest = 0
        self.hit: EvidenceName | None = None

    def add(self, name: EvidenceName) -> None:
        self.names.append(name)
        self.highest = max(self.highest, name.last)


class Known:
    """What is stored, by source.

    Args:
        evidence: Of the archive.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._shelves: dict[str, _Shelf] = {}
        self._read: OrderedDict[EvidenceName, dict[int, int]] = OrderedDict()
        self._log = get_logger()
        self.since = datetime.min.replace(tzinfo=UTC)  # what was stored before has the numbers of another spool

    def new_from(self, source: str, read_ms: int, now_ms: int) -> int:
        """Return the number from which on events that were read then are surely not stored, without asking anybody."""
        shelf = self._shelves.get(source)
        if shelf is None or _day_before(read_ms, now_ms) < shelf.since_day:
            return _NONE
        return shelf.highest + 1

    async def has(self, source: str, number: int, read_ms: int, now_ms: int, line: bytes) -> bool:
        """Tell whether an event is stored. Raises what the store raises."""
        shelf = self._shelves.setdefault(source, _Shelf())
        since_day = _day_before(read_ms, now_ms)
        if since_day < shelf.since_day:
            await self._list(shelf, source, since_day)
        if number > shelf.highest:
            return False
        if shelf.hit is not None and await self._is_in(shelf.hit, number, line):
            return True
        for name in reversed(shelf.names):
            if name.first <= number <= name.last and name.hour >= self.since and await self._is_in(name, number, line):
                shelf.hit = name
                return True
        return False

    def add(self, name: EvidenceName) -> None:
        """Note an object that was stored just now."""
        self._shelves.setdefault(name.source, _Shelf()).add(name)

    async def _list(self, shelf: _Shelf, source: str, since_day: int) -> None:
        for day in await self._evidence.days(source):
            number = (day - _EPOCH).days
            if since_day <= number < shelf.since_day and day >= self.since.date():
                for found in await self._evidence.of_day(source, day):
                    shelf.add(found.said)
        shelf.since_day = since_day

    async def _is_in(self, name: EvidenceName, number: int, line: bytes) -> bool:
        if not name.first <= number <= name.last:
            return False
        if name not in self._read:
            self._read[name] = await self._lines(name)
            if len(self._read) > _READ_AT_ONCE:
                self._read.popitem(last=False)
        return self._read[name].get(number) == hash(line)

    async def _lines(self, name: EvidenceName) -> dict[int, int]:
        """Return a hash of each line of an object by its number; nothing of one that cannot prove what it holds."""
        try:
            return await asyncio.to_thread(_numbered, await self._evidence.read(str(name)))
        except (NotStored, DamagedEvidence) as error:
            fix = "Look at the archive with: audit-forwarder archive verify."
            self._log.warning("evidence_not_readable", object=str(name), reason=str(error), fix=fix)
            return {}


def _numbered(data: bytes) -> dict[int, int]:
    header = header_of(data)
    if header.events > _MOST_EVENTS:
        raise DamagedEvidence(f"it claims {header.events} events, and none of this sink has so many")
    numbers = (number for number, _ in header.numbers())
    return dict(zip(numbers, map(hash, events_of(data)), strict=True))


def _day_before(read_ms: int, now_ms: int) -> int:
    """Return the day before an event was read, counted from the epoch; by a clock that was ahead then, from today."""
    return min(read_ms, now_ms) // _DAY_MS - 1
