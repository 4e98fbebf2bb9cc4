"""Backups of an open spool: whole, of one moment, while others write; and the way back, which is on record."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from forwarder.contracts import ConfigError, Held
from forwarder.contracts.errors import ForwarderError
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite import backup as module
from forwarder.spool.sqlite.backup import MARK, Backups
from forwarder.spool.sqlite.restore import restore
from tests.spool.spools import body_of, bulky, inspect, move, opened


def checked(path: Path) -> None:
    with sqlite3.connect(path) as con:
        assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    con.close()


def config_of(path: Path) -> SpoolConfig:
    return SpoolConfig(path=path)


async def test_a_backup_is_one_private_file_that_is_a_spool_of_that_moment(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.put(page=bulky("b", 60))
        made = await harness.spool.backups.make(tmp_path / "copy.db")
        await harness.put("later")
        status = await harness.spool.status()
    assert (made.path, made.newest, status.last_seq) == (str(tmp_path / "copy.db"), 60, 61)
    assert stat.S_IMODE(Path(made.path).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*copy*")] == ["copy.db"]
    checked(tmp_path / "copy.db")
    restored, _ = await inspect(config_of(tmp_path / "copy.db"), harness.clock)
    assert restored.last_seq == 60


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_written_while_it_is_made_is_in_it_or_not_and_never_in_parts(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    async with opened(tmp_path) as harness:
        await harness.put(page=bulky("b", 300))
        module_pages, module._PAGES = module._PAGES, 4
        try:
            making = asyncio.create_task(harness.spool.backups.make(tmp_path / "copy.db"))
            for number in range(40):
                await harness.put(*(f"while-{number}-{each}" for each in range(rng.randrange(1, 30))))
                if making.done():
                    break
            made = await making
        finally:
            module._PAGES = module_pages
        books, status = await harness.spool.books(), await harness.spool.status()
    checked(tmp_path / "copy.db")
    copied, lines = await inspect(config_of(tmp_path / "copy.db"), harness.clock)
    assert copied.last_seq == made.newest <= status.last_seq
    assert all(line.balance == 0 for line in [*books, *lines])


async def test_others_have_their_turn_while_it_is_made(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.put(page=bulky("b", 300))
        began, go_on = threading.Event(), threading.Event()

        def note(done: int, of: int) -> None:
            assert 0 < done <= of
            began.set()
            go_on.wait(0.001)

        pages, module._PAGES = module._PAGES, 1
        try:
            making = asyncio.create_task(harness.spool.backups.make(tmp_path / "copy.db", note))
            await asyncio.to_thread(began.wait)
            for number in range(5):
                await harness.put(f"meanwhile-{number}")
                assert not making.done()
            go_on.set()
            await making
        finally:
            module._PAGES = pages


async def test_the_end_of_the_spool_ends_a_backup_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    pages, module._PAGES = module._PAGES, 1
    try:
        async with opened(tmp_path) as harness:
            await harness.put(page=bulky("b", 300))
            began = threading.Event()

            def note(*_: int) -> None:
                began.set()
                assert harness.spool.backups._over.wait(60), "the spool is closed meanwhile"

            making = asyncio.create_task(harness.spool.backups.make(tmp_path / "copy.db", note))
            await asyncio.to_thread(began.wait)
        with pytest.raises(ForwarderError, match="given up"):
            await making
    finally:
        module._PAGES = pages
    assert list(tmp_path.glob("*copy*")) == []
    status, _ = await inspect(harness.config, harness.clock)
    assert status.last_seq == 300


async def test_nothing_is_overwritten_and_what_cannot_be_is_said(tmp_path: Path, monkeypatch) -> None:
    async with opened(tmp_path) as harness:
        await harness.put("a")
        there = tmp_path / "there"
        there.write_text("mine")
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "nowhere")
        for target in (there, link, harness.config.path.resolve(), tmp_path / "no" / "folder" / "copy.db"):
            with pytest.raises(ConfigError):
                await harness.spool.backups.make(target)
        assert there.read_text() == "mine"
        assert not (tmp_path / "nowhere").exists()
        wal = harness.config.path.resolve()
        with pytest.raises(ConfigError, match="name of the spool"):
            await harness.spool.backups.make(wal.with_name(f"{wal.name}-journal"))
        monkeypatch.setattr(module, "_MARGIN", 2**60)
        with pytest.raises(Held, match="bytes free"):
            await harness.spool.backups.make(tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


async def test_one_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.put(page=bulky("b", 50))
        backups: Backups = harness.spool.backups
        first = asyncio.create_task(backups.make(tmp_path / "one.db"))
        await asyncio.sleep(0)
        with pytest.raises(Held, match="already"):
            await backups.make(tmp_path / "two.db")
        await first
        await backups.make(tmp_path / "two.db")


async def test_a_restored_spool_goes_back_and_says_so_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.put("a", "b", "c")
        await harness.put(moves=[move("tail", None, next="x")])
        lane = await harness.lane("out")
        await harness.take(lane)
        await harness.settle(lane, (1, 2))
        await harness.spool.backups.make(tmp_path / "copy.db")
        await harness.put("d", "e")
        await harness.settle_taken(lane)
    place = config_of(harness.config.path)
    with pytest.raises(ConfigError, match="--replace"):
        restore(tmp_path / "copy.db", place, replace=False)
    done = restore(tmp_path / "copy.db", place, replace=True)
    assert Path(done.aside).exists()
    for turn in range(2):
        async with opened(tmp_path) as harness:
            status = await harness.spool.status()
            [gap] = [gap for gap in status.gaps if gap.cause == "restored"]
            assert (gap.state, status.last_seq) == ("open", 3)
            lane = await harness.lane("out")
            doubts = await harness.spool.doubts(lane)
            assert [(doubt.first, doubt.last) for doubt in doubts if doubt.cause == "restored"] == [(3, 3)], turn
    with sqlite3.connect(harness.config.path) as con:
        assert con.execute("SELECT count(*) FROM meta WHERE name = ?", (MARK,)).fetchone() == (0,)
    con.close()
    aside, _ = await inspect(config_of(Path(done.aside)), harness.clock)
    assert aside.last_seq == 5


@pytest.mark.parametrize("what", ["text", "cut", "damaged", "newer", "other", "empty"])
async def test_what_is_no_backup_changes_nothing(tmp_path: Path, what: str) -> None:
    async with opened(tmp_path) as harness:
        await harness.put(page=bulky("b", 60))
        await harness.spool.backups.make(tmp_path / "copy.db")
    bad = tmp_path / "copy.db"
    content = bad.read_bytes()
    if what == "text":
        bad.write_text("no spool at all, but long enough to have a header of a hundred bytes. " * 3)
    elif what == "cut":
        bad.write_bytes(content[: len(content) // 2])
    elif what == "damaged":
        bad.write_bytes(content[:8192] + os.urandom(8192) + content[16384:])
    elif what == "empty":
        bad.write_bytes(b"")
    else:
        with sqlite3.connect(bad) as con:
            con.execute("PRAGMA user_version = 99" if what == "newer" else "PRAGMA application_id = 1")
        con.close()
    before = harness.config.path.read_bytes()
    with pytest.raises(SpoolError, match=r"copy\.db"):
        restore(bad, harness.config, replace=True)
    assert harness.config.path.read_bytes() == before
    assert list(tmp_path.rglob(".*")) == []
    with pytest.raises(ConfigError):
        restore(tmp_path / "nothing", harness.config, replace=True)


async def test_a_spool_that_is_in_use_is_not_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.put("a")
        await harness.spool.backups.make(tmp_path / "copy.db")
        with pytest.raises(SpoolError, match="in use"):
            restore(tmp_path / "copy.db", harness.config, replace=True)
        lane = await harness.lane()
        assert await harness.drain(lane) == [body_of("a")]
