"""Evidence objects: one event a line, as the API sent it, compressed; and before it what the lines do not say.

An object is two frames of zstd. The first is one that every reader skips, `zstd -dc` too, and holds a header as JSON:
where the lines come from, and which number in the spool each has. The second holds the lines and their checksum.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from forwarder.archive import layout
from forwarder.archive.layout import EvidenceName
from forwarder.archive.stores import Store
from forwarder.contracts.page import Origin

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3
_OPTIONS: Any = {zstd.CompressionParameter.compression_level: LEVEL, zstd.CompressionParameter.checksum_flag: 1}
_SKIPPED = struct.Struct("<II")
_SKIPPED_MAGIC = 0x184D2A50
_LARGEST_HEADER = 64 * 2**20
_CHUNK = 2**20
_BLOCK = 2**17
_LONGEST_LINE = 256 * 2**20


class DamagedEvidence(Exception):
    """The bytes of an object are not what was written; the text says how that was found."""


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an object's lines besides themselves.

    Attributes:
        source: Name in the configuration when they were stored.
        feed, organization, site: As in `Origin`; with them an event's document id is computed again.
        events: How many lines.
        spans: `[first, last, read_ms]` in the order of the lines: numbers in the spool, and when the page of them was
            read, epoch milliseconds.
        ids: Document ids that the line alone does not give, by line from 0: of revisions, and of events without an id.
    """

    v: int
    source: str
    feed: str
    organization: str
    site: str
    events: int
    spans: list[tuple[int, int, int]]
    ids: dict[int, str] = {}

    @property
    def origin(self) -> Origin:
        """Where the lines come from."""
        return Origin(self.source, self.feed, self.organization, self.site)

    def numbers(self) -> Iterator[tuple[int, int]]:
        """Yield the number in the spool and the time of reading of each line, in order."""
        for first, last, read_ms in self.spans:
            for number in range(first, last + 1):
                yield number, read_ms


class EvidenceWriter:
    """Compresses the lines of one object as they come: what it holds in memory is what the object will be.

    Attributes:
        events: How many lines it has.
        plain: How many bytes they are.
        size: How many bytes of the object are made; up to some 100 KB of lines are not packed yet.
        first, last: Lowest and highest number of them.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._frame = zstd.ZstdCompressor(options=_OPTIONS)
        self._parts: list[bytes] = []
        self._lines: list[bytes] = []  # not given to the compressor yet: it takes many at once for less
        self._due = _BLOCK
        self._spans: list[list[int]] = []
        self._span = [0, -1, 0]
        self._ids: dict[int, str] = {}
        self.events = self.plain = self.size = 0
        self.first, self.last = 2**63 - 1, 0

    def add(self, line: bytes, number: int, read_ms: int, identity: str = "") -> None:
        """Add an event.

        Args:
            line: As the API sent it, without a line end.
            number: Its number in the spool.
            read_ms: When its page was read, epoch milliseconds.
            identity: Its document id, where the line alone does not give it.
        """
        self._lines.append(line)
        if identity:
            self._ids[self.events] = identity
        self.events += 1
        self.plain += len(line) + 1
        if self.plain >= self._due:
            self._compress()
        span = self._span
        if span[1] == number - 1 and span[2] == read_ms:
            span[1] = number
        else:
            self._span = [number, number, read_ms]
            self._spans.append(self._span)
            self.first = min(self.first, number)
        self.last = max(self.last, number)

    def _compress(self) -> None:
        if self._lines:
            self._lines.append(b"")
            made = self._frame.compress(b"\n".join(self._lines))
            self._parts.append(made)
            self.size += len(made)
            self._lines, self._due = [], self.plain + _BLOCK

    def has(self, number: int) -> bool:
        """Tell whether it holds the event of this number."""
        return self.first <= number <= self.last and any(first <= number <= last for first, last, _ in self._spans)

    def finish(self) -> bytes:
        """Return the object; nothing can be added after."""
        self._compress()
        origin = self._origin
        header = Header(
            1,
            origin.source,
            origin.feed,
            origin.organization,
            origin.site,
            self.events,
            [(first, last, read_ms) for first, last, read_ms in self._spans],
            self._ids,
        )
        words = msgspec.json.encode(header)
        return b"".join([_SKIPPED.pack(_SKIPPED_MAGIC, len(words)), words, *self._parts, self._frame.flush()])


def header_of(data: bytes) -> Header:
    """Return the header of an object, of which the beginning is enough. Raises DamagedEvidence."""
    return _header(data)[0]


def events_of(data: bytes) -> Iterator[bytes]:
    """Yield the lines of an object, without line ends, in bounded memory.

    Raises DamagedEvidence as soon as it is seen: what was yielded before may be damaged, too, for the checksum stands
    at the end. A digest tells before.
    """
    header, at = _header(data)
    frame: Any = zstd.ZstdDecompressor()
    coming, begun, length, events = data[at:], list[bytes](), 0, 0
    try:
        while not frame.eof:
            chunk = frame.decompress(coming, max_length=_CHUNK)
            coming = b""
            if not chunk and frame.needs_input:
                raise DamagedEvidence("its end is missing")
            *lines, rest = chunk.split(b"\n")
            if lines:
                lines[0] = b"".join([*begun, lines[0]])
                begun, length = [], 0
                events += len(lines)
                if events > header.events:
                    break
                yield from lines
            begun.append(rest)
            length += len(rest)
            if length > _LONGEST_LINE:
                raise DamagedEvidence("a line of it has no end")
    except (zstd.ZstdError, MemoryError) as error:
        raise DamagedEvidence(f"it does not unpack ({error})") from error
    if events != header.events:
        holds = f"{events} events or more" if events > header.events else f"{events} events"
        raise DamagedEvidence(f"it holds {holds}, and its header says {header.events}")
    if length or frame.unused_data:
        raise DamagedEvidence("its end is not where it should be")


def damage_of(data: bytes, said: EvidenceName) -> str:
    """Return why bytes are not the evidence of this name, as far as they tell themselves; empty when they are."""
    try:
        header = header_of(data)
        for number, line in enumerate(events_of(data), 1):
            if not _is_json(line):
                return f"its line {number} is not JSON"
    except DamagedEvidence as error:
        return str(error)
    numbers = [number for first, last, _ in header.spans for number in (first, last)]
    if (header.source, min(numbers, default=0), max(numbers, default=0)) != (said.source, said.first, said.last):
        return "it holds the events of another object"
    return ""


def _is_json(line: bytes) -> bool:
    """Tell whether a line may be an event as an API sent it: more than one reader takes is no damage."""
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            json.loads(line.decode("utf-8", "replace"), strict=False)
        except RecursionError:
            return True
        except ValueError:
            return False
    except RecursionError:
        return True
    return True


def _header(data: bytes) -> tuple[Header, int]:
    """Return the header, and where the lines begin."""
    try:
        magic, size = _SKIPPED.unpack_from(data)
        if magic != _SKIPPED_MAGIC or size > _LARGEST_HEADER:
            raise DamagedEvidence("it does not begin as evidence does")
        end = _SKIPPED.size + size
        header = msgspec.json.decode(data[_SKIPPED.size : end], type=Header)
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedEvidence(f"its header cannot be read ({error})") from error
    if header.v != 1:
        raise DamagedEvidence(f"its header is of version {header.v}, which this version does not know")
    if sum(last - first + 1 for first, last, _ in header.spans) != header.events:
        raise DamagedEvidence("its header contradicts itself")
    return header, end


class EvidenceObject(msgspec.Struct, frozen=True):
    """An object as it is listed: its name in words, and its size in bytes."""

    name: str
    said: EvidenceName
    size: int


class Evidence:
    """The evidence of an archive.

    Args:
        store: Where.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def sources(self) -> list[str]:
        """Return the names of the sources that have evidence."""
        found = [layout.source_of(folder) for folder in await self._store.folders(layout.EVIDENCE)]
        return [source for source in found if source is not None]

    async def days(self, source: str) -> list[date]:
        """Return the days on which evidence of a source was stored, oldest first."""
        found = [layout.day_of(folder) for folder in await self._store.folders(layout.source_folder(source))]
        return sorted(day for day in found if day is not None)

    async def of_day(self, source: str, day: date) -> list[EvidenceObject]:
        """Return the objects of a source and day, in order of their hours and numbers."""
        listed = await self._store.list(layout.day_folder(source, day))
        named = ((layout.parse_evidence(each.name), each) for each in listed)
        return [EvidenceObject(each.name, said, each.size) for said, each in named if said is not None]

    async def objects(
        self, source: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[EvidenceObject]:
        """Yield the objects that were stored in the hours of a period, source by source, oldest first.

        Args:
            source: Of this one only.
            since: From the hour of this time on.
            until: Before this time.
        """
        sources: Sequence[str] = await self.sources() if source is None else [source]
        for each in sources:
            for day in await self.days(each):
                if (since is None or day >= since.date()) and (until is None or day <= until.date()):
                    for found in await self.of_day(each, day):
                        hour = found.said.hour
                        if (since is None or hour >= since.replace(minute=0, second=0, microsecond=0)) and (
                            until is None or hour < until
                        ):
                            yield found

    async def read(self, name: str) -> bytes:
        """Return an object as it was first stored. Raises NotStored."""
        return await self._store.read_oldest(name)

    async def lines(self, name: str) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the lines of an object with their numbers, from 1. Raises NotStored and DamagedEvidence."""
        for number, line in enumerate(events_of(await self.read(name)), 1):
            yield number, line
