"""What a file sink's folder and a spool tell when everything is over: lines, numbers and what was in doubt."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from forwarder.contracts import SystemClock
from forwarder.contracts.identity import document_id
from forwarder.spool.books import Books
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import DeadLetter, Settlement
from forwarder.spool.sqlite.lanes import Doubt
from forwarder.spool.sqlite.store import SqliteSpool


def files_of(path: Path) -> list[Path]:
    """Return the file and those that were set aside from it."""
    return sorted(path.parent.glob(f"{path.stem}*{path.suffix}"))


def whole_lines(path: Path) -> list[bytes]:
    """Return every line of every file. Fails when one ends without a line end."""
    found: list[bytes] = []
    for file in files_of(path):
        content = file.read_bytes()
        assert content.endswith(b"\n") or not content, f"{file.name} ends in a torn line"
        found += content.split(b"\n")[:-1]
    return found


def digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


@dataclass
class Kept:
    """What a spool kept: number by digest and by document id, doubts by sink, the books, bodies by number."""

    numbers: dict[str, int]
    doubts: dict[str, list[Doubt]]
    books: list[Books]
    bodies: dict[int, bytes]
    letters: list[DeadLetter] = field(default_factory=list)
    documents: dict[str, int] = field(default_factory=dict)

    def doubted(self, sink: str, seq: int) -> bool:
        return any(doubt.first <= seq <= doubt.last for doubt in self.doubts[sink])

    def in_doubt(self, sink: str) -> set[int]:
        return {seq for doubt in self.doubts[sink] for seq in range(doubt.first, doubt.last + 1)}

    def undoubted(self, sink: str, counts: Counter[str]) -> list[str]:
        """Return the digests that came more than once although they were never on record as in flight."""
        doubtful = self.in_doubt(sink)
        return [found for found, times in counts.items() if times > 1 and self.numbers[found] not in doubtful]


async def look_into(path: Path, *, after: int = 0, letters_after: int = 0) -> Kept:
    """Read a copy of a spool whose process has ended, as a new lane would; events and dead letters above a number."""
    copy = path.parent / "looked-into" / path.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    copy.parent.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        if file.is_file() and not file.name.endswith((".reserve", ".lock")):
            shutil.copy(file, copy.parent / file.name)
    spool = SqliteSpool(SpoolConfig(path=copy), SystemClock())
    await spool.open(create=False)
    try:
        books = await spool.books()
        lanes = (await spool.status()).lanes
        doubts = {lane.name: await spool.doubts(lane.number) for lane in lanes}
        number = (await spool.open_lane("auditor", "test", start="oldest", on_full="pause")).number
        bodies: dict[int, bytes] = {}
        documents: dict[str, int] = {}
        letters: list[DeadLetter] = []
        while found := await spool.dead_letters(after=letters_after):
            letters += found
            letters_after = found[-1].number
        while chunks := (await spool.exchange(number, Settlement(), after=after, events=5000)).chunks:
            for chunk in chunks:
                bodies |= dict(enumerate(chunk.bodies, chunk.first))
                for at in range(len(chunk.bodies)):
                    key = chunk.keys[16 * at : 16 * (at + 1)]
                    documents[document_id(key, chunk.revisions.get(at))] = chunk.first + at
            after = chunks[-1].last
    finally:
        await spool.close()
    return Kept({digest(body): seq for seq, body in bodies.items()}, doubts, books, bodies, letters, documents)
