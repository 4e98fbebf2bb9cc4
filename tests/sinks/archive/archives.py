"""An archive sink in a folder, on a clock that moves when told; and what the archive holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forwarder.archive.evidence import events_of, header_of
from forwarder.contracts import Batch, Clock, Delivery, Origin, Record
from forwarder.testing.far_end import context
from sinks.archive.settings import ArchiveConfig
from sinks.archive.sink import ArchiveSink

NOON = 1_769_860_800.0  # 2026-01-31T12:00:00Z
ORIGIN = Origin("acme", "organization", "org-1")
OTHER = Origin("other", "organization", "org-2")
SPOOL = "a" * 32


class MovedClock:
    """A clock that moves when told."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now
        self.since_start = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.since_start

    def go_on(self, seconds: float) -> None:
        self.now += seconds
        self.since_start += seconds


def archive_sink(folder: Path, clock: Clock | None = None, *, spool: str = SPOOL, **settings: Any) -> ArchiveSink:
    """Build a sink whose timer finds nothing to do by itself: the clock stands."""
    config = ArchiveConfig.model_validate({"path": str(folder / "archive"), **settings})
    sink = ArchiveSink(config, context("archive", clock=clock or MovedClock(), render="raw"))
    sink.belongs_to(spool)
    return sink


def line_of(number: int, *, salt: str = "") -> bytes:
    return f'{{"id":"e{number}{salt}","n":{number}}}'.encode()


def records(
    numbers: Iterable[int], *, origin: Origin = ORIGIN, salt: str = "", read_ms: int = int(NOON * 1000)
) -> list[Record]:
    return [
        Record(seq=n, origin=origin, id=f"{n:032x}", raw=(raw := line_of(n, salt=salt)), body=raw, read_ms=read_ms)
        for n in numbers
    ]


async def send(sink: ArchiveSink, numbers: Iterable[int], **more: Any) -> Delivery:
    return await sink.send(Batch(records(numbers, **more)))


def objects(folder: Path) -> list[Path]:
    return sorted((folder / "archive" / "evidence").rglob("*.ndjson.zst"))


def stored(folder: Path) -> Counter[bytes]:
    """Return how often each line is in the archive."""
    return Counter(line for path in objects(folder) for line in events_of(path.read_bytes()))


def numbers(folder: Path) -> Counter[int]:
    """Return how often each number is in the archive, by the headers."""
    return Counter(number for path in objects(folder) for number, _ in header_of(path.read_bytes()).numbers())


def lines(numbers: Iterable[int], *, salt: str = "") -> Counter[bytes]:
    return Counter(line_of(number, salt=salt) for number in numbers)
