"""Pages at rest: one small row for scans, one compressed row for the events, and the newest ones kept in memory.

A page is `lengths (4 bytes each, little endian) + events` as one zstd frame. Its checksum covers the frame, the keys,
the marks and the numbers, and is tested before anything is believed.
"""

from __future__ import annotations

import sqlite3
import struct
import sys
from array import array
from collections import Counter, OrderedDict
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from forwarder.spool import days

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forwarder.spool.contract import Range
    from forwarder.spool.days import Run

LEVEL = 1
_CACHE_BYTES = 4 * 2**20
"""Bytes of the newest pages that are kept for lanes: at the tip these are a page or two behind."""
_IN_PARTS = 4 * 2**20
"""Bytes of a page from which its events are compressed one after the other."""

_NO_PAGE = 2**62
_REVISION = struct.Struct("<I8s")

Part = tuple[int, str]
"""A source, by number, and a day: what the books tell apart."""


class PageRow(msgspec.Struct, frozen=True, gc=False):
    """The small row of a page; `audience` is empty when the page is for every lane."""

    last: int
    first: int
    source: int
    audience: str
    bytes: int
    committed_ms: int
    oldest_minute: str
    newest_ms: int | None
    checksum: int
    reader: str = ""
    days: str = ""

    @property
    def events(self) -> int:
        """How many events it holds."""
        return self.last - self.first + 1

    def by_day(self, first: int, last: int) -> Iterator[Run]:
        """Yield the days of its events numbered first..last, each with how many; those outside of it do not count."""
        runs = days.read(self.days, self.events)
        return days.between(runs, max(first - self.first, 0), last - self.first + 1)


class DamagedPage(Exception):
    """What is stored of a page is not what was written; the text says how that was found.

    Attributes:
        row: The page.
        readable: SQLite can follow its row; else deleting it could fail for the same reason.
    """

    def __init__(self, row: PageRow, text: str, *, readable: bool = True) -> None:
        super().__init__(text)
        self.row = row
        self.readable = readable


class Content(msgspec.Struct, frozen=True):
    """The events of a page."""

    bodies: Sequence[bytes]
    keys: bytes
    revisions: dict[int, bytes]
    derived: frozenset[int]


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A page ready to be written."""

    events: int
    packed: bytes
    keys: bytes
    marks: bytes

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return len(self.packed) + len(self.keys) + len(self.marks)


def compress(raw: bytes) -> bytes:
    """Compress the raw event of a dead letter, with a checksum: no other guards it."""
    return bytes(_COMPRESS(raw, options=_GUARDED))


def decompress(packed: bytes) -> bytes:
    """Return the raw event of a dead letter. Raises ValueError."""
    # Not by `decompress`, which takes as much memory as damaged bytes claim to need.
    frame = zstd.ZstdDecompressor()
    try:
        plain = bytes(frame.decompress(packed))
    except (zstd.ZstdError, MemoryError) as error:
        raise ValueError(f"it does not unpack ({error})") from error
    if not frame.eof or frame.unused_data:
        raise ValueError("it does not unpack (its end is not where it should be)")
    return plain


def pack(bodies: Sequence[bytes]) -> bytes:
    """Return the compressed form."""
    lengths = array("I", map(len, bodies))
    if sys.byteorder == "big":
        lengths.byteswap()
    if sum(lengths) < _IN_PARTS:
        return bytes(_COMPRESS(b"".join((lengths.tobytes(), *bodies)), LEVEL))
    frame = zstd.ZstdCompressor(LEVEL)  # without a copy of all of it, which may be 60 MB
    return b"".join([frame.compress(lengths.tobytes()), *map(frame.compress, bodies), frame.flush()])


def unpack(packed: bytes, events: int) -> list[bytes]:
    """Return the events. Raises ValueError when the bytes do not hold exactly that many."""
    plain = decompress(packed)
    table = 4 * events
    lengths = array("I")
    lengths.frombytes(plain[:table] if len(plain) >= table else b"")
    if sys.byteorder == "big":
        lengths.byteswap()
    if len(lengths) != events or table + sum(lengths) != len(plain):
        raise ValueError("its lengths do not add up")
    return [plain[start:end] for start, end in pairwise(accumulate(lengths, initial=table))]


def _pack_marks(revisions: dict[int, bytes], derived: Iterable[int]) -> bytes:
    if not revisions and not derived:
        return b""
    parts = [struct.pack("<I", len(revisions)), *(_REVISION.pack(at, digest) for at, digest in revisions.items())]
    return b"".join(parts) + array("I", sorted(derived)).tobytes()


def _unpack_marks(marks: bytes) -> tuple[dict[int, bytes], frozenset[int]]:
    if not marks:
        return {}, frozenset()
    end = 4 + struct.unpack_from("<I", marks)[0] * _REVISION.size
    derived = array("I")
    derived.frombytes(marks[end:])
    return dict(_REVISION.iter_unpack(marks[4:end])), frozenset(derived)


def _checksum(numbers: tuple[int, int, int, str], content: tuple[bytes, bytes, bytes]) -> int:
    value = crc32(repr(numbers).encode())
    for part in content:
        value = crc32(part, value)
    return value


_COMPRESS: Any = zstd.compress
_GUARDED = {zstd.CompressionParameter.compression_level: LEVEL, zstd.CompressionParameter.checksum_flag: 1}
_SELECT = (
    "SELECT last_seq, first_seq, source, audience, bytes, committed_ms, oldest_minute, newest_ms, checksum, reader, "
    "days FROM pages "
)


class Pages:
    """The tables `pages` and `bodies`. Runs inside its caller's transaction."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self._cache: OrderedDict[int, tuple[int, Content]] = OrderedDict()
        self._cached = 0

    @staticmethod
    def pack(content: Content) -> Packed:
        """Compress a page before room is made for it."""
        return Packed(
            len(content.bodies), pack(content.bodies), content.keys, _pack_marks(content.revisions, content.derived)
        )

    def add(
        self,
        first: int,
        source: int,
        audience: str,
        packed: Packed,
        *,
        committed_ms: int,
        oldest_minute: str,
        newest_ms: int | None,
        reader: str,
        runs: Sequence[Run],
    ) -> PageRow:
        """Write a page whose events are numbered from `first`."""
        last = first + packed.events - 1
        checksum = _checksum((last, first, source, audience), (packed.packed, packed.keys, packed.marks))
        row = PageRow(
            last,
            first,
            source,
            audience,
            packed.size,
            committed_ms,
            oldest_minute,
            newest_ms,
            checksum,
            reader,
            days.written(runs),
        )
        self._con.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(row))
        self._con.execute("INSERT INTO bodies VALUES (?, ?, ?, ?)", (last, packed.keys, packed.marks, packed.packed))
        return row

    def remember(self, row: PageRow, content: Content) -> None:
        """Keep a page in memory for the lanes that are about to read it."""
        size = sum(map(len, content.bodies))
        self.drop((row.last,))
        self._cache[row.last] = (size, content)
        self._cached += size
        # The last one stays whatever its size: else each lane would have a copy of its own of an event of 60 MB.
        while self._cached > _CACHE_BYTES and len(self._cache) > 1:
            self._cached -= self._cache.popitem(last=False)[1][0]

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget pages that are no longer stored."""
        for last in numbers:
            if last in self._cache:
                self._cached -= self._cache.pop(last)[0]

    def after(self, seq: int, audience: str) -> PageRow | None:
        """Return the first page for `audience` that ends above `seq`."""
        found = self._con.execute(
            _SELECT + "WHERE last_seq > ? AND audience IN ('', ?) ORDER BY last_seq LIMIT 1",
            (seq, audience),
        ).fetchone()
        return PageRow(*found) if found else None

    def oldest(self) -> PageRow | None:
        """Return the oldest page."""
        found = self._con.execute(_SELECT + "ORDER BY last_seq LIMIT 1").fetchone()
        return PageRow(*found) if found else None

    def of_source(self, source: int, after: int, most: int) -> list[PageRow]:
        """Return the pages of a source for all lanes that end above a number, so many at most."""
        found = self._con.execute(
            _SELECT + "WHERE last_seq > ? AND source = ? AND audience = '' ORDER BY last_seq LIMIT ?",
            (after, source, most),
        )
        return [PageRow(*columns) for columns in found]

    def end_before(self, seq: int) -> int:
        """Return the last number of the newest page that ends at `seq` or before; 0 when none does."""
        row = self._con.execute("SELECT max(last_seq) FROM pages WHERE last_seq <= ?", (seq,)).fetchone()
        return row[0] or 0

    def begin_after(self, seq: int) -> int:
        """Return the first number of the oldest page that ends above `seq`; that of the next one when none does."""
        row = self._con.execute("SELECT first_seq FROM pages WHERE last_seq > ? ORDER BY last_seq LIMIT 1", (seq,))
        found = row.fetchone() or self._con.execute("SELECT value FROM meta WHERE name = 'next_seq'").fetchone()
        return int(found[0])

    def end_of_oldest(self, size: int) -> int:
        """Return the number where the oldest pages that hold `size` bytes end."""
        end = 0
        for last, count in self._con.execute("SELECT last_seq, bytes FROM pages ORDER BY last_seq"):
            end = last
            size -= count
            if size <= 0:
                break
        return end

    def spanning(self, span: Range, audience: str | None = None) -> list[PageRow]:
        """Return the pages that touch a range, oldest first; for one audience, or all pages."""
        first, last = span
        found: list[PageRow] = []
        for columns in self._con.execute(
            _SELECT + "WHERE last_seq >= ? ORDER BY last_seq",
            (first,),
        ):
            row = PageRow(*columns)
            if row.first > last:  # numbers only rise: nothing later touches the range
                break
            if audience is None or row.audience in {"", audience}:
                found.append(row)
        return found

    def counted(self, first: int, last: int, audience: str) -> Counter[Part]:
        """Count the events of a range that are for an audience, by source and day.

        Pages that lie in it as a whole are counted by SQLite: there may be very many.
        """
        counts: Counter[Part] = Counter()
        begin = self.after(first - 1, audience) if first <= last else None
        if begin is None:
            return counts
        end = self.after(last - 1, audience)
        for row in (begin, end) if end and end.last != begin.last else (begin,):
            for day, events in row.by_day(first, last):
                counts[row.source, day] += events
        for source, text, pages, events in self._con.execute(
            "SELECT source, days, count(*), sum(last_seq - first_seq + 1) FROM pages "
            "WHERE last_seq > ? AND last_seq < ? AND audience IN ('', ?) GROUP BY source, days",
            (begin.last, end.last if end else _NO_PAGE, audience),
        ):
            if "*" not in text:
                counts[source, text] += events
                continue
            for day, count in days.read(text, events // pages):  # the same text is of pages of the same size
                counts[source, day] += count * pages
        return counts

    def holes(self, first: int, last: int) -> Iterator[Range]:
        """Yield the parts of a range that no page holds, whoever it is for."""
        at = first
        for begin, end in self._con.execute(
            "SELECT first_seq, last_seq FROM pages WHERE last_seq >= ? ORDER BY last_seq", (first,)
        ):
            if begin > last:
                break
            if begin > at:
                yield at, begin - 1
            at = end + 1
        if at <= last:
            yield at, last

    def read(self, row: PageRow) -> Content:
        """Return the events of a page. Raises DamagedPage."""
        cached = self._cache.get(row.last)
        if cached is not None:
            self._cache.move_to_end(row.last)
            return cached[1]
        try:
            found = self._con.execute(
                "SELECT packed, keys, marks FROM bodies WHERE last_seq = ?", (row.last,)
            ).fetchone()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
                raise
            raise DamagedPage(row, f"SQLite cannot read it ({error})", readable=False) from error
        if found is None:
            raise DamagedPage(row, "its events are missing")
        if _checksum((row.last, row.first, row.source, row.audience), found) != row.checksum:
            raise DamagedPage(row, "its checksum differs")
        packed, keys, marks = found
        try:
            bodies = unpack(packed, row.events)
        except ValueError as error:
            raise DamagedPage(row, str(error)) from error
        content = Content(bodies, keys, *_unpack_marks(marks))
        self.remember(row, content)
        return content

    def remove(self, last_seqs: Sequence[int], *, bodies: bool = True) -> None:
        """Delete pages, and their events unless `bodies` is false."""
        rows = [(last,) for last in last_seqs]
        self._con.executemany("DELETE FROM pages WHERE last_seq = ?", rows)
        if bodies:
            self._con.executemany("DELETE FROM bodies WHERE last_seq = ?", rows)
        self.drop(last_seqs)
