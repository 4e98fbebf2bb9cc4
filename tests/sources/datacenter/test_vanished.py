"""What a product removed before it was read is said, once, and nothing else is."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.sources.datacenter.from_files import SAID_FOR
from forwarder.sources.datacenter.vanished import GONE_MS
from simulator.products.node_file import NodeFile
from tests.examples import examples
from tests.sources.datacenter.test_files import (
    LOG,
    NOW_MS,
    Clock,
    Reader,
    _refused,
    line,
    lines,
    rewrite,
    source,
    write,
)

DAY_MS = 86_400_000


def name(number: int, day: int = 1) -> str:
    return f"202601{day:02d}-{number:05d}.audit.log"


class Watcher(Reader):
    """Looks until everything that is lost was found."""

    def __init__(self, tmp_path: Path, *names: str, since: int = 0, **more: Any) -> None:
        self.clock = Clock()
        super().__init__(source(tmp_path, *names, clock=self.clock, **more), since)

    async def settle(self) -> list[str]:
        """Look until what is gone is gone for long enough; return why things are lost that were not before."""
        before = len(self.lost)
        await self.read()
        self.clock.now += GONE_MS / 1000
        await self.read()
        await self.again()
        await self.read()
        assert len({each.detail for each in self.lost}) == len(self.lost), "each is said once"
        return [each.why for each in self.lost[before:]]


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return tmp_path / "node1"


async def half_read(tmp_path: Path, node: Path) -> Watcher:
    """Return a reader that has seen two files, and read the first half of the first."""
    watcher = Watcher(tmp_path, limit=5)
    write(node / name(0), lines(*range(10)))
    write(node / name(1), lines(*range(10, 15)), NOW_MS + 5)
    assert await watcher.page()
    return watcher


@pytest.mark.parametrize("anew", [True, False])
async def test_a_file_that_is_removed_with_bytes_unread_is_lost(tmp_path, node, anew):
    watcher = await half_read(tmp_path, node)
    (node / name(0)).unlink()
    if anew:
        await watcher.again()
    assert await watcher.settle() == ["the product removed 1 file before it was read"]
    (lost,) = watcher.lost
    assert lost.detail.startswith(f"node node1: {name(0)}, ")
    assert f"{5 * len(line(0) + b'0')} bytes not read" in lost.detail
    assert (lost.from_ms, lost.to_ms) == (NOW_MS - 14 * 3_600_000, NOW_MS), "its day, as early as it begins anywhere"
    assert await watcher.settle() == []


async def test_the_state_of_the_source_says_for_a_while_what_was_lost(tmp_path, node):
    watcher = await half_read(tmp_path, node)
    (node / name(0)).unlink()
    await watcher.read()
    assert watcher.trouble is None, "it may be its name that is changed at this moment"
    watcher.clock.now += GONE_MS / 1000
    await watcher.read()
    assert watcher.trouble is not None
    assert name(0) in str(watcher.trouble)
    assert "removed 1 file" in str(watcher.trouble)
    assert "more files" in watcher.trouble.fix
    watcher.clock.now += SAID_FOR + 1
    await watcher.read()
    assert watcher.trouble is None


async def test_files_of_which_nothing_was_read_are_lost_together(tmp_path, node):
    watcher = await half_read(tmp_path, node)
    (node / name(0)).unlink()
    write(node / name(2), lines(20), NOW_MS + 9)
    (node / name(1)).rename(tmp_path / "elsewhere")
    assert await watcher.settle() == ["the product removed 2 files before they were read"]
    assert f"{name(0)} to {name(1)}" in watcher.lost[0].detail
    assert watcher.lost[0].to_ms == NOW_MS + 9, "the newest that was seen may have been written until the next began"


async def test_a_file_that_gets_the_inode_of_one_that_was_never_read_hides_nothing(tmp_path, node):
    watcher = await half_read(tmp_path, node)
    (node / name(0)).rename(tmp_path / "old")
    rewrite(node / name(1), lines(*range(50, 90)), NOW_MS + 9)
    (node / name(1)).rename(node / name(2))
    assert await watcher.settle() == ["the product removed 2 files before they were read"]


@pytest.mark.parametrize("keeps", ["nothing", "copy", "packed", "part"])
@pytest.mark.parametrize("length", [0, 5, 300])
async def test_a_file_that_is_cut_or_replaced_lost_what_no_copy_has(tmp_path, node, keeps, length):
    watcher = await half_read(tmp_path, node)
    data = (node / name(0)).read_bytes()
    if keeps == "copy":
        shutil.copyfile(node / name(0), node / f"{name(0)}.1")
    elif keeps == "packed":
        (node / f"{name(0)}.1.gz").write_bytes(gzip.compress(data))
    elif keeps == "part":
        (node / f"{name(0)}.1").write_bytes(data[:-3])
    rewrite(node / name(0), lines(*range(100, 100 + length)), NOW_MS + 9)
    whys = await watcher.settle()
    assert bool(whys) == (keeps in {"nothing", "part"})


async def test_the_end_that_was_cut_off_is_lost(tmp_path, node):
    watcher = await half_read(tmp_path, node)
    os.truncate(node / name(0), (node / name(0)).stat().st_size - 20)
    assert len(await watcher.settle()) == 1


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("how", ["rename", "copy", "pack", "pack_otherwise", "remount", "back"])
async def test_what_is_still_there_in_some_form_is_not_lost(tmp_path, node, how, seen):
    watcher = await half_read(tmp_path, node)
    for number in (0, 1):
        file = node / name(number)
        if how == "rename":
            file.rename(node / f"{name(number)}-20260101")
        elif how == "copy":
            shutil.copyfile(file, node / f"{name(number)}.7")
            file.unlink()
        elif how == "pack":
            (node / f"{name(number)}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
        elif how == "pack_otherwise":
            file.rename(node / f"{name(number)}.zst")
        elif how == "back":
            file.rename(tmp_path / name(number))
    if how == "remount":
        shutil.copytree(node, tmp_path / "copy")
        shutil.rmtree(node)
        (tmp_path / "copy").rename(node)
    write(node / name(2), lines(20), NOW_MS + 9)
    if how == "back":
        await watcher.read()
        watcher.clock.now += GONE_MS / 1000 - 1
        for number in (0, 1):
            (tmp_path / name(number)).rename(node / name(number))
    if not seen:
        await watcher.again()
    assert await watcher.settle() == []
    assert watcher.trouble is None
    if how != "pack_otherwise":
        assert len(watcher.known) == 16
        assert watcher.repeats == 0


async def test_a_copy_that_nobody_may_read_is_waited_for(tmp_path, node, monkeypatch):
    watcher = await half_read(tmp_path, node)
    (node / name(0)).unlink()
    write(node / f"{name(0)}.1", lines(*range(10)))
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *more, **named: _refused(real, path, *more, **named))
    assert await watcher.settle() == []
    monkeypatch.undo()
    assert await watcher.settle() == []
    assert len(watcher.known) == 15


async def test_what_is_older_than_was_asked_for_is_not_lost(tmp_path, node):
    watcher = Watcher(tmp_path, since=NOW_MS, limit=1)
    old = NOW_MS - 3_600_000
    write(node / name(0), line(0, old) + b"\n" + line(1, old) + b"\n", old)
    write(node / name(1), lines(2, 3))
    assert await watcher.page()
    (node / name(0)).unlink()
    assert await watcher.settle() == []


@pytest.mark.parametrize(
    ("there", "removed"),
    [
        ([(1, 6), (1, 7)], "5 files"),
        ([(1, 2)], "1 file"),
        ([(2, 3), (2, 4)], "at least 3 files"),
        ([(2, 0), (3, 0)], name(0)),
        ([(1, 1), (1, 2)], name(0)),
        ([(2, 0)], ""),
        ([(1, 1)], ""),
    ],
)
async def test_files_that_came_and_went_between_two_looks_are_missed_by_their_numbers(tmp_path, node, there, removed):
    watcher = Watcher(tmp_path)
    write(node / LOG, lines(0))
    await watcher.read()
    (node / LOG).rename(tmp_path / "gone")
    for at, (day, number) in enumerate(there):
        write(node / name(number, day), lines(10 + at), NOW_MS + (day - 1) * DAY_MS + at)
    await watcher.again()
    whys = await watcher.settle()
    assert len(whys) == bool(removed)
    for lost in watcher.lost:
        assert f"removed {removed}" in lost.why
        assert (lost.from_ms, lost.to_ms) == (NOW_MS, NOW_MS + (there[0][0] - 1) * DAY_MS)


@pytest.mark.parametrize("older", [LOG, f"{LOG}.1", f"{LOG}.gz"])
async def test_the_product_removes_the_oldest_file_first(tmp_path, node, older):
    """What others renamed or packed, it leaves; a number that is left out behind a file of its own was never used."""
    watcher = Watcher(tmp_path)
    write(node / LOG, lines(0))
    await watcher.read()
    data = (node / LOG).read_bytes()
    (node / LOG).rename(tmp_path / "gone")
    (node / older).write_bytes(gzip.compress(data) if older.endswith(".gz") else data)
    write(node / name(4), lines(4))
    assert len(await watcher.settle()) == (older != LOG)
    assert watcher.repeats == 0


async def test_a_number_is_not_missed_while_its_file_lies_there_in_any_form(tmp_path, node):
    watcher = Watcher(tmp_path)
    write(node / LOG, lines(0))
    await watcher.read()
    (node / LOG).unlink()
    (node / f"{name(1)}.gz").write_bytes(gzip.compress(lines(1)))
    write(node / f"{name(2)}.1", lines(2))
    write(node / f"{name(3)}.zst", b"x")
    write(node / name(4), lines(4))
    (node / f"{LOG}.gz").write_bytes(gzip.compress(lines(0)))
    assert await watcher.settle() == []


async def test_the_first_look_and_a_node_that_comes_and_goes_miss_nothing(tmp_path):
    watcher = Watcher(tmp_path, nodes={"n": tmp_path / "mnt" / "*"})
    write(tmp_path / "mnt" / "a" / name(7), lines(7))
    write(tmp_path / "mnt" / "a" / name(9), lines(9))
    assert await watcher.settle() == []
    write(tmp_path / "mnt" / "b" / name(5), lines(5))
    shutil.move(tmp_path / "mnt" / "a", tmp_path / "a")
    assert await watcher.settle() == []
    shutil.move(tmp_path / "a", tmp_path / "mnt" / "a")
    shutil.rmtree(tmp_path / "mnt" / "b")
    (tmp_path / "mnt" / "b").mkdir()
    assert await watcher.settle() == []
    write(tmp_path / "mnt" / "b" / name(0, 2), lines(20))
    assert await watcher.settle() == []


async def test_places_of_an_earlier_version_are_read_on_and_claim_nothing(tmp_path, node):
    watcher = Watcher(tmp_path)
    write(node / name(0), lines(0))
    write(node / name(1), lines(1))
    await watcher.read()
    places = watcher.state["nodes"]["node1"]
    watcher.state["nodes"]["node1"] = {ident: place[:6] for ident, place in places.items()}
    await watcher.again()
    (node / name(0)).unlink()
    write(node / name(1), lines(2))
    assert await watcher.settle() == []
    assert watcher.repeats == 0
    assert len(watcher.known) == 3


async def test_what_was_packed_hides_no_number_that_is_missing_behind_it(tmp_path, node):
    watcher = Watcher(tmp_path)
    write(node / LOG, lines(0))
    await watcher.read()
    (node / LOG).unlink()
    for number in (0, 1):
        (node / f"{name(number)}.gz").write_bytes(gzip.compress(lines(number)))
    write(node / name(5), lines(5))
    write(node / name(9), lines(9))
    assert await watcher.settle() == ["the product removed 3 files before they were read"]
    assert f"between {name(1)} and {name(5)}" in watcher.lost[0].detail


DEEDS = ("write", "write", "burst", "burst", "next", "rename", "copy_and_cut", "pack", "copy", "day", "page", "read")


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(st.lists(st.sampled_from((*DEEDS, "life", "sleep")), max_size=40), st.integers(0, 2**32), st.booleans())
async def test_every_record_is_delivered_or_in_a_stretch_that_is_on_record(tmp_path_factory, deeds, seed, keeps_all):
    """What others do to files hides which numbers are missing, and is done only where the product removes none."""
    dice = random.Random(seed)
    tmp_path = tmp_path_factory.mktemp("dc")
    watcher = Watcher(tmp_path, limit=dice.choice([2, 1000]))
    folder = tmp_path / "node1"
    product = NodeFile(folder, most_bytes=600, most_files=10**6 if keeps_all else dice.choice([2, 3, 5]))
    now, times = NOW_MS, {}

    def record() -> None:
        nonlocal now
        now += 1000
        product.write(line(len(times), now), now)
        os.utime(product.path, (now / 1000, now / 1000))
        times[len(times)] = now

    for deed in ["write", "page", *deeds, "write", "read"]:
        watcher.clock.now = max(watcher.clock.now, now / 1000)
        if deed in {"write", "burst"}:
            for _ in range(dice.randrange(1, 4) if deed == "write" else dice.randrange(20, 100)):
                record()
        elif deed == "day":
            day = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            now = int(day.timestamp() * 1000) + DAY_MS
        elif deed == "life":
            await watcher.again()
        elif deed == "page":
            await watcher.page()
        elif deed == "read":
            await watcher.read()
        elif deed == "sleep":
            watcher.clock.now += GONE_MS / 1000
        elif keeps_all or deed not in {"rename", "copy_and_cut", "pack" if "day" in deeds else ""}:
            product.turn(deed)
    await watcher.settle()
    delivered = set(watcher.known.values())
    missing = [time for number, time in times.items() if line(number, time) not in delivered]
    if keeps_all:
        assert (missing, watcher.lost) == ([], [])
    for time in missing:
        assert any((lost.from_ms or 0) <= time <= (lost.to_ms or 2**53) for lost in watcher.lost), (time, watcher.lost)
