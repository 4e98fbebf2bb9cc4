"""Reads an archive for tables: which days it has, which objects these have, and the lines of an object.

Blocking: not for a thread in which an event loop runs.
"""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from forwarder.archive import layout
from forwarder.archive.digest import Entry, read_digest
from forwarder.archive.digest import sha256 as sha256_of
from forwarder.archive.evidence import DamagedEvidence, Evidence, EvidenceObject, Header, events_of, header_of
from forwarder.archive.hours import HourCheck
from forwarder.archive.layout import EvidenceName
from forwarder.archive.stores import NotStored, Store
from forwarder.contracts.errors import Retryable
from forwarder.investigate.columns import Line, Place
from forwarder.investigate.loading import NotWhole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from types import TracebackType
    from typing import Self

    from forwarder.archive.hours import HourProof
    from forwarder.investigate.columns import Row
    from forwarder.investigate.rows import RowReader

T = TypeVar("T")

AT_ONCE = 16
"""Objects that are fetched side by side."""

_HASHED_AT_ONCE = 4

MOST_BYTES = 32 * 2**20
"""Of objects that are fetched side by side."""


PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each further try of what may pass."""


class Listed(msgspec.Struct, frozen=True):
    """What of a day and source is in the archive, in a few bytes: equal for the same objects only.

    Attributes:
        objects: How many.
        sha256: Of their names and sizes.
    """

    objects: int
    sha256: str


class ArchiveReader:
    """Reads evidence. Use it in a `with` statement; it closes the store.

    Args:
        store: Where the archive lies.

    Attributes:
        hashes: SHA-256 of the objects that rows were made of, by name.
        listed: Names of the objects of all days that were asked for.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._evidence = Evidence(store)
        self._runner = asyncio.Runner()
        self._ahead: dict[str, bytes | BaseException] = {}
        self.hashes: dict[str, str] = {}
        self.listed: set[str] = set()

    @property
    def place(self) -> str:
        """Where the archive lies, for people."""
        return self._store.place

    def days(self) -> dict[date, list[str]]:
        """Return the days on which evidence was stored, oldest first, and of which sources."""
        found: dict[date, list[str]] = {}
        for source in self._do(self._evidence.sources):
            for day in self._do(partial(self._evidence.days, source)):
                found.setdefault(day, []).append(source)
        return dict(sorted(found.items()))

    def objects(self, source: str, day: date) -> list[EvidenceObject]:
        """Return the objects of a source and day, in order of their hours and numbers."""
        found: list[EvidenceObject] = self._do(partial(self._evidence.of_day, source, day))
        self.listed.update(one.name for one in found)
        return found

    def digested(self, day: date) -> dict[str, Entry]:
        """Return what the digests of a day's hours say of objects, by name. Raises NotWhole for one that is damaged."""
        entries: dict[str, Entry] = {}
        for listed in self._do(partial(self._store.list, f"{layout.DIGESTS}{day:%Y/%m/%d}/")):
            if layout.parse_digest(listed.name) is not None:
                try:
                    digest = read_digest(self._do(partial(self._store.read_oldest, listed.name)))
                except (ValueError, RecursionError) as error:
                    raise NotWhole(f"The digest {listed.name} cannot be read: {error}.", fix=VERIFY) from error
                entries |= {entry.name: entry for entry in digest.objects}
        return entries

    def read(self, name: str) -> bytes:
        """Return the bytes of an object. Raises NotStored."""
        data: bytes | BaseException = self._ahead.pop(name, b"") or self._do(partial(self._evidence.read, name))
        if isinstance(data, BaseException):
            raise data
        return data

    def in_turn(self, objects: Iterable[EvidenceObject]) -> Iterator[EvidenceObject]:
        """Yield objects in order, while the bytes of some are fetched side by side: a bucket answers in its time."""
        for batch in _batches(objects):
            found = self._do(partial(_together, [partial(self._evidence.read, one.name) for one in batch]))
            self._ahead = dict(zip((one.name for one in batch), found, strict=True))
            yield from batch

    def rows(self, reader: RowReader, found: EvidenceObject, entry: Entry | None = None) -> Iterator[Row]:
        """Yield the rows of an object.

        Args:
            reader: Makes them.
            found: The object.
            entry: What its digest says of it.

        Raises NotWhole for an object that is gone, damaged, or not what its digest says.
        """
        try:
            data = self.read(found.name)
            self.hashes[found.name] = sha256_of(data)
            if entry is not None and self.hashes[found.name] != entry.sha256:
                raise NotWhole(f"{found.name} is not what its digest says.", fix=VERIFY)
            header = header_of(data)
            if entry is not None and header.events != entry.events:
                raise NotWhole(
                    f"{found.name} holds {header.events} events, and its digest says {entry.events}.", fix=VERIFY
                )
            if not _is_of(found.said, header):
                raise NotWhole(f"{found.name} holds the events of another object.", fix=VERIFY)
            stamps, ids = header.numbers(), header.ids
            lines = (
                Line(number, body, read_ms, ids.get(number - 1, ""))
                for number, (body, (_, read_ms)) in enumerate(zip(events_of(data), stamps, strict=True), 1)
            )
            yield from reader.read(lines, Place(found.said.source, found.name), header.origin)
        except NotStored as error:
            raise NotWhole(f"{found.name} is not there any more.", fix=VERIFY) from error
        except (DamagedEvidence, ValueError) as error:
            raise NotWhole(f"{found.name} is damaged: {error}.", fix=VERIFY) from error

    def hash(self, names: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 of objects as they are now; nothing of one that is not there."""
        for at in range(0, len(names), _HASHED_AT_ONCE):
            part = [name for name in names[at : at + _HASHED_AT_ONCE] if name not in self.hashes]
            found = self._do(partial(_together, [partial(self._evidence.read, name) for name in part]))
            for name, data in zip(part, found, strict=True):
                if isinstance(data, bytes):
                    self.hashes[name] = sha256_of(data)
                elif not isinstance(data, NotStored):
                    raise data
        return {name: self.hashes[name] for name in names if name in self.hashes}

    def prove(self, names: Collection[str], indexed: Mapping[str, str], days: Collection[date]) -> HourProof:
        """Return what the digests say of objects, and what is wrong in days whose objects were listed and read."""
        hashes = [self.hashes, indexed]
        proof: HourProof = self._do(lambda: HourCheck(self._store).check(names, hashes, days, self.listed))
        return proof

    def run(self, act: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """Return what is done with the archive itself."""
        return self._finish(act(self._store))

    def close(self) -> None:
        """Close the store. Safe to call twice."""
        try:
            self._do(self._store.close)
        finally:
            self._runner.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _do(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._finish(_patiently(ask))

    def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of it.

        Not by the task: as a runner takes its signal handler back, Python puts the task and its result into words,
        megabytes of them.
        """
        found: list[T] = []

        async def note() -> None:
            found.append(await work)

        self._runner.run(note())
        return found[0]


async def _patiently(ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Ask again where it may help: a year of evidence is many requests, and one of them fails."""
    for pause in PAUSES:
        try:
            return await ask()
        except Retryable as error:
            await asyncio.sleep(max(pause, error.retry_after or 0))
    return await ask()


async def _together(work: list[Callable[[], Coroutine[Any, Any, bytes]]]) -> list[bytes | BaseException]:
    found: list[bytes | BaseException] = await asyncio.gather(*map(_patiently, work), return_exceptions=True)
    return found


def _batches(objects: Iterable[EvidenceObject]) -> Iterator[list[EvidenceObject]]:
    batch: list[EvidenceObject] = []
    size = 0
    for one in objects:
        if batch and (len(batch) == AT_ONCE or size + one.size > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.size
    if batch:
        yield batch


VERIFY = "Run `audit-forwarder archive verify`, which says what is missing or changed."


def _is_of(said: EvidenceName, header: Header) -> bool:
    """Tell whether an object is the one that its name says."""
    first = min((span[0] for span in header.spans), default=0)
    last = max((span[1] for span in header.spans), default=0)
    return (said.source, said.first, said.last) == (header.source, first, last)


def listed(objects: list[EvidenceObject]) -> Listed:
    """Return what tells this list of objects from any other."""
    state = hashlib.sha256()
    for one in objects:
        state.update(f"{one.name} {one.size}\n".encode())
    return Listed(len(objects), state.hexdigest())
