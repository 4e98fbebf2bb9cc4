"""What is gathered for an archive: one open segment a source, stored as one object when it is full or old enough.

::

    add(event) ─► open segment ─► full, old, or at the end ─► sealed, named ─► create ─► noted for the hour's digest

A sealed segment keeps its name and its bytes until it is stored: an attempt whose answer was lost may have stored it,
and then the next one finds the same bytes there. While one cannot be stored nothing more is taken, so an archive that
is away costs the memory of two segments a source, whatever waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from forwarder.archive.digest import Entry
from forwarder.archive.evidence import EvidenceWriter
from forwarder.archive.layout import EvidenceName
from forwarder.archive.stores import AlreadyStored
from forwarder.contracts import Held

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from forwarder.archive.stores import Store
    from forwarder.contracts import Clock, Origin, Record
    from sinks.archive.known import Known

_MOST_EVENTS = 100_000
_MOST_RATIO = 16
"""Bytes of lines for each byte of `size`: what is packed far better than that is a text that repeats itself."""

_OWN_ID = {"derived_id", "revision"}


class Digests(Protocol):
    """What is asked of the chain of digests (`forwarder.archive.chain`)."""

    @property
    def since(self) -> datetime:
        """The hour from which on what is stored has numbers of this spool."""
        ...

    def hour_of(self, now: float) -> datetime:
        """Return the hour as which an object stored now counts."""
        ...

    async def open(self, now: float) -> None:
        """Continue the chain, or begin it."""
        ...

    async def note(self, entry: Entry) -> None:
        """Take an object that is stored into the digest of its hour."""
        ...

    async def close_due(self, now: float, unsettled: Collection[str] = ()) -> int:
        """Write the digests of all hours that are over."""
        ...


class Segment:
    """The events of one source on their way to one object.

    Attributes:
        token: Distinguishes it from all others of this process.
        opened: When, by the clock that never goes back.
        name: Of the object, once it was tried to store it.
    """

    def __init__(self, record: Record, token: int, opened: float) -> None:
        self._writer = EvidenceWriter(record.origin)
        self._data = b""
        self.origin = record.origin
        self.token = token
        self.opened = opened
        self.name: EvidenceName | None = None

    def add(self, record: Record, line: bytes) -> None:
        """Add an event."""
        own = record.id if record.marks and _OWN_ID.intersection(record.marks) else ""
        self._writer.add(line, record.seq, record.read_ms, own)

    @property
    def last(self) -> int:
        """The highest number in it."""
        return self._writer.last

    def has(self, number: int) -> bool:
        """Tell whether it holds the event of this number."""
        return self._writer.has(number)

    def is_full(self, size: int) -> bool:
        """Tell whether it should become an object of this size."""
        writer = self._writer
        return writer.size >= size or writer.plain >= _MOST_RATIO * size or writer.events >= _MOST_EVENTS

    def place(self, hour: datetime) -> EvidenceName:
        """Return its name, given once."""
        if self.name is None:
            self.name = EvidenceName(self.origin.source, hour, self._writer.first, self._writer.last)
        return self.name

    @property
    def events(self) -> int:
        """How many events it has."""
        return self._writer.events

    def data(self) -> bytes:
        """Return the object; nothing is added any more."""
        if not self._data:
            self._data = self._writer.finish()
        return self._data


class Segments:
    """All of one sink; used by one task at a time.

    Args:
        store: Where objects go.
        known: What is stored.
        digests: The chain.
        clock: Time.
        every: Seconds after which a segment is stored, however small it is.
        size: Bytes of an object from which on it is stored, however young it is.
    """

    def __init__(
        self, store: Store, known: Known, digests: Digests, *, clock: Clock, every: float, size: int
    ) -> None:  # fmt: skip
        self._store = store
        self._known = known
        self._digests = digests
        self._clock = clock
        self._every = every
        self._size = size
        self._open: dict[Origin, Segment] = {}
        self._sealed: list[Segment] = []
        self._tokens = 0

    def is_stored(self, token: int) -> bool:
        """Tell whether a segment of this process is an object now."""
        return token <= self._tokens and all(each.token != token for each in (*self._open.values(), *self._sealed))

    async def begin(self) -> None:
        """Look which archive this is, and store what is full. Raises what the chain and the store raise."""
        await self._digests.open(self._clock.time())
        self._known.since = self._digests.since
        await self._store_sealed()

    async def take(self, records: Sequence[Record]) -> list[int | None]:
        """Take events; return for each the token of its segment, None when it is stored already."""
        now_ms = int(self._clock.time() * 1000)
        tokens: list[int | None] = []
        segment: Segment | None = None
        of: tuple[Origin | None, int] = (None, 0)  # whose the event before was, and when it was read
        new_from = 0  # all from this number on are new
        for record in records:
            number, origin = record.seq, record.origin
            if of[0] is not origin or of[1] != record.read_ms:
                of = origin, record.read_ms
                segment = self._open.get(origin)
                new_from = self._known.new_from(origin.source, record.read_ms, now_ms)
            if segment is not None and number <= segment.last and segment.has(number):
                tokens.append(segment.token)
                continue
            if self._sealed and (sealed := next((each for each in self._sealed if each.has(number)), None)) is not None:
                tokens.append(sealed.token)
                continue
            line = record.raw
            if b"\n" in line or b"\r" in line:  # between tokens, where any white space is allowed
                line = line.replace(b"\n", b" ").replace(b"\r", b" ")
            if number < new_from:
                is_known = await self._known.has(origin.source, number, record.read_ms, now_ms, line)
                new_from = self._known.new_from(origin.source, record.read_ms, now_ms)
                if is_known:
                    tokens.append(None)
                    continue
            if segment is None:
                self._tokens += 1
                segment = self._open[origin] = Segment(record, self._tokens, self._clock.monotonic())
            segment.add(record, line)
            tokens.append(segment.token)
            if segment.is_full(self._size):
                self._seal(segment)
                segment = None
        return tokens

    async def store_due(self, *, everything: bool = False) -> None:
        """Store what is full or old enough, and write the digests that are due."""
        now = self._clock.monotonic()
        for segment in list(self._open.values()):
            if everything or now - segment.opened >= self._every:
                self._seal(segment)
        await self.begin()
        await self._digests.close_due(self._clock.time(), [str(each.name) for each in self._sealed if each.name])

    def _seal(self, segment: Segment) -> None:
        del self._open[segment.origin]
        self._sealed.append(segment)

    async def _store_sealed(self) -> None:
        while self._sealed:
            segment = self._sealed[0]
            name, data = segment.place(self._digests.hour_of(self._clock.time())), segment.data()
            try:
                await self._store.create(str(name), data)
            except AlreadyStored:
                if await self._store.read_oldest(str(name)) != data:
                    segment.name = None  # so what is there is not ours, and another hour has another name
                    raise Held(
                        f"{name} in {self._store.place} is there already, and is not what this sink would store.",
                        fix="Let one forwarder write to an archive; this one goes on with the next hour.",
                    ) from None
            await self._digests.note(Entry.of(str(name), data, segment.events, name.first, name.last))
            self._known.add(name)
            del self._sealed[0]
