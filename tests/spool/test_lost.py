"""An open spool whose files are taken away or changed: noticed before anything is written, and kept where it can be."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.spool.contract import SpoolError, SpoolLost
from forwarder.spool.sqlite import claim, database
from forwarder.spool.sqlite.claim import Claim
from tests.spool.spools import Desk, body_of, found, names

EVENTS = 10


async def waiting(folder: Path) -> Desk:
    """Return an open spool from which a sink took events and settled some of them."""
    desk = await Desk(folder).open()
    await desk.put(*names("a", EVENTS))
    lane = await desk.lane()
    await desk.take(lane)
    await desk.settle(lane, (1, 4))
    return desk


async def lost(desk: Desk) -> str:
    """Expect that the loss is noticed by the next write; close, and return what was done."""
    with pytest.raises(SpoolLost):
        await desk.put("late")
    with capture_logs() as lines:
        await desk.spool.close()
    (result,) = [line["result"] for line in lines if line["event"] == "spool_rescued"]
    return str(result)


async def still_waiting(desk: Desk) -> None:
    """Open the spool at its old place: what was not settled waits, and nothing else."""
    await desk.reopen()
    lane = await desk.lane()
    assert await desk.drain(lane) == [body_of(name) for name in names("a", EVENTS)[4:]]
    assert (await desk.line()).balance == 0
    await desk.spool.close()


def log_of(desk: Desk) -> Path:
    return desk.config.path.with_name("spool.db-wal")


TAKEN_AWAY: dict[str, Callable[[Path, Path], object]] = {
    "the file": lambda file, _: file.unlink(),
    "the file and its log": lambda file, log: (file.unlink(), log.unlink()),
    "the folder": lambda file, _: shutil.rmtree(file.parent),
    "the folder, and another is there": lambda file, _: (shutil.rmtree(file.parent), file.parent.mkdir()),
    "the log": lambda _, log: log.unlink(),
    "the log, and another is there": lambda _, log: (log.unlink(), log.write_bytes(b"x" * 5000)),
    "moved within its folder": lambda file, _: file.rename(file.with_name("old.db")),
    "moved to another folder": lambda file, _: file.rename(file.parent.parent / "old.db"),
    "one of two names": lambda file, _: (os.link(file, file.with_name("second.db")), file.unlink()),
}


@pytest.mark.parametrize("what", TAKEN_AWAY)
async def test_what_was_taken_away_is_put_back(tmp_path: Path, what: str) -> None:
    desk = await waiting(tmp_path / "state")
    TAKEN_AWAY[what](desk.config.path, log_of(desk))
    assert "start again" in await lost(desk)
    if what == "the folder":
        assert desk.config.path.parent.stat().st_mode & 0o777 == 0o700, "others see nothing of it"
    names_open = [str(one.readlink()) for one in Path("/dev/fd").iterdir() if one.is_symlink()]
    assert not [name for name in names_open if re.search(r"spool\.db\.\w{8}( \(deleted\))?$", name)]
    await still_waiting(desk)


async def test_where_another_file_lies_the_whole_spool_is_kept_beside_it(tmp_path: Path) -> None:
    desk = await waiting(tmp_path / "state")
    desk.config.path.unlink()
    desk.config.path.write_bytes(b"of another program")
    assert "was left as it is" in await lost(desk)
    assert desk.config.path.read_bytes() == b"of another program"
    (kept,) = desk.config.path.parent.glob("spool.db.lost-*-1")
    kept.replace(desk.config.path)
    await still_waiting(desk)


async def test_a_moved_folder_is_whole_and_nothing_begins_in_its_place(tmp_path: Path) -> None:
    desk = await waiting(tmp_path / "state")
    desk.config.path.parent.rename(tmp_path / "moved")
    assert "put it back" in await lost(desk)
    state, notice = tmp_path / "state", tmp_path / "state" / "spool.db.missing"
    assert [path.stat().st_mode & 0o777 for path in (state, notice)] == [0o700, 0o600]
    with pytest.raises(SpoolError, match="missing"):
        await desk.reopen()
    shutil.rmtree(tmp_path / "state")
    shutil.copytree(
        tmp_path / "moved", tmp_path / "state"
    )  # a copy, because this process still has the moved file open
    shutil.copy(tmp_path / "moved" / "spool.db", notice)
    await still_waiting(desk)
    assert not notice.exists(), "once it is back, a person may begin with an empty one"


def write(path: Path, at: int, content: bytes) -> None:
    """Write over a file; from its end when `at` is negative."""
    with path.open("r+b") as file:
        file.seek(at if at >= 0 else path.stat().st_size)
        file.write(content)


CHANGED: dict[str, Callable[[Path, Path], object]] = {
    "grown": lambda file, _: write(file, -1, b"x" * 4096),
    "cut by a page": lambda file, _: os.truncate(file, file.stat().st_size - 4096),
    "cut to nothing": lambda file, _: os.truncate(file, 0),
    "written over, as long as before": lambda file, _: write(file, 24, b"\x00\x00\x40\x00"),
    "a log that was cut": lambda _, log: os.truncate(log, log.stat().st_size - 1),
    "a log that has grown": lambda _, log: write(log, -1, b"x"),
    "a log of another writer, as long as before": lambda _, log: write(log, 16, b"saltsalt"),
}


@pytest.mark.parametrize("what", CHANGED)
async def test_what_another_program_changed_is_never_written_to(tmp_path: Path, what: str) -> None:
    desk = await waiting(tmp_path / "state")
    CHANGED[what](desk.config.path, log_of(desk))
    changed = desk.config.path.read_bytes()
    assert "was left as it is" in await lost(desk)
    assert desk.config.path.read_bytes() == changed


async def test_what_is_taken_away_while_it_is_written_was_not_written(tmp_path: Path) -> None:
    desk = await waiting(tmp_path / "state")
    with pytest.raises(SpoolLost):
        await desk.spool._run(lambda _: desk.config.path.unlink())
    await lost(desk)
    desk = await waiting(tmp_path / "other")
    spool: Any = desk.spool
    database = spool._parts.database

    def outside() -> None:
        database.con.create_function("take_away", 0, desk.config.path.unlink)
        database.outside("SELECT take_away()")

    with pytest.raises(SpoolLost):
        await spool._worker.run(outside)
    await lost(desk)


async def test_nobody_begins_where_a_spool_is_being_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim.sys, "platform", "darwin")  # where the lock is all there is
    desk = await waiting(tmp_path / "state")
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    real, refused = database.rescue, []

    def rescue(*told: Any) -> str:
        with pytest.raises(SpoolError, match="in use"):
            Claim(desk.config.path)
        refused.append(1)
        return real(*told)

    monkeypatch.setattr(database, "rescue", rescue)
    assert "start again" in await lost(desk)
    assert refused == [1]
    await still_waiting(desk)


async def test_what_only_looks_changed_does_no_harm(tmp_path: Path) -> None:
    desk = await waiting(tmp_path / "state")
    for path in (desk.config.path, log_of(desk)):
        os.utime(path, ns=(1, 1))
    assert (await desk.put("b")).last_seq == EVENTS + 1
    assert len(found(await desk.take(await desk.lane()))) == EVENTS + 1 - 4
    await desk.spool.close()


# ------------------------------------------------------------------------------------------------------- the lock


def open_files() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def second(desk: Desk) -> None:
    with pytest.raises(SpoolError, match=f"in use by process {os.getpid()}"):
        await Desk(desk.config.path.parent).open()


async def test_a_lock_that_is_deleted_again_and_again_is_taken_again_and_costs_nothing(tmp_path: Path) -> None:
    desk = await waiting(tmp_path)
    lock = desk.config.path.with_name("spool.db.lock")
    before = open_files()
    for _ in range(5):
        lock.unlink()
        await desk.spool.verify()
        assert lock.read_text() == f"{os.getpid()}\n"
        await second(desk)
    assert open_files() <= before
    await still_waiting(desk)


async def test_a_lock_that_is_deleted_just_before_it_is_held_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "spool.db.lock"
    flock, times = fcntl.flock, []

    def too_late(descriptor: int, how: int) -> None:
        if len(times) < 3:
            times.append(1)
            lock.unlink()
        flock(descriptor, how)

    before = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", too_late)
        desk = await waiting(tmp_path)
    assert len(times) == 3
    assert lock.read_text() == f"{os.getpid()}\n"
    await second(desk)
    await still_waiting(desk)
    assert open_files() <= before


@pytest.mark.parametrize("left", ["", "7\n", "123456789012\n"])
async def test_the_lock_of_a_process_that_ended_is_taken_and_named_anew(tmp_path: Path, left: str) -> None:
    lock = tmp_path / "spool.db.lock"
    lock.write_text(left)
    desk = await waiting(tmp_path)
    assert lock.read_text() == f"{os.getpid()}\n"
    await still_waiting(desk)
