"""Who has a spool, whatever becomes of the lock's file: by a name that only the kernel keeps, and by the lock."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite import claim
from forwarder.spool.sqlite.claim import Claim, examine_lock

OURS = f"in use by process {os.getpid()}[.]"


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def test_one_at_a_time_and_what_is_refused_or_ended_leaves_nothing_open(path: Path) -> None:
    before = open_files()
    for _ in range(3):
        held = Claim(path)
        assert lock_of(path).stat().st_mode & 0o777 == 0o600
        with pytest.raises(SpoolError, match=OURS):
            Claim(path)
        other = Claim(path.with_name("other.db"))
        other.close()
        held.close()
    assert open_files() == before


def test_in_an_emptied_folder_the_name_is_still_taken(path: Path) -> None:
    held = Claim(path)
    before = open_files()
    lock_of(path).unlink()
    with pytest.raises(SpoolError, match=OURS):
        Claim(path)
    assert open_files() == before
    held.close()
    Claim(path).close()


@pytest.mark.parametrize(("holder", "refused"), [(4711, False), (0, True), (1234, True)])
def test_only_root_and_our_own_user_can_sit_on_the_name(
    path: Path, holder: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Claim(path)
    lock_of(path).unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    size = claim._CREDENTIALS.size
    assert size == 12
    monkeypatch.setattr(claim, "_CREDENTIALS", SimpleNamespace(unpack=lambda _: (77, holder, 5), size=size))
    if refused:
        with pytest.raises(SpoolError, match=r"in use by process 77[.]"):
            Claim(path)
    else:
        before = open_files()
        second = Claim(path)
        second.renew()
        second.close()
        assert open_files() == before
    held.close()


@pytest.mark.parametrize("system", ["darwin", "linux"])
def test_where_there_are_no_such_names_the_lock_is_all_there_is(
    path: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim.sys, "platform", system)
    held = Claim(path)
    lock_of(path).unlink()
    if system == "linux":
        with pytest.raises(SpoolError, match=OURS):
            Claim(path)
    else:
        Claim(path).close()
    held.close()


@pytest.mark.parametrize(("written", "named"), [("", "unknown"), ("4711\n", "4711"), ("9" * 40, "9" * 32)])
def test_a_lock_of_another_process_is_named_by_what_it_wrote(path: Path, written: str, named: str) -> None:
    lock_of(path).write_text(written)
    with lock_of(path).open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        before = open_files()
        with pytest.raises(SpoolError, match=f"in use by process {named}[.]"):
            Claim(path)
        assert open_files() == before


def test_a_file_system_without_locks_is_named_with_its_reason(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, how: int) -> None:
        assert how == fcntl.LOCK_EX | fcntl.LOCK_NB
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = open_files()
    with pytest.raises(SpoolError, match=r"cannot be locked \(No locks available\)"):
        Claim(path)
    assert open_files() == before


@pytest.mark.parametrize(("written", "ours"), [("", True), ("12\n", True), ("notes", False), ("1 2", False)])
def test_a_file_of_others_under_the_name_of_the_lock_is_left_as_it_is(path: Path, written: str, ours: bool) -> None:
    lock_of(path).write_text(written)
    before = open_files()
    if ours:
        examine_lock(path)
        Claim(path).close()
    else:
        for look in (examine_lock, Claim):
            with pytest.raises(SpoolError, match="not a lock of ours"):
                look(path)
        assert lock_of(path).read_text() == written
    assert open_files() == before


@pytest.mark.parametrize("what", ["a link", "a link to notes", "a folder", "no place"])
def test_a_lock_that_cannot_be_made_says_why(path: Path, what: str) -> None:
    if what == "a link":
        lock_of(path).symlink_to(path)
    if what == "a folder":
        lock_of(path).mkdir()
    if what == "no place":
        path = path.parent / "none" / "spool.db"
    if what == "a link to notes":
        path.with_name("notes").write_text("of others")
        lock_of(path).symlink_to(path.with_name("notes"))
        examine_lock(path)  # what it leads to is not looked at
    words = r"cannot be written by uid \d+ \(No such file" if what == "no place" else "not a regular file"
    before = open_files()
    with pytest.raises(SpoolError, match=words):
        Claim(path)
    assert open_files() == before


def test_what_is_no_file_at_all_is_no_lock(path: Path) -> None:
    os.mkfifo(lock_of(path))
    before = open_files()
    with pytest.raises(SpoolError, match="not a regular file"):
        Claim(path)
    examine_lock(path.with_name("none.db"))
    assert open_files() == before


def test_a_lock_that_is_there_is_not_taken_again(path: Path) -> None:
    held = Claim(path)
    inode, before = lock_of(path).stat().st_ino, open_files()
    held.renew()
    assert (lock_of(path).stat().st_ino, open_files()) == (inode, before)
    lock_of(path).unlink()
    lock_of(path).write_text("")
    held.renew()  # one that another process has just made is ours now
    assert lock_of(path).read_text() == f"{os.getpid()}\n"
    assert open_files() == before
    held.close()
