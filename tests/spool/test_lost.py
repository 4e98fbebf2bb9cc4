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
from forwarder.spool.sqlite.presence import Presence
from tests.spool.spools import Harness, body_of, bulky, found, move, names

EVENTS = 10


async def waiting(folder: Path) -> Harness:
    """Return an open spool from which a sink took events and settled some of them."""
    harness = await Harness(folder).open()
    await harness.put(*names("a", EVENTS))
    lane = await harness.lane()
    await harness.take(lane)
    await harness.settle(lane, (1, 4))
    return harness


async def lost(harness: Harness) -> str:
    """Expect that the loss is noticed by the next write; close, and return what was done."""
    with pytest.raises(SpoolLost, match=r"spool\.db .+\. Nothing was written after that\. Keep everything"):
        await harness.put("late")
    with capture_logs() as lines:
        await harness.spool.close()
    (result,) = [line["result"] for line in lines if line["event"] == "spool_rescued"]
    return str(result)


async def still_waiting(harness: Harness) -> None:
    """Open the spool at its old place: what was not settled waits, and nothing else."""
    await harness.reopen()
    lane = await harness.lane()
    assert await harness.drain(lane) == [body_of(name) for name in names("a", EVENTS)[4:]]
    assert (await harness.line()).balance == 0
    await harness.spool.close()


def log_of(harness: Harness) -> Path:
    return harness.config.path.with_name("spool.db-wal")


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


async def test_a_log_that_goes_while_it_is_looked_at_is_lost_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await waiting(tmp_path / "state")
    log, look = log_of(harness), Presence.verify_names

    def gone_after(self: Presence) -> None:
        look(self)
        log.unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(Presence, "verify_names", gone_after)
        with pytest.raises(SpoolLost, match="write-ahead log"):
            await harness.put("late")
    with capture_logs() as lines:
        await harness.spool.close()
    assert [line["event"] for line in lines if line["event"] == "spool_rescued"]
    await still_waiting(harness)


@pytest.mark.parametrize("what", TAKEN_AWAY)
async def test_what_was_taken_away_is_put_back(tmp_path: Path, what: str) -> None:
    harness = await waiting(tmp_path / "state")
    TAKEN_AWAY[what](harness.config.path, log_of(harness))
    assert "start again" in await lost(harness)
    if what == "the folder":
        assert harness.config.path.parent.stat().st_mode & 0o777 == 0o700, "others see nothing of it"
    beside = {path.name for path in harness.config.path.parent.glob("spool.db*")}
    assert {name for name in beside if ".foreign-wal-" not in name} <= {"spool.db", "spool.db.lock", "spool.db.reserve"}
    assert any(".foreign-wal-" in name for name in beside) is (what == "the log, and another is there")
    names_open = [str(one.readlink()) for one in Path("/dev/fd").iterdir() if one.is_symlink()]
    assert not [name for name in names_open if re.search(r"spool\.db\.\w{8}( \(deleted\))?$", name)]
    await still_waiting(harness)


async def test_where_another_file_lies_the_whole_spool_is_kept_beside_it(tmp_path: Path) -> None:
    harness = await waiting(tmp_path / "state")
    harness.config.path.unlink()
    harness.config.path.write_bytes(b"of another program")
    assert "was left as it is" in await lost(harness)
    assert harness.config.path.read_bytes() == b"of another program"
    (kept,) = harness.config.path.parent.glob("spool.db.lost-*-1")
    kept.replace(harness.config.path)
    await still_waiting(harness)


@pytest.mark.parametrize("moved", ["state", "of/it/state"])
async def test_a_moved_folder_is_whole_and_nothing_begins_in_its_place(tmp_path: Path, moved: str) -> None:
    state, first = tmp_path / moved, tmp_path / moved.partition("/")[0]
    harness = await waiting(state)
    first.rename(tmp_path / "moved")
    assert "put it back" in await lost(harness)
    notice = state / "spool.db.missing"
    assert [path.stat().st_mode & 0o777 for path in (state, notice)] == [0o700, 0o600]
    with pytest.raises(SpoolError, match="missing"):
        await harness.reopen()
    shutil.rmtree(first)
    shutil.copytree(tmp_path / "moved", first)  # a copy, because this process still has the moved file open
    notice.write_text("as the last start left it")
    await still_waiting(harness)
    assert not notice.exists(), "once it is back, a person may begin with an empty one"


@pytest.mark.parametrize("there", ["an old one", "a link"])
async def test_a_notice_says_what_happened_last_and_never_in_a_file_of_others(tmp_path: Path, there: str) -> None:
    state = tmp_path / "state"
    harness = await waiting(state)
    state.rename(tmp_path / "moved")
    state.mkdir()
    notice, other = state / "spool.db.missing", tmp_path / "of others"
    other.write_text("x" * 500)
    if there == "a link":
        notice.symlink_to(other)
    else:
        notice.write_text("x" * 500)
    reason = await lost(harness)
    assert other.read_text() == "x" * 500
    assert ("put it back" in reason) is (there == "an old one")
    if there == "an old one":
        assert notice.read_text().startswith(f"The spool {harness.config.path} ")
        assert "x" * 500 not in notice.read_text()


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
    harness = await waiting(tmp_path / "state")
    CHANGED[what](harness.config.path, log_of(harness))
    changed, log = harness.config.path.read_bytes(), log_of(harness).read_bytes()
    with pytest.raises(SpoolLost):
        await harness.put("late")
    assert log_of(harness).read_bytes() == log
    assert "was left as it is" in await lost(harness)
    assert harness.config.path.read_bytes() == changed


@pytest.mark.parametrize("what", ["a page", "a settlement", "a cursor"])
async def test_an_older_copy_that_is_written_over_the_file_in_place_is_told_from_it(tmp_path: Path, what: str) -> None:
    """It is as long, and its header is the same."""
    harness = await waiting(tmp_path / "state")
    path, spool = harness.config.path, harness.spool

    async def moved_into_the_file() -> bytes:
        parts: Any = spool._parts
        await spool._worker.run(parts.database._restart_log)  # type: ignore[union-attr]
        return path.read_bytes()

    version = (await harness.put(moves=[move("tail", None, at=0)])).versions["tail"]
    older = await moved_into_the_file()
    if what == "a page":
        await harness.put("b")
    elif what == "a settlement":
        await harness.settle(1, (5, 6))
    else:
        await harness.put(moves=[move("tail", version, at=1)])
    newer = await moved_into_the_file()
    assert (len(newer), newer[:100]) == (len(older), older[:100])
    with path.open("r+b") as file:
        file.write(older)
    assert "was left as it is" in await lost(harness)
    assert path.read_bytes() == older


async def test_a_loss_that_is_noticed_behind_a_step_stays_one(tmp_path: Path) -> None:
    """The log is long enough to have been moved into the file, so that a file that has changed may be our own work."""
    harness = await waiting(tmp_path / "state")
    for number in range(20):
        await harness.put(page=bulky(f"p{number}-", size=2000))
    spool: Any = harness.spool
    database = spool._parts.database

    def cut() -> None:
        database.con.create_function("cut", 0, lambda: os.truncate(harness.config.path, 4096))
        database.outside("SELECT cut()")

    with pytest.raises(SpoolLost, match="was cut by another program"):
        await spool._worker.run(cut)
    assert "was left as it is" in await lost(harness)


async def test_what_is_taken_away_while_it_is_written_was_not_written(tmp_path: Path) -> None:
    harness = await waiting(tmp_path / "state")
    with pytest.raises(SpoolLost):
        await harness.spool._run(lambda _: harness.config.path.unlink())
    await lost(harness)
    harness = await waiting(tmp_path / "other")
    spool: Any = harness.spool
    database = spool._parts.database

    def outside() -> None:
        database.con.create_function("take_away", 0, harness.config.path.unlink)
        database.outside("SELECT take_away()")

    with pytest.raises(SpoolLost):
        await spool._worker.run(outside)
    await lost(harness)


async def test_nobody_begins_where_a_spool_is_being_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim.sys, "platform", "darwin")  # where the lock is all there is
    harness = await waiting(tmp_path / "state")
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    real, refused = database.rescue, []

    def rescue(*arguments: Any) -> str:
        with pytest.raises(SpoolError, match="in use"):
            Claim(harness.config.path)
        refused.append(1)
        return real(*arguments)

    monkeypatch.setattr(database, "rescue", rescue)
    assert "start again" in await lost(harness)
    assert refused == [1]
    await still_waiting(harness)


async def test_what_only_looks_changed_does_no_harm(tmp_path: Path) -> None:
    harness = await waiting(tmp_path / "state")
    for path in (harness.config.path, log_of(harness)):
        os.utime(path, ns=(1, 1))
    assert (await harness.put("b")).last_seq == EVENTS + 1
    assert len(found(await harness.take(await harness.lane()))) == EVENTS + 1 - 4
    await harness.spool.close()


# ------------------------------------------------------------------------------------------------------- the lock


def open_files() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def second(harness: Harness) -> None:
    with pytest.raises(SpoolError, match=f"in use by process {os.getpid()}"):
        await Harness(harness.config.path.parent).open()


async def test_a_lock_that_is_deleted_again_and_again_is_taken_again_and_costs_nothing(tmp_path: Path) -> None:
    harness = await waiting(tmp_path)
    lock = harness.config.path.with_name("spool.db.lock")
    before = open_files()
    for _ in range(5):
        lock.unlink()
        await harness.spool.verify()
        assert lock.read_text() == f"{os.getpid()}\n"
        await second(harness)
    assert open_files() <= before
    await still_waiting(harness)


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
        harness = await waiting(tmp_path)
    assert len(times) == 3
    assert lock.read_text() == f"{os.getpid()}\n"
    await second(harness)
    await still_waiting(harness)
    assert open_files() <= before


@pytest.mark.parametrize("left", ["", "7\n", "123456789012\n"])
async def test_the_lock_of_a_process_that_ended_is_taken_and_named_anew(tmp_path: Path, left: str) -> None:
    lock = tmp_path / "spool.db.lock"
    lock.write_text(left)
    harness = await waiting(tmp_path)
    assert lock.read_text() == f"{os.getpid()}\n"
    await still_waiting(harness)
