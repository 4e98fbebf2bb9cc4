"""Archives in a folder, as the sink writes them, for an index to be made of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from forwarder.archive.digest import VERSION, Digest, Entry, canonical, iso_hour
from forwarder.archive.evidence import EvidenceWriter
from forwarder.archive.layout import EvidenceName, digest_name
from forwarder.archive.stores import open_store
from forwarder.contracts import Origin
from forwarder.investigate.parts import Index
from forwarder.investigate.reading import ArchiveReader

ORIGIN = Origin("acme", "organization", "a1b2c3d4-0000-1111-2222-333344445555")


class Archive:
    """A folder with evidence; numbers go on by themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = open_store(str(folder))
        self.index = Index(folder / "index" / "v1")
        self.entries: dict[datetime, list[Entry]] = {}
        self._next = 1

    def reader(self) -> ArchiveReader:
        return ArchiveReader(open_store(str(self.folder)))

    def put(
        self, stored: str, lines: Iterable[bytes], origin: Origin = ORIGIN, ids: dict[int, str] | None = None
    ) -> str:
        """Store an object in the hour of a time such as `2026-03-01T10`; return its name."""
        hour = datetime.fromisoformat(f"{stored}:00:00+00:00")
        writer = EvidenceWriter(origin)
        for at, line in enumerate(lines):
            writer.add(line, self._next, int(hour.timestamp() * 1000) + 60_000, (ids or {}).get(at, ""))
            self._next += 1
        data = writer.finish()
        name = str(EvidenceName(origin.source, hour, writer.first, writer.last))
        asyncio.run(self.store.create(name, data))
        entry = Entry.of(name, data, writer.events, writer.first, writer.last)
        self.entries.setdefault(hour, []).append(entry)
        return name

    def digest(self, stored: str) -> None:
        """Write the digest of an hour; a chain is not needed here."""
        hour = datetime.fromisoformat(f"{stored}:00:00+00:00")
        entries = tuple(sorted(self.entries.get(hour, []), key=lambda one: one.name))
        events = sum(one.events for one in entries)
        made = Digest(
            v=VERSION,
            seq=1,
            since=iso_hour(hour),
            until=iso_hour(hour),
            writer="w",
            writer_since=iso_hour(hour),
            key="",
            next_key="",
            previous="",
            objects=entries,
            events=events,
            recovered=(),
            newest_seq={},
            numbers_go_back=(),
        )
        asyncio.run(self.store.create(digest_name(hour), canonical(made)))

    def path(self, name: str) -> Path:
        return self.folder / name

    def change(self, name: str, data: bytes) -> None:
        """Put other bytes in the place of an object."""
        path = self.path(name)
        path.chmod(0o640)
        path.write_bytes(data)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
