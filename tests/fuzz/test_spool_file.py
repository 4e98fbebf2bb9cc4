"""A spool whose file was damaged at random places: opened and used, it ends in a value or an error of ours."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from forwarder.contracts import ForwarderError
from forwarder.spool.contract import Settlement
from forwarder.spool.letter import DeadLetter, Selection
from tests.spool.spools import Harness, names, opened

SPOOLS = 12
EACH = 8


async def sound_spool(folder: Path) -> None:
    async with opened(folder) as harness:
        lane, other = await harness.lane(), await harness.lane("archive")
        for prefix in "abcd":
            await harness.put(*names(prefix, 10))
        await harness.take(lane, 20)
        await harness.settle(lane, (1, 12), (15, 15))
        await harness.take(other, 5)
        letter = DeadLetter(16, harness.source.number, "0" * 32, "refused", "words", b'{"id":"b5"}')
        rejected = Settlement([(16, 16)], dead_letters=[letter])
        await harness.spool.exchange(lane, rejected, after=15, events=10)


async def use(folder: Path) -> None:
    harness = Harness(folder)
    try:
        await harness.open()
        spool = harness.spool
        lane, other = await harness.lane(), await harness.lane("archive")
        await spool.status()
        await spool.books()
        await spool.dead_letters()
        for number in (lane, other):
            await harness.take(number, 50)
        await harness.put(*names("e", 3))
        await spool.clean_up()
        await spool.count_letters()
        await spool.retry_letters(None, Selection())
        await spool.doubts(lane)
        await spool.discards()
    finally:
        with suppress(ForwarderError):
            await harness.spool.close()


@pytest.mark.parametrize("seed", range(SPOOLS))
async def test_a_damaged_spool_ends_in_an_error_of_ours(tmp_path: Path, seed: int) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    await sound_spool(whole)
    rng = random.Random(seed)
    for number in range(EACH):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        path = folder / "spool.db"
        body = bytearray(path.read_bytes())
        for _ in range(rng.choice((1, 2, 4, 16))):
            at = rng.randrange(100, len(body))
            body[at : at + rng.choice((1, 2, 8))] = rng.randbytes(rng.choice((1, 2, 8)))
        path.write_bytes(body)
        with suppress(ForwarderError):
            await use(folder)
