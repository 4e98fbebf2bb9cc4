"""kill -9 at any call that writes: nothing is missing, nothing is twice, whatever groups come again."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forwarder.archive.evidence import events_of
from forwarder.archive.stores.local import LocalStore
from forwarder.archive.verify import verify
from forwarder.testing.far_end import event_id
from tests.sinks.archive.archives import numbers, objects

EVENTS = 200


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_call_everything_is_there_once_and_the_chain_is_whole(tmp_path: Path, seed: int) -> None:
    assert held_up(tmp_path, seed, [20, 90])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_at_any_call_two_hundred_times(tmp_path: Path) -> None:
    killed = 0
    for seed in itertools.count(100):
        folder = tmp_path / str(seed)
        folder.mkdir()
        killed += held_up(folder, seed, [60, 60, 90, 90, 60, 30])
        if killed >= 200:
            break


def held_up(folder: Path, seed: int, calls: list[int]) -> int:
    """Let several lives be killed and the last one end; return how many were killed."""
    killed = lead_lives(folder, random.Random(seed), calls)
    assert numbers(folder) == dict.fromkeys(range(1, EVENTS + 1), 1)
    ids = [event_id(line) for path in objects(folder) for line in events_of(path.read_bytes())]
    assert sorted(ids) == sorted(f"e{number}" for number in range(EVENTS))
    verdict = asyncio.run(verify(LocalStore(folder / "archive")))
    assert verdict.findings == []
    assert verdict.digests
    return killed


def lead_lives(folder: Path, rng: random.Random, calls: list[int], endpoint: str = "") -> int:
    """Let lives be killed at one of so many calls each, and one more end; return how many were killed."""
    killed = hours = 0
    for most in (*calls, 0):
        hours += rng.choice([0, 1, 3, -2])
        call = rng.randint(1, most) if most else 10**9
        when = rng.choice(["before", "after"])
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.sinks.archive.life",
                folder,
                str(EVENTS),
                str(call),
                when,
                str(rng.random())[2:9],
                str(hours),
                endpoint,
            ],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr
        killed += done.returncode != 0
    assert done.returncode == 0
    return killed
