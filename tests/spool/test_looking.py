"""Looks from outside: into a spool that may be in use, at its folder, and at the sizes that people read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from forwarder.spool import folders
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Settlement, SpoolError, SpoolLost
from forwarder.spool.folders import shared_folder
from forwarder.spool.letter import DeadLetter
from forwarder.spool.sqlite import glimpse as glimpse_module
from forwarder.spool.sqlite import probe
from forwarder.spool.sqlite.glimpse import glimpse
from forwarder.spool.sqlite.presence import Presence
from tests.spool.spools import body_of, names, opened


async def test_a_spool_in_use_and_one_at_rest_show_their_lanes_and_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    assert glimpse(path) is None
    path.touch()
    assert glimpse(path) is None, "begun, and nothing in it yet"
    path.unlink()
    async with opened(tmp_path) as harness:
        await harness.put(*names("a", 5))
        lane = await harness.lane()
        await harness.take(lane)
        await harness.settle(lane, (1, 2))
        seen = int(harness.clock.time() * 1000)
        in_use = glimpse(path)
    at_rest = glimpse(path)
    for known in (in_use, at_rest):
        assert known is not None
        assert set(known.sources.values()) == {"acme"}
        (found,) = known.lanes
        assert (found.name, found.target, found.waiting, found.seen_ms) == ("elastic", "t", 3, seen)
    assert not path.with_name("spool.db-wal").exists(), "a look leaves nothing behind"
    assert not path.with_name("spool.db-shm").exists()


async def test_a_look_tells_since_when_a_spool_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"

    def whole_since() -> int | None:
        known = glimpse(path)
        assert known is not None
        return known.whole_since_ms

    async with opened(tmp_path, retain=0) as harness:
        assert whole_since() is None
        lane = await harness.lane()
        await harness.put("a")
        assert whole_since() is None, "nothing has left it"
        harness.clock.advance(60)
        await harness.put("b")
        await harness.take(lane)
        await harness.settle(lane, (1, 1))
        assert await harness.spool.clean_up() == 1
        assert whole_since() == int(harness.clock.time() * 1000)


_FRAME = 24 + 4096


@pytest.mark.parametrize(
    "size", [0, 16, 32, 32 + _FRAME // 2, 32 + _FRAME, 32 + 2 * _FRAME - 1, None], ids=lambda size: f"{size}_bytes"
)
async def test_the_log_of_a_spool_in_use_stays_as_it_is(size: int | None, tmp_path: Path) -> None:
    """SQLite takes a look for the last user of a spool, and removes the log behind it where it holds nothing whole."""
    log = tmp_path / "spool.db-wal"
    async with opened(tmp_path) as harness:
        await harness.put(*names("a", 500))
        await harness.lane()
        in_use = (tmp_path / "spool.db").read_bytes(), log.read_bytes()
    path = tmp_path / "copy" / "spool.db"
    path.parent.mkdir()
    path.write_bytes(in_use[0])
    log = path.with_name("spool.db-wal")
    log.write_bytes(in_use[1][:size])
    inode = log.stat().st_ino
    glimpse(path)
    assert (log.stat().st_ino, log.read_bytes()) == (inode, in_use[1][:size])
    assert path.read_bytes() == in_use[0]


async def test_a_look_at_a_spool_that_was_just_opened_does_not_take_its_log_away(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    async with opened(tmp_path) as harness:
        glimpse(tmp_path / "spool.db")
        await harness.put(*names("a", 3))


def test_what_is_no_spool_is_looked_at_a_few_times_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spool.db"
    path.write_text("no database at all, however long it is looked at\n" * 100)
    looks: list[float] = []
    monkeypatch.setattr(glimpse_module.time, "sleep", looks.append)
    with pytest.raises(SpoolError, match="cannot be read"):
        glimpse(path)
    assert len(looks) == 5
    assert all(0 < look < 1 for look in looks)
    folder = tmp_path / "folder"
    folder.mkdir()
    assert glimpse(folder) is None


@pytest.mark.parametrize(
    ("mode", "uid", "mounted", "shared"),
    [
        (0o777, 1000, False, True),
        (0o702, 1000, False, True),
        (0o770, 1000, False, False),
        (0o1777, 1000, False, False),
        (0o777, 1000, True, True),
        (0o777, 0, False, True),
        (0o777, 0, True, False),
        (0o755, 0, False, False),
    ],
)
def test_a_folder_that_all_may_write_into(
    mode: int, uid: int, mounted: bool, shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path.stat()

    class Folder(type(tmp_path)):  # type: ignore[misc]
        def stat(self, **_: object) -> os.stat_result:
            return os.stat_result((0o040000 | mode, *real[1:4], uid, *real[5:]))

    monkeypatch.setattr(folders.os.path, "ismount", lambda _: mounted)
    finding = shared_folder(Folder(tmp_path))
    assert bool(finding) is shared
    if shared:
        assert f"(mode {mode:04o})" in finding
        assert str(tmp_path) in finding
    assert shared_folder(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 MiB"),
        (2**20 - 1, "0 MiB"),
        (2**20, "1 MiB"),
        (700 * 2**20, "700 MiB"),
        (2**30 - 1, "1023 MiB"),
        (2**30, "1.0 GiB"),
        (3 * 2**29, "1.5 GiB"),
        (2**31, "2.0 GiB"),
        (16 * 2**40, "16384.0 GiB"),
    ],
)
def test_sizes_as_people_read_them(size: int, words: str) -> None:
    assert probe._mib(size) == words


@pytest.mark.parametrize(
    ("hours", "words"),
    [(1.0, "1 hours"), (5.4, "5 hours"), (47.9, "48 hours"), (48.0, "2 days"), (120.0, "5 days"), (0.5, "30m")],
)
def test_times_as_people_read_them(hours: float, words: str) -> None:
    assert probe._time(hours) == words


def test_the_defaults_of_the_spool() -> None:
    made = SpoolConfig()
    assert (made.max_bytes, made.id_max_bytes) == (2 * 1024**3, 512 * 1024**2)
    assert (made.retain, made.id_retention, made.forget_lanes_after) == (86_400, 14 * 86_400, 7 * 86_400)
    assert made.id_memory == 60_000
    for settings in (
        {"max_bytes": 2**20}, {"max_bytes": 16 * 2**40}, {"retain": 0}, {"retain": 3650 * 86_400},
        {"id_memory": 1}, {"id_memory": 50_000_000}, {"id_max_bytes": 2**16}, {"id_max_bytes": 2**40},
    ):  # fmt: skip
        SpoolConfig(**settings)
    for settings in (
        {"max_bytes": 2**20 - 1}, {"max_bytes": 16 * 2**40 + 1}, {"retain": 3651 * 86_400}, {"id_memory": 0},
        {"id_memory": 50_000_001}, {"id_retention": 0}, {"forget_lanes_after": 0}, {"id_max_bytes": 2**16 - 1},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(settings))):
            SpoolConfig(**settings)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "empty"), ("  ", "empty"), (".", "a folder"), ("..", "a folder"), ("state/", "a folder"),
        (":memory:", "not the path of a file"), ("file:x.db", "not the path of a file"),
    ],
)  # fmt: skip
def test_what_is_no_path_of_a_file_is_refused(path: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SpoolConfig(path=path)
    assert SpoolConfig(path=f"./{path or 'x'}y").path.name.endswith("y")
    assert SpoolConfig(path=Path("a.db")).path == Path("a.db")


# ------------------------------------------------------------------------------------------------- files and mounts


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("folder renamed", "its folder was deleted or renamed"),
        ("folder replaced", "another folder or volume is where its folder was"),
        ("deleted", "was deleted while it was open"),
        ("moved away", "was moved away while it was open"),
        ("replaced", "was replaced by another file while it was open"),
        ("log deleted", "it was deleted or moved away"),
        ("log replaced", "it was replaced by another file"),
    ],
)
def test_what_became_of_the_files_is_told(what: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    path, log = folder / "spool.db", folder / "spool.db-wal"
    path.write_bytes(b"x" * 200)
    log.write_bytes(b"y" * 50)
    presence = Presence(path, log)
    try:
        presence.note()
        presence.verify()
        if what.startswith("folder"):
            folder.rename(tmp_path / "elsewhere")
        if what == "folder replaced":
            folder.mkdir()
        other = tmp_path / "other"  # another file while ours is there, so that it has another number
        if what == "deleted":
            path.unlink()
        if what == "replaced":
            other.write_bytes(b"x" * 200)
            other.rename(path)
        if what == "moved away":
            path.rename(tmp_path / "spool.db")
        if what == "log deleted":
            log.unlink()
        if what == "log replaced":
            other.write_bytes(b"y" * 50)
            other.rename(log)
        with pytest.raises(SpoolLost, match=words) as lost:
            presence.verify()
        assert str(path) in lost.value.reason
        assert "before you restore a spool" in lost.value.fix
        assert str(lost.value) == f"{lost.value.reason} Nothing was written after that. {lost.value.fix}"
        assert presence.is_deleted() is (what in {"deleted", "replaced"})
        assert presence.is_in_its_folder() is not what.startswith("folder")
        assert presence.owns_log() is not what.startswith(("log", "folder"))
    finally:
        presence.close()


@pytest.mark.parametrize("part", ["file", "log"])
def test_a_file_that_was_touched_is_the_same_and_one_that_was_written_over_is_not(part: str, tmp_path: Path) -> None:
    path, log = tmp_path / "spool.db", tmp_path / "spool.db-wal"
    path.write_bytes(b"x" * 200)
    log.write_bytes(b"y" * 50)
    presence = Presence(path, log)
    try:
        presence.note()
        other = path if part == "file" else log
        os.utime(other, (5, 5))
        presence.verify()
        before = other.read_bytes()
        other.write_bytes(b"z" + before[1:])
        with pytest.raises(SpoolLost, match=r"wrote over it|written over"):
            presence.verify()
        other.write_bytes(before)
        presence.verify()
        other.write_bytes(before + b"more")
        with pytest.raises(SpoolLost, match=r"wrote over it|written over"):
            presence.verify()
    finally:
        presence.close()


@pytest.mark.parametrize(("before", "after", "says", "is_lost"), [
    (8192, 0, 2, True),
    (8192, 4096, 2, True),
    (8192, 4096, 1, False),  # as SQLite gives room back
    (4096, 4096, 2, False),  # the first page is in place, and for the next one there was no room
    (4096, 8192, 3, False),
])  # fmt: skip
def test_what_our_own_work_left_is_a_loss_only_where_more_is_gone_than_the_header_says(
    before: int, after: int, says: int, is_lost: bool, tmp_path: Path
) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(bytes(before))
    presence = Presence(path, tmp_path / "spool.db-wal")
    try:
        presence.note()
        path.write_bytes((bytes(28) + says.to_bytes(4) + bytes(8192))[:after])
        os.utime(path, (5, 5))
        with pytest.raises(SpoolLost, match="was cut") if is_lost else contextlib.nullcontext():
            presence.note()
    finally:
        presence.close()


def test_the_file_system_is_read_from_the_table_of_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe.file_system(Path("/data/x"), "1 1 0:1 / /data - xfs dev rw\n") == "xfs"
    assert probe.file_system(Path("/data/x"), "1 1 0:1 / - xfs dev rw\n1 1 0:1 / /data xfs dev rw\n") == ""
    monkeypatch.setattr(probe, "_mounts", lambda: "1 1 0:1 / / rw - ext4 dev rw\n")
    found = {one.subject: one for one in probe.examine(SpoolConfig(path=tmp_path / "spool.db"), None)}
    assert found["file system"].detail == "ext4"
    monkeypatch.setattr(probe, "_mounts", lambda: "")
    found = {one.subject: one for one in probe.examine(SpoolConfig(path=tmp_path / "spool.db"), None)}
    assert found["file system"].detail == "unknown"


async def test_a_letter_without_a_time_has_that_of_its_settlement(tmp_path: Path) -> None:
    async with opened(tmp_path) as harness:
        await harness.put(*names("a", 2))
        lane = await harness.lane()
        await harness.take(lane)
        letters = [
            DeadLetter(1, harness.source.number, "0" * 32, "no", "", b"{}"),
            DeadLetter(2, harness.source.number, "0" * 32, "no", "", b"{}", at_ms=77),
        ]
        settlement = Settlement(ranges=[(1, 2)], dead_letters=letters)
        await harness.spool.exchange(lane, settlement, after=0, events=0)
        kept = await harness.spool.dead_letters("elastic")
        assert [letter.at_ms for letter in kept] == [int(harness.clock.time() * 1000), 77]
        assert [letter.raw for letter in kept] == [body_of("a0"), body_of("a1")]
