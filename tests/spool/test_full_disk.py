"""A disk that is really full: a small tmpfs. Nothing is lost, settling goes on, and room is all it takes to go on."""

import contextlib
import os
import subprocess

import pytest

from forwarder.contracts import Held
from forwarder.spool.contract import Settlement
from tests.spool.spools import Harness, bulky, found, move, names, opened


@pytest.fixture
def small_disk(tmp_path):
    """Mount 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("FULL DISK NOT TESTED: mounting a tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"FULL DISK NOT TESTED: mount says {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def fill(harness: Harness) -> list[str]:
    """Commit pages until the disk refuses; return the prefixes of those that went in."""
    done: list[str] = []
    for number in range(200):
        try:
            await harness.put(page=bulky(f"fill{number}-"))
        except Held as error:
            assert "spool.db is full" in str(error)
            assert error.kind == "disk_full"
            return done
        done.append(f"fill{number}-")
    raise AssertionError("the disk never became full")


def plug(folder, leave: int = 0) -> None:
    """Fill the disk with a file of another program."""
    with (folder / "plug").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    if leave:
        os.truncate(folder / "plug", max(0, (folder / "plug").stat().st_size - leave))


async def test_a_full_disk_holds_and_loses_nothing(small_disk):
    async with opened(small_disk) as harness:
        lane = await harness.lane()
        version = (await harness.put(moves=[move("tail", None, at=0)])).versions["tail"]
        done = await fill(harness)
        assert len(done) > 5
        with pytest.raises(Held):
            await harness.put(page=bulky("refused"), moves=[move("tail", version, at=1)])
        assert (small_disk / "spool.db.reserve").exists(), "it is for what makes room"
        assert len(found(await harness.take(lane))) == 50 * len(done)
    async with opened(small_disk) as harness:
        assert harness.source.cursors["tail"].state == {"at": 0}
        lane = await harness.lane()
        assert len(found(await harness.take(lane))) == 50 * len(done)


async def test_it_goes_on_by_itself_when_there_is_room(small_disk):
    async with opened(small_disk, retain=0) as harness:
        lane = await harness.lane()
        await harness.put(page=bulky("before"))
        plug(small_disk)
        await fill(harness)
        (small_disk / "plug").unlink()
        assert (await harness.put(page=bulky("after"))).new == 50
        every = await harness.drain(lane)
        assert len(every) == len(set(every)) == (await harness.spool.status()).last_seq
        assert (await harness.line()).balance == 0


async def test_settling_and_cleaning_work_on_a_full_disk(small_disk):
    async with opened(small_disk, retain=0) as harness:
        lane = await harness.lane()
        done = await fill(harness)
        plug(small_disk)
        after = 0
        while chunks := await harness.take(lane, 50, after):
            settlement = Settlement([(chunks[0].first, chunks[-1].last)])
            await harness.spool.exchange(lane, settlement, after=0, events=0)
            after = chunks[-1].last
        assert after == 50 * len(done)
        assert await harness.spool.clean_up() == len(done)
        assert (await harness.put(page=bulky("again"))).new == 50
        assert len(await harness.drain(lane)) == 50
        assert (await harness.line()).balance == 0


async def test_no_room_even_to_begin(small_disk):
    plug(small_disk, leave=8192)
    with pytest.raises(Held) as caught:
        async with opened(small_disk):
            pass
    assert caught.value.kind == "disk_full"
    (small_disk / "plug").unlink()
    async with opened(small_disk) as harness:
        assert (await harness.put(*names("a", 3))).new == 3
