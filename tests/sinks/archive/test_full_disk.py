"""A full disk: the lane is held with a fix, no half object is seen, and everything goes on when there is room again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from forwarder.contracts import Batch, Held
from tests.sinks.archive.archives import archive_sink, numbers, objects, records
from tests.sinks.file.test_full_disk import small_disk

__all__ = ["small_disk"]


async def test_a_full_disk_holds_and_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 700_000)
    sink = archive_sink(small_disk, size="64KB")
    batch = records(range(1, 4001))
    rng = random.Random(1)
    for record in batch:
        record.raw = b'{"id":"e%d","x":"%s"}' % (record.seq, rng.randbytes(200).hex().encode())
    held: Held | None = None
    sent = 0
    while held is None:
        assert sent < len(batch), "the disk was never full"
        try:
            await sink.send(Batch(batch[sent : sent + 200]))
            sent += 200
        except Held as error:
            held = error
    assert held.kind == "disk_full"
    assert "Free space" in held.fix
    assert objects(small_disk), "the disk was full from the beginning"
    before = objects(small_disk)
    with pytest.raises(Held):
        await sink.send(Batch(batch[:200]))
    assert objects(small_disk) == before
    ballast.unlink()
    await sink.send(Batch(batch[: sent + 200]))
    await sink.finish()
    await sink.close()
    assert numbers(small_disk) == dict.fromkeys(range(1, sent + 201), 1)
