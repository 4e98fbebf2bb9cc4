"""The file: whose it is, who may open it, and that nothing that is not ours is ever changed."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from forwarder.contracts.descriptions import descriptions
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite import files
from forwarder.spool.sqlite.schema import APPLICATION_ID, MIGRATIONS, version_of
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock
from tests.spool.spools import Harness, body_of, bulky, found, inspect, names, opened

FROZEN = Path(__file__).with_name("spool_version_1.sql")


def spool_at(path: Path) -> SqliteSpool:
    return SqliteSpool(SpoolConfig(path=path), FakeClock())


async def refused(path: Path, match: str) -> None:
    """Open, expect a refusal, and compare every byte in the folder but the lock's."""
    before = {name: name.read_bytes() for name in path.parent.iterdir() if name.is_file()}
    with pytest.raises(SpoolError, match=match) as caught:
        await spool_at(path).open()
    assert str(path.parent) in str(caught.value)
    after = {name: name.read_bytes() for name in path.parent.iterdir() if name.is_file()}
    after.pop(path.with_name(path.name + ".lock"), None)
    before.pop(path.with_name(path.name + ".lock"), None)
    assert after == before


async def test_a_new_spool_is_ours_private_and_shrinkable(tmp_path):
    async with opened(tmp_path / "deep" / "state") as harness:
        path = harness.config.path
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with closing(sqlite3.connect(path)) as con:
        assert con.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        assert con.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
        assert con.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert version_of(con) == len(MIGRATIONS)
        assert len(con.execute("SELECT value FROM meta WHERE name = 'uuid'").fetchone()[0]) == 32


async def test_writes_are_synchronous(tmp_path):
    async with opened(tmp_path) as harness:
        assert await harness.spool._run(lambda parts: parts.database.pragma("synchronous")) == 2


@pytest.mark.parametrize("content", [b"x", b"some notes of mine\n" * 100, b"SQLite format 2\x00" * 20, b"\x00" * 8192])
async def test_a_file_that_is_no_database_is_left_alone(tmp_path, content):
    path = tmp_path / "spool.db"
    path.write_bytes(content)
    await refused(path, "not a spool")


async def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "spool.db"
    with closing(sqlite3.connect(path)) as con:
        con.execute("CREATE TABLE pages (mine)")
    await refused(path, "another program")


async def test_a_newer_version_is_left_alone(tmp_path):
    async with opened(tmp_path) as harness:
        path = harness.config.path
    with closing(sqlite3.connect(path)) as con:
        con.execute("PRAGMA user_version = 99")
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (path.with_name(path.name + ".reserve")).unlink()
    before = path.read_bytes()
    with pytest.raises(SpoolError, match=r"version 99.*newer"):
        await spool_at(path).open()
    assert path.read_bytes() == before


@pytest.mark.parametrize(("at", "with_"), [(0, b"\x00" * 16), (16, b"\x00\x03"), (21, b"\x00"), (68, b"\x00" * 4)])
async def test_a_damaged_header_is_left_alone(tmp_path, at, with_):
    async with opened(tmp_path) as harness:
        await harness.put("a")
        path = harness.config.path
    whole = bytearray(path.read_bytes())
    whole[at : at + len(with_)] = with_
    path.write_bytes(whole)
    await refused(path, "damaged|another program")


async def test_a_damaged_table_of_contents_is_an_error_with_the_fix(tmp_path):
    async with opened(tmp_path) as harness:
        path = harness.config.path
    whole = bytearray(path.read_bytes())
    whole[100:4096] = b"\xaa" * 3996
    path.write_bytes(whole)
    with pytest.raises(SpoolError, match=r"damaged.*snapshot"):
        await spool_at(path).open()
    assert path.read_bytes() == bytes(whole)


@pytest.mark.parametrize("size", [50, 99])
async def test_a_stump_is_left_alone(tmp_path, size):
    async with opened(tmp_path) as harness:
        path = harness.config.path
    path.write_bytes(path.read_bytes()[:size])
    await refused(path, "damaged")


async def test_a_log_without_its_spool_is_not_mixed_into_a_new_one(tmp_path):
    (tmp_path / "spool.db-wal").write_bytes(b"left over")
    await refused(tmp_path / "spool.db", "write-ahead log")


async def test_an_empty_log_without_its_spool_is_no_reason_not_to_begin(tmp_path):
    (tmp_path / "spool.db-wal").touch()
    async with opened(tmp_path) as harness:
        assert (await harness.put("a")).new == 1
    async with opened(tmp_path) as harness:
        assert (await harness.put("a")).repeats == 1


async def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "spool.db").mkdir()
    await refused(tmp_path / "spool.db", "not a regular file")


async def test_a_foreign_lock_file_is_left_alone(tmp_path):
    (tmp_path / "spool.db.lock").write_text("precious\n")
    with pytest.raises(SpoolError, match="not a lock of ours"):
        await spool_at(tmp_path / "spool.db").open()
    assert (tmp_path / "spool.db.lock").read_text() == "precious\n"


async def test_an_unfinished_creation_is_begun_again(tmp_path):
    (tmp_path / "spool.db.new").write_bytes(b"half")
    (tmp_path / "spool.db").touch()
    async with opened(tmp_path) as harness:
        assert (await harness.put("a")).new == 1
    assert not (tmp_path / "spool.db.new").exists()


async def test_the_log_is_moved_into_the_file_soon_and_gives_back_what_a_large_page_took(tmp_path):
    """The reserve of the disk is as large as the log may become; beside it no other file is needed."""
    log = tmp_path / "spool.db-wal"
    async with opened(tmp_path) as harness:
        for number in range(80):
            await harness.put(page=bulky(f"p{number}-", count=20))
        assert log.stat().st_size < (files.LOG_PAGES + 64) * 4200
        await harness.put(page=bulky("giant", size=500_000))
        assert log.stat().st_size > 20 * 2**20
        for number in range(2):
            await harness.put(page=bulky(f"q{number}-", count=20))
        assert log.stat().st_size <= 16 * 2**20
        assert not log.with_name("spool.db-shm").exists()


# ------------------------------------------------------------------------------------------------ other processes

OPEN = """
import asyncio, os, sys
from forwarder.contracts import SystemClock
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite.store import SqliteSpool
async def main():
    try:
        await SqliteSpool(SpoolConfig(path=sys.argv[1]), SystemClock()).open()
    except SpoolError as error:
        print("REFUSED", error)
    else:
        print("OPENED")
if len(sys.argv) > 2:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
asyncio.run(main())
"""


def open_elsewhere(path: Path, *, nobody: bool = False) -> str:
    command = [sys.executable, "-c", OPEN, str(path), *(["nobody"] if nobody else [])]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


async def test_a_second_process_is_told_who_has_it(tmp_path):
    async with opened(tmp_path) as harness:
        await harness.put("a")
        answer = open_elsewhere(harness.config.path)
        assert answer.startswith("REFUSED")
        assert f"process {os.getpid()}" in answer
        assert (await harness.put("b")).last_seq == 2
    assert open_elsewhere(harness.config.path) == "OPENED\n"


async def test_the_same_process_cannot_open_it_twice_either(tmp_path):
    async with opened(tmp_path) as harness:
        with pytest.raises(SpoolError, match="in use"):
            await spool_at(harness.config.path).open()
        with pytest.raises(SpoolError, match="open already"):
            await harness.spool.open()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


@pytest.fixture
def public(tmp_path):
    """A folder that another user can reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
        if folder.name == "tmp":
            break
    return tmp_path


@needs_root
def test_a_folder_that_cannot_be_written(public):
    before = list(public.iterdir())
    answer = open_elsewhere(public / "spool.db", nobody=True)
    assert answer.startswith("REFUSED")
    assert "cannot be written by uid 65534" in answer
    answer = open_elsewhere(public / "deeper" / "spool.db", nobody=True)
    assert answer.startswith("REFUSED")
    assert "cannot be made" in answer
    assert list(public.iterdir()) == before


@needs_root
async def test_a_file_that_cannot_be_written(public):
    async with opened(public) as harness:
        path = harness.config.path
    path.chmod(0o644)
    public.chmod(0o777)
    path.with_name("spool.db.lock").chmod(0o666)
    before = path.read_bytes()
    answer = open_elsewhere(path, nobody=True)
    assert answer.startswith("REFUSED")
    assert "cannot be written by uid 65534" in answer
    assert path.read_bytes() == before


# ------------------------------------------------------------------------------------------------------- versions


def build(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("PRAGMA auto_vacuum = INCREMENTAL")
        con.executescript(script)
        con.execute("PRAGMA journal_mode = WAL")


async def test_a_file_of_version_1_is_opened_for_ever(tmp_path):
    build(tmp_path / "spool.db", FROZEN.read_text())
    async with opened(tmp_path) as harness:
        assert harness.source.cursors["tail"].state == {"next": "cursor-1"}
        state = await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")
        assert (state.position, state.doubtful, state.dead_letters) == (1, ((2, 3),), 1)
        chunks = await harness.take(state.number)
        assert found(chunks) == [body_of("a1"), body_of("a2"), body_of("a1", "revised"), body_of("b0")]
        assert [sorted(chunk.revisions) for chunk in chunks] == [[], [0], []]
        (letter,) = await harness.spool.dead_letters()
        assert (letter.raw, letter.reason, letter.number) == (body_of("a0"), "too_large", 1)
        assert (letter.read_ms, letter.tries, letter.former) == (1_790_000_000_000, 1, False)
        assert (await harness.put(*names("a", 3), ("a1", "revised"))).repeats == 4
        line = await harness.line()
        assert (line.spooled, line.rejected, line.waiting, line.balance) == (5, 1, 4, 0)


async def test_a_file_of_version_2_is_opened_for_ever(tmp_path):
    """Letter 1 was discarded, 2 is retried and in flight, 3 is dead."""
    build(tmp_path / "spool.db", FROZEN.with_name("spool_version_2.sql").read_text())
    async with opened(tmp_path) as harness:
        state = await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")
        assert (state.position, state.doubtful, state.dead_letters) == (4, ((2, 2),), 1)
        first, second = await harness.spool.dead_letters()
        assert (first.number, first.seq, first.retried, first.raw) == (2, 2, True, body_of("a1"))
        assert (second.number, second.reason, second.read_ms, second.tries) == (3, "too_large", 77, 1)
        (record,) = await harness.spool.discards()
        assert (record.who, record.chosen, record.letters[0][:2]) == ("root (uid 0)", "numbers 1", (1, 1))
        line = await harness.line()
        assert (line.accepted, line.rejected, line.discarded, line.waiting, line.balance) == (1, 2, 1, 1, 0)


async def test_a_migration_runs_once_and_whole(tmp_path):
    async with opened(tmp_path) as harness:
        await harness.put("a")
        path = harness.config.path
    steps = (*MIGRATIONS, "CREATE TABLE extra (one INTEGER) STRICT; INSERT INTO extra VALUES (1);")
    for _ in range(2):
        with closing(files.connect(path, steps)) as con:
            assert version_of(con) == len(steps)
            assert con.execute("SELECT one FROM extra").fetchall() == [(1,)]
            assert con.execute("SELECT count(*) FROM pages").fetchone() == (1,)
    broken = (*steps, "CREATE TABLE half (one INTEGER) STRICT; INSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        files.connect(path, broken)
    with closing(files.connect(path, steps)) as con:
        assert version_of(con) == len(steps)
        assert con.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)


# ------------------------------------------------------------------------------------------------------- inspect


async def test_a_long_migration_is_given_up_when_the_end_is_wanted(tmp_path):
    async with opened(tmp_path) as harness:
        path = harness.config.path
        await harness.put("a")
    endless = "CREATE TABLE n AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c;"
    asked = []
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        files.connect(path, [*MIGRATIONS, endless], stop=lambda: asked.append(1) or len(asked) > 3)
    async with opened(tmp_path) as harness:
        assert (await harness.put("a")).repeats == 1
        assert await harness.spool._run(lambda parts: version_of(parts.database.con)) == len(MIGRATIONS)


async def test_a_stopped_spool_can_be_inspected_and_stays_as_it_was(tmp_path):
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 3))
        await harness.take(lane)
        with pytest.raises(SpoolError, match=f"process {os.getpid()}"):
            await inspect(harness.config, harness.clock)
    status, books = await inspect(harness.config, harness.clock)
    assert (status.last_seq, status.lanes[0].head, status.lanes[0].active) == (3, 3, False)
    assert [line.waiting for line in books] == [3]
    async with opened(tmp_path) as harness:
        state = await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")
        assert state.doubtful == ((1, 3),)


async def test_inspecting_makes_no_spool(tmp_path):
    with pytest.raises(SpoolError, match="no spool"):
        await inspect(SpoolConfig(path=tmp_path / "state" / "spool.db"), FakeClock())
    assert list(tmp_path.iterdir()) == []


def test_every_setting_explains_itself():
    assert descriptions(SpoolConfig).keys() == SpoolConfig.model_fields.keys()
    assert json.dumps(SpoolConfig.model_json_schema())


async def test_the_default_desk_is_used_as_written(tmp_path):
    harness = Harness(tmp_path)
    with pytest.raises(SpoolError, match="not open"):
        await harness.spool.status()
    await harness.open()
    await harness.spool.close()
    await harness.spool.close()
    with pytest.raises(SpoolError, match="not open"):
        await harness.spool.status()
