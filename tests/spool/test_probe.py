"""Whether the place of a spool is fit: what is found on real file systems, and on those that only a table can show."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from forwarder.contracts import Finding
from forwarder.spool.config import SpoolConfig
from forwarder.spool.sqlite import probe
from forwarder.spool.sqlite.probe import examine, file_system, names_left
from tests.observe.reports import spool_status
from tests.spool.disks import fill_up, mounted, read_only

GIB = 2**30


def look(path: Path, status=None, **settings) -> dict[str, Finding]:
    found = examine(SpoolConfig(path=path, **settings), status)
    assert len({finding.subject for finding in found}) == len(found)
    assert all(finding.fix for finding in found if not finding.ok)
    return {finding.subject: finding for finding in found}


def test_a_fit_place_and_nothing_is_left_behind(tmp_path):
    found = look(tmp_path / "spool.db", max_bytes=2**20, id_max_bytes=2**20)
    assert all(finding.ok for finding in found.values())
    assert list(found) == ["folder", "file system", "disk", "fsync", "room"]
    assert found["fsync"].detail.endswith(" ms")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_will_be_made(tmp_path):
    found = look(tmp_path / "a" / "b" / "spool.db")
    assert f"{tmp_path / 'a' / 'b'} will be made" in found["folder"].detail
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path):
    with mounted(tmp_path / "disk", "size=6m") as disk:
        fill_up(disk)
        found = look(disk / "spool.db")
        assert (found["disk"].ok, "Make room" in found["disk"].fix) == (False, True)
        assert (found["fsync"].ok, "No space left" in found["fsync"].detail) == (False, True)
        assert [path.name for path in disk.iterdir()] == ["plug"]


def test_a_disk_smaller_than_the_spool_may_become_and_memory_for_a_disk(tmp_path):
    with mounted(tmp_path / "disk", "size=200m") as disk:
        found = look(disk / "spool.db")
        assert (found["disk"].ok, "lower spool.max_bytes" in found["disk"].fix) == (True, True)
        assert found["file system"].detail == "tmpfs"
        assert "this is memory" in found["file system"].fix


def test_a_disk_that_cannot_be_written(tmp_path):
    with mounted(tmp_path / "disk", "size=6m") as disk:
        read_only(disk)
        found = look(disk / "deep" / "spool.db")
        assert list(found) == ["folder"]
        assert (found["folder"].ok, "mount it writable" in found["folder"].fix) == (False, True)


def test_a_disk_that_fails_when_it_is_looked_at(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "statvfs", fail)
    (found,) = look(tmp_path / "spool.db").values()
    assert (found.subject, found.ok, found.detail) == ("folder", False, f"{tmp_path}: Input/output error")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_folder_that_may_not_be_entered(tmp_path):
    import tempfile

    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        closed = Path(open_to_all) / "closed"
        closed.mkdir(mode=0o700)
        child = os.fork()
        if child == 0:  # as someone else
            code = 1
            try:
                os.setuid(65534)
                found = look(closed / "deeper" / "spool.db")
                code = 0 if list(found) == ["folder"] and not found["folder"].ok else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system(tmp_path, monkeypatch, kind):
    lines = f"1 0 0:1 / / rw shared:1 - ext4 /dev/sda rw\n2 1 0:2 / {tmp_path} rw - {kind} server:/x rw\n"
    monkeypatch.setattr(probe, "_mounts", lambda: lines)
    found = look(tmp_path / "spool.db")["file system"]
    assert (found.ok, found.detail) == (False, kind)
    assert "local disk" in found.fix


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/x", "xfs"),
        ("/var", "ext4"),
        ("/var/library", "ext4"),
        ("/mnt/a b/c", "nfs"),
        ("/mnt/a\\b", "cifs"),
        ("/over", "tmpfs"),
        ("/", "ext4"),
    ],
)
def test_the_nearest_mount_counts_and_of_two_the_later(folder, kind):
    mounts = (
        "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /var/lib rw - xfs /dev/sdb rw\n"
        "3 1 0:9 / /mnt/a\\040b rw - nfs server:/x rw\n"
        "4 1 0:8 / /mnt/a\\134b rw - cifs //s/x rw\n"
        "5 1 0:7 / /over rw - ext4 /dev/sdc rw\n6 1 0:6 / /over rw - tmpfs tmpfs rw\n"
        "torn line\n\n- -\n"
    )
    assert file_system(Path(folder), mounts) == kind
    assert file_system(Path(folder), "") == ""


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ([("/data", "xfs"), ("/", "ext4")], "xfs"),
        ([("/", "ext4"), ("/a/much/longer/place", "xfs")], "ext4"),
        ([("/a/much/longer/place", "xfs"), ("/", "ext4")], "ext4"),
        ([("/data/x", "btrfs"), ("/data", "xfs"), ("/data/x/y", "nfs")], "btrfs"),
        ([("/dat", "xfs")], ""),
        ([("/data", "xfs"), ("/data", "nfs")], "nfs"),
    ],
)
def test_the_longest_mount_that_leads_to_a_folder_counts(mounts, kind):
    text = "".join(f"36 25 0:32 / {point} rw shared:1 - {of} /dev/x rw\n" for point, of in mounts)
    assert file_system(Path("/data/x"), text) == kind


def test_every_fsync_that_is_measured_has_something_to_write(tmp_path, monkeypatch):
    sizes, real = [], os.fsync

    def forced(descriptor):
        sizes.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", forced)
    assert look(tmp_path / "spool.db")["fsync"].ok
    assert len(sizes) > 1
    assert sizes == sorted(set(sizes)), "each time a little more"
    assert sizes[0] > 0


def test_a_slow_fsync_is_pointed_out(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "SLOW_FSYNC", 0.0)
    found = look(tmp_path / "spool.db")["fsync"]
    assert (found.ok, "faster disk" in found.fix) == (True, True)


@pytest.mark.parametrize(
    ("hours", "words", "ok", "fix"),
    [
        (100.0, "4 days without a sink, at the rate of the last hour", True, ""),
        (26.5, "26 hours", True, ""),
        (3.2, "3 hours", True, "Raise spool.max_bytes"),
        (1.0, "1 hours", True, "Raise spool.max_bytes"),
        (0.9, "54m", True, "Raise spool.max_bytes"),
        (0.0, "the spool is full", False, "Fix the sink"),
        (None, "at the API's highest rate", True, ""),
    ],
)
def test_how_long_every_sink_may_be_away(tmp_path, hours, words, ok, fix):
    found = look(tmp_path / "spool.db", spool_status(hours_left=hours))["room"]
    assert words in found.detail
    assert (found.ok, found.fix.startswith(fix), bool(found.fix)) == (ok, True, bool(fix))


def test_what_the_spool_has_already_needs_no_further_room(tmp_path):
    free = os.statvfs(tmp_path)
    free = free.f_bavail * free.f_frsize
    settings = {"max_bytes": free + GIB, "id_max_bytes": 2**20}
    assert look(tmp_path / "spool.db", **settings)["disk"].fix
    assert not look(tmp_path / "spool.db", spool_status(bytes_file=2 * GIB), **settings)["disk"].fix


@pytest.mark.parametrize(
    ("settings", "used", "words"),
    [
        ({"max_bytes": 16 * 2**40}, None, "full after 3255 days"),  # 417 events a second, 150 bytes each
        ({"max_bytes": 16 * 2**40}, 15 * 2**40, "full after 203 days"),
        ({"max_bytes": 2**20}, 2**20 - 1, "full after 0s"),
        ({"max_bytes": 2**20}, 2**20, "the spool is full"),
        ({"max_bytes": 2**20}, 2**20 + 5, "the spool is full"),
    ],
)
def test_what_is_left_lasts_so_long_at_the_highest_rate(settings, used, words):
    status = None if used is None else spool_status(bytes_used=used, hours_left=None)
    found = probe._hours(SpoolConfig(**settings), status)
    assert words in found.detail
    assert found.ok is ("full after" in words)
    assert bool(found.fix) is not found.ok


@pytest.mark.parametrize(
    ("free", "ok", "fix"),
    [(64 * 2**20 - 1, False, "Make room"), (64 * 2**20, True, "Give it"), (GIB - 1, True, "Give it"), (GIB, True, "")],
)
def test_how_much_of_a_disk_must_be_free(free, ok, fix):
    found = probe._disk(SpoolConfig(max_bytes=GIB // 2, id_max_bytes=GIB // 2), None, free)
    assert (found.ok, found.fix[:7].strip()) == (ok, fix[:7].strip())


@pytest.mark.parametrize(
    ("most", "free", "ok"), [(0, 0, None), (1000, 0, False), (1000, 15, False), (1000, 16, True), (10**6, 1000, None)]
)
def test_a_file_system_that_can_hold_few_more_files_is_named(most, free, ok):
    found = names_left(most, free)
    assert [finding.ok for finding in found] == ([] if ok is None else [ok])
    for finding in found:
        assert f"{free} of {most} inodes" in finding.detail
        assert "df -i" in finding.fix
