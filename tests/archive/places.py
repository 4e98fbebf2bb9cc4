"""An archive in memory, which keeps versions as a bucket does, and may end or fail at any call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forwarder.archive import layout
from forwarder.archive.chain import HourDigests
from forwarder.archive.digest import Entry
from forwarder.archive.evidence import EvidenceWriter
from forwarder.archive.layout import EvidenceName
from forwarder.archive.stores import AlreadyStored, NotStored, StoredObject
from forwarder.contracts import Origin

SPOOL = "5" * 32
START = 1_795_960_800.0 + 600
"""2026-11-29T14:10 UTC."""
HOUR = 3600.0


class Killed(BaseException):
    """The process ended here."""


class MemoryStore:
    """All versions of each object, the oldest first; None is a marker of a deletion."""

    def __init__(self) -> None:
        self.kept: dict[str, list[bytes | None]] = {}
        self.before_create: Callable[[str], None] = lambda _: None
        self.after_create: Callable[[str], None] = lambda _: None
        self.deleted: list[str] = []
        self.keeps_versions = False

    @property
    def place(self) -> str:
        return "memory"

    @property
    def files(self) -> dict[str, bytes]:
        return {name: kept[-1] for name, kept in self.kept.items() if kept[-1] is not None}

    def put(self, name: str, data: bytes | None) -> None:
        """Do as an attacker with all rights in a bucket without versions."""
        if data is None:
            self.kept.pop(name, None)
        else:
            self.kept[name] = [data]

    async def create(self, name: str, data: bytes) -> None:
        self.before_create(name)
        if name in self.files:
            raise AlreadyStored(name)
        self.kept.setdefault(name, []).append(data)
        self.after_create(name)

    async def read(self, name: str) -> bytes:
        if name not in self.files:
            raise NotStored(name)
        return self.files[name]

    async def read_oldest(self, name: str) -> bytes:
        for version in self.kept.get(name, ()):
            if version is not None:
                return version
        raise NotStored(name)

    async def versions(self, name: str) -> int:
        return len(self.kept.get(name, ()))

    async def list(self, prefix: str) -> Sequence[StoredObject]:
        return [StoredObject(name, len(data)) for name, data in sorted(self.files.items()) if name.startswith(prefix)]

    async def folders(self, prefix: str) -> Sequence[str]:
        below = (name.removeprefix(prefix) for name in self.files if name.startswith(prefix))
        return sorted({f"{prefix}{rest.partition('/')[0]}/" for rest in below if "/" in rest})

    async def delete(self, name: str) -> None:
        self.before_create(name)
        if self.keeps_versions and name in self.files:
            self.kept[name].append(None)
        else:
            self.kept.pop(name, None)
        self.deleted.append(name)

    async def close(self) -> None:
        pass


def evidence(source: str, first: int, events: int, *, read_ms: int = 0, line: bytes = b"") -> bytes:
    """Return an object with the events of these numbers, or as many times this line."""
    writer = EvidenceWriter(Origin(source, "organization", "acme", ""))
    for number in range(first, first + events):
        writer.add(line or b'{"id":"%d"}' % number, number, read_ms)
    return writer.finish()


async def store_object(
    digests: HourDigests, store: MemoryStore, source: str, first: int, events: int, now: float
) -> str:
    """Store an object as a sink does, and note it."""
    name = str(EvidenceName(source, digests.hour_of(now), first, first + events - 1))
    data = evidence(source, first, events)
    await store.create(name, data)
    await digests.note(Entry.of(name, data, events, first, first + events - 1))
    return name


def digest_names(store: MemoryStore) -> list[str]:
    return [name for name in sorted(store.files) if layout.parse_digest(name) is not None]
