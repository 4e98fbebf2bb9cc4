"""kill -9 of a process that writes the spool, at random moments: nothing missing, every double in a range on record."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from forwarder.contracts import SystemClock
from forwarder.spool.config import SpoolConfig
from forwarder.spool.sqlite.store import SqliteSpool
from tests.crash.spool_writer import EVENTS, REFUSED
from tests.spool.spools import ACME, body_of

ROOT = Path(__file__).parents[2]


def start(folder: Path, seed: int, most: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash.spool_writer", str(folder), str(seed), str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def kill_after(process: subprocess.Popen[str], turns: int) -> bool:
    """Kill it after so many pages; return whether it had finished before."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("turn"):
            turns -= 1
        if turns <= 0 or line.startswith("finished"):
            break
    process.kill()
    process.stdout.close()
    return process.wait() == 0


async def check(folder: Path, most: int) -> int:
    """Compare what arrived with what there was; return how many events arrived twice."""
    spool = SqliteSpool(SpoolConfig(path=folder / "spool.db"), SystemClock())
    await spool.open()
    try:
        status = await spool.status()
        assert status.last_seq == most * EVENTS
        assert (await spool.open_source(ACME)).cursors["tail"].state == {"page": most}
        assert [line.balance for line in await spool.books()] == [0, 0]
        refused = range(REFUSED, most * EVENTS + 1, REFUSED)
        assert [line.rejected for line in await spool.books()] == [len(refused)] * 2
        assert [line.accepted for line in await spool.books()] == [most * EVENTS - len(refused)] * 2
        assert status.gaps == []
        doubled = 0
        for lane in status.lanes:
            assert lane.position == most * EVENTS
            lines = (folder / lane.name).read_bytes().splitlines()
            arrived = Counter(line.partition(b" ")[2] for line in lines)
            assert set(arrived) == {body_of(f"p{page}-{at}") for page in range(most) for at in range(EVENTS)}
            numbers = Counter(int(line.partition(b" ")[0]) for line in lines)
            assert len(numbers) == most * EVENTS
            letters = await spool.dead_letters(lane.name, limit=most * EVENTS)
            assert sorted(letter.seq for letter in letters) == list(refused)
            bodies = {int(number): body for number, _, body in (line.partition(b" ") for line in lines)}
            assert all(letter.raw == bodies[letter.seq] for letter in letters), "not the event of its number"
            doubts = [(doubt.first, doubt.last) for doubt in await spool.doubts(lane.number)]
            twice = [seq for seq, times in numbers.items() if times > 1]
            assert all(any(first <= seq <= last for first, last in doubts) for seq in twice)
            doubled += len(twice)
        return doubled
    finally:
        await spool.close()


async def survive(folder: Path, kills: int, most: int, turns: int) -> None:
    rng = random.Random(f"{kills}-{most}")
    doubled_at_all = 0
    for number in range(kills):
        if kill_after(start(folder, number, most), rng.randint(1, turns)):
            pytest.fail("the writer finished before it was killed often enough; give it more pages")
    last = start(folder, kills, most)
    last.communicate(timeout=100)
    assert last.returncode == 0
    doubled_at_all += await check(folder, most)
    assert doubled_at_all > 0, "no kill hit anything in flight: the test proves nothing"


async def test_ten_kills(tmp_path):
    await survive(tmp_path, kills=10, most=150, turns=12)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_a_hundred_and_fifty_kills(tmp_path):
    await survive(tmp_path, kills=150, most=4000, turns=25)
