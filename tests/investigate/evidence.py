"""Archives in a folder, as the sink writes them, for an index to be made of."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from forwarder.archive.digest import (
    HOUR,
    VERSION,
    Digest,
    Entry,
    canonical,
    count_on,
    iso_hour,
    parse_hour,
    sha256,
)
from forwarder.archive.evidence import EvidenceWriter
from forwarder.archive.keys import SigningKey
from forwarder.archive.layout import EvidenceName, digest_name, key_name, parse_evidence, quoted, signature_name
from forwarder.archive.stores import open_store
from forwarder.contracts import Origin
from forwarder.investigate.parts import Index
from forwarder.investigate.reading import ArchiveReader

ORIGIN = Origin("acme", "organization", "a1b2c3d4-0000-1111-2222-333344445555")


class Archive:
    """A folder with evidence; numbers go on by themselves; with a key its digests are signed."""

    def __init__(self, folder: Path, key: SigningKey | None = None) -> None:
        self.folder = folder
        self.key = key
        self.newest: Digest | None = None
        self.store = open_store(str(folder))
        self.index = Index(folder / "index" / "v1")
        self.entries: dict[datetime, list[Entry]] = {}
        self._next = 1

    def copied(self, folder: Path) -> Archive:
        """Return the same over a copy of the folder."""
        other = copy.deepcopy(self)
        other.folder, other.store, other.index = folder, open_store(str(folder)), Index(folder / "index" / "v1")
        return other

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
        """Write the digests up to that of an hour, chained and signed as the sink does it."""
        hour = datetime.fromisoformat(f"{stored}:00:00+00:00")
        at = parse_hour(self.newest.until) if self.newest is not None else hour
        while at <= hour:
            self._close(at)
            at += HOUR

    def _close(self, hour: datetime) -> None:
        entries = tuple(sorted(self.entries.get(hour, []), key=lambda one: one.name))
        before = self.newest
        newest_seq, back = count_on(
            before.newest_seq if before is not None else {},
            [(quoted(name.source), one) for one in entries if (name := parse_evidence(one.name)) is not None],
        )
        self.newest = Digest(
            v=VERSION,
            seq=1 if before is None else before.seq + 1,
            since=iso_hour(hour),
            until=iso_hour(hour + HOUR),
            writer="w",
            writer_since=iso_hour(hour) if before is None else before.writer_since,
            key=self.key.id if self.key is not None else "",
            next_key="",
            previous="" if before is None else sha256(canonical(before)),
            objects=entries,
            events=sum(one.events for one in entries),
            recovered=(),
            newest_seq=newest_seq,
            numbers_go_back=back,
        )
        data = canonical(self.newest)
        self._write(digest_name(hour), data)
        if self.key is not None:
            self._write(signature_name(digest_name(hour)), self.key.sign(data))
            if before is None:
                self._write(key_name(self.key.id), self.key.public.pem)

    def _write(self, name: str, data: bytes) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def path(self, name: str) -> Path:
        return self.folder / name

    def change(self, name: str, data: bytes) -> None:
        """Put other bytes in the place of an object."""
        path = self.path(name)
        path.chmod(0o640)
        path.write_bytes(data)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
