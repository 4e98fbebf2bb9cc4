"""A file sink on a stopped clock, and what is in its file; for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from sinks.file.sink import FileConfig, FileSink


class StoppedClock:
    """A clock that moves when told."""

    def __init__(self, now: float = 1_769_860_800.0) -> None:  # 2026-01-31T12:00:00Z
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def file_sink(path: Path | str, clock: StoppedClock | None = None, **settings: Any) -> FileSink:
    config = FileConfig.model_validate({"path": str(path), **settings})
    return FileSink(config, context("archive", clock=clock or StoppedClock()))


def lines_of(path: Path) -> list[bytes]:
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n"), "half a line"
    return content.splitlines()


async def send(sink: FileSink, *bodies: bytes) -> None:
    delivery = await sink.send(batch_of(*bodies))
    assert list(delivery.accepted) == list(range(len(bodies)))
