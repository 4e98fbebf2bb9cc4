"""The files of Data Center's nodes are followed: nothing twice, nothing lost, whatever happens to them."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forwarder.contracts import Lost, Retryable, SourceContext
from forwarder.contracts.clock import SystemClock
from forwarder.sources.datacenter import nodes
from forwarder.sources.datacenter.follower import FINISHED_MS
from forwarder.sources.datacenter.source import JiraDataCenter, JiraDataCenterConfig
from forwarder.sources.datacenter.vanished import GONE_MS
from tests.examples import examples

NOW_MS = 1_767_225_600_000
LOG = "20260101-00000.audit.log"


class Clock(SystemClock):
    def __init__(self) -> None:
        self.now = NOW_MS / 1000

    def time(self) -> float:
        return self.now


def line(number: int, ms: int = NOW_MS) -> bytes:
    stamp = {"epochSecond": ms // 1000, "nano": ms % 1000 * 10**6}
    return json.dumps({"n": number, "timestamp": stamp}).encode()


def source(tmp_path: Path, *names: str, clock: Clock | None = None, **more: Any) -> Callable[[], JiraDataCenter]:
    """Return what makes a life of the source."""
    folders = more.pop("nodes", None) or {name: tmp_path / name for name in names or ("node1",)}
    for folder in folders.values():
        if "*" not in str(folder):
            folder.mkdir(exist_ok=True)
    config = JiraDataCenterConfig(type="jira_datacenter", site="jira.example.com", nodes=folders, **more)
    return partial(JiraDataCenter, config, SourceContext("dc", clock or Clock(), None))


def write(path: Path, data: bytes, ms: int = NOW_MS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)
    os.utime(path, (ms / 1000, ms / 1000))


def lines(*numbers: int) -> bytes:
    return b"".join(line(number) + b"\n" for number in numbers)


class Reader:
    """Reads as the engine does: each page once, what is known left out, the state as the spool gives it back."""

    def __init__(self, make: Callable[[], JiraDataCenter], since: int = 0) -> None:
        self.make = make
        self.source = make()
        self.state = self.source.walk(since)
        self.known: dict[bytes, bytes] = {}
        self.repeats = 0
        self.trouble: Retryable | None = None
        self.lost: list[Lost] = []

    async def page(self) -> bool:
        page = await self.source.fetch(self.state)
        self.state = json.loads(json.dumps(page.next))
        self.trouble = page.trouble
        self.lost += page.lost
        for key, body in zip(page.keys, page.bodies, strict=True):
            self.repeats += bytes(key) in self.known
            self.known[bytes(key)] = bytes(body)
        assert (page.more, page.done) in {(True, False), (False, page.trouble is None)} or self.lost
        return page.more

    async def read(self) -> list[Any]:
        """Read to the end, and return what is new."""
        before = len(self.known)
        while await self.page():
            pass
        return [_number(body) for body in list(self.known.values())[before:]]

    async def again(self) -> None:
        """Begin another life of the source."""
        await self.source.close()
        self.source = self.make()


def _number(body: bytes) -> Any:
    try:
        return json.loads(body)["n"]
    except ValueError:
        return body


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return tmp_path / "node1"


async def test_every_line_comes_once_and_as_it_was_written(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(*range(5)))
    assert await reader.read() == [0, 1, 2, 3, 4]
    assert list(reader.known.values()) == [line(number) for number in range(5)]
    write(node / LOG, lines(5))
    assert await reader.read() == [5]
    assert await reader.read() == []
    assert reader.repeats == 0


async def test_a_line_that_is_half_written_is_read_when_it_is_whole(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(0) + line(1)[:9])
    assert await reader.read() == [0]
    write(node / LOG, line(1)[9:])
    assert await reader.read() == []
    write(node / LOG, b"\n")
    assert await reader.read() == [1]


async def test_what_is_written_late_into_a_file_that_others_follow_is_found(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(0) + line(1)[:9])
    write(node / "20260101-00001.audit.log", lines(2))
    write(node / "20260102-00000.audit.log", lines(3))
    assert await reader.read() == [0, 2, 3]
    write(node / LOG, line(1)[9:] + b"\n" + lines(4))
    assert await reader.read() == [1, 4]


async def test_a_line_that_is_never_finished_comes_as_it_is(tmp_path, node):
    clock = Clock()
    reader = Reader(source(tmp_path, clock=clock))
    write(node / LOG, lines(0) + b'{"n": 1, "cu')
    assert await reader.read() == [0]
    clock.now += FINISHED_MS / 1000
    assert await reader.read() == [], "no other file follows"
    write(node / "20260101-00001.audit.log", lines(2))
    assert await reader.read() == [b'{"n": 1, "cu', 2]


async def test_a_record_that_is_whole_is_one_although_its_line_never_ends(tmp_path, node):
    clock = Clock()
    reader = Reader(source(tmp_path, clock=clock))
    write(node / LOG, lines(0) + line(1))
    assert await reader.read() == [0]
    clock.now += FINISHED_MS / 1000
    assert await reader.read() == [1]
    write(node / LOG, b"\n" + lines(2))
    assert await reader.read() == [2]
    assert reader.repeats == 0


async def test_a_file_that_comes_late_is_read_wherever_it_stands_among_the_others(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / "20260101-00005.audit.log", lines(5))
    assert await reader.read() == [5]
    write(node / LOG, lines(0), ms=NOW_MS - 90 * 86_400_000)
    assert await reader.read() == [0]


@pytest.mark.parametrize("new_name", ["20260101-00007.audit.log", LOG + ".1", LOG + "-20260101"])
async def test_a_file_that_is_renamed_is_followed(tmp_path, node, new_name):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(0))
    await reader.read()
    write(node / LOG, lines(1))
    (node / LOG).rename(node / new_name)
    write(node / LOG, lines(2))
    assert sorted(await reader.read()) == [1, 2]
    assert reader.repeats == 0


@pytest.mark.parametrize("grown", [1, 60])
async def test_a_file_that_is_copied_and_cut_loses_nothing_and_repeats_nothing(tmp_path, node, grown):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(*range(30)))
    await reader.read()
    write(node / LOG, lines(30, 31))
    shutil.copyfile(node / LOG, node / f"{LOG}.1")
    os.truncate(node / LOG, 0)
    write(node / LOG, lines(*range(100, 100 + grown)))  # longer than what was read of it, or not
    assert sorted(await reader.read()) == [30, 31, *range(100, 100 + grown)]
    assert reader.repeats == 0, "a copy goes on where the file was"


async def test_a_file_cut_under_a_writer_that_goes_on_at_its_old_place_has_a_hole(tmp_path, node):
    reader = Reader(source(tmp_path, max_line="64KB"))
    write(node / LOG, lines(*range(9)))
    await reader.read()
    with (node / LOG).open("r+b") as file:
        file.truncate(0)
        file.seek(3_000_000)
        file.write(lines(9))
    assert await reader.read() == [9]


@pytest.mark.parametrize("pad", [0, 5000])
async def test_another_file_of_the_same_inode_is_read_from_its_beginning(tmp_path, node, pad):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(*range(10)) + b" " * pad + b"\n")
    await reader.read()
    with (node / LOG).open("r+b") as file:  # nothing but the content changes
        file.truncate(0)
        file.write(lines(*range(20, 60)) + b" " * pad + b"\n")
    assert await reader.read() == list(range(20, 60))


async def test_the_same_length_and_time_does_not_hide_other_content_from_the_next_life(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(1, 2))
    await reader.read()
    (node / LOG).write_bytes(lines(3, 4))
    os.utime(node / LOG, (NOW_MS / 1000, NOW_MS / 1000))
    await reader.again()
    assert await reader.read() == [3, 4]


async def test_what_is_read_again_has_the_same_ids(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(0, 1))
    await reader.read()
    (node / LOG).unlink()
    write(tmp_path / "other", b"")  # so that the inode is another one
    write(node / LOG, lines(0))
    assert await reader.read() == []
    assert reader.repeats == 1


async def test_a_folder_that_is_mounted_anew_goes_on_where_it_was(tmp_path, node):
    reader = Reader(source(tmp_path))
    for number in range(3):
        write(node / f"20260101-0000{number}.audit.log", lines(number, number + 10))
    await reader.read()
    shutil.copytree(node, tmp_path / "copy")
    shutil.rmtree(node)
    node.mkdir()
    assert await reader.read() == []
    assert reader.trouble is not None
    assert "no audit log file" in str(reader.trouble)
    node.rmdir()
    (tmp_path / "copy").rename(node)
    write(node / LOG, lines(7))
    await reader.again()
    assert await reader.read() == [7]
    assert (reader.repeats, reader.trouble) == (0, None)


async def test_a_packed_file_is_not_read_twice_and_what_was_not_read_of_it_is(tmp_path, node):
    reader = Reader(source(tmp_path, limit=10))
    write(node / LOG, lines(*range(25)))
    write(node / "20260101-00001.audit.log", lines(*range(100, 103)))
    await reader.read()
    for name in (LOG, "20260101-00001.audit.log"):
        if name == LOG:
            write(node / name, lines(25, 26))
        (node / f"{name}.gz").write_bytes(gzip.compress((node / name).read_bytes()))
        (node / name).unlink()
    await reader.again()
    assert await reader.read() == [25, 26]
    assert await reader.read() == []
    assert reader.repeats == 0


@pytest.mark.parametrize("pack", [True, False])
async def test_what_was_too_old_stays_so_in_a_copy(tmp_path, node, pack):
    reader = Reader(source(tmp_path, limit=10), NOW_MS)
    write(node / LOG, b"".join(line(number, NOW_MS + number - 90) + b"\n" for number in range(100)))
    await reader.page()
    if pack:
        (node / f"{LOG}.gz").write_bytes(gzip.compress((node / LOG).read_bytes()))
    else:
        shutil.copy2(node / LOG, node / f"{LOG}.1")
    (node / LOG).unlink()
    assert await reader.read() == list(range(90, 100))


async def test_packed_files_of_before_are_history(tmp_path, node):
    node.mkdir()
    text = b"".join(line(number, NOW_MS + number - 50) + b"\n" for number in range(100))
    (node / f"{LOG}.gz").write_bytes(gzip.compress(text[:3000]) + gzip.compress(text[3000:]))
    reader = Reader(source(tmp_path, limit=7), NOW_MS)
    assert await reader.read() == list(range(50, 100))
    assert reader.repeats == 0


async def test_a_packed_file_that_is_damaged_is_said_and_holds_nothing_else(tmp_path, node):
    clock = Clock()
    reader = Reader(source(tmp_path, clock=clock))
    whole = gzip.compress(b"".join(line(number) + os.urandom(50).hex().encode() + b"\n" for number in range(2000)))
    write(node / f"{LOG}.gz", whole[: len(whole) // 2])
    write(node / "20260101-00001.audit.log", lines(9))
    seen = await reader.read()
    assert len(seen) > 500
    assert seen[-1] == 9
    clock.now += 3600
    for _ in range(3):
        assert await reader.read() == []
        assert reader.trouble is not None
        assert f"{LOG}.gz" in str(reader.trouble)
        assert "gzip -t" in reader.trouble.fix
    write(node / f"{LOG}.gz", whole[len(whole) // 2 :])
    assert len(seen) + len(await reader.read()) == 2001
    assert reader.trouble is None


async def test_a_file_that_may_not_be_read_holds_no_other(tmp_path, node, monkeypatch):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(0))
    write(node / "20260101-00001.audit.log", lines(1))
    real = os.open

    def refuse(path: Any, *more: Any, **named: Any) -> int:
        if str(path).endswith(LOG):
            raise PermissionError(13, "Permission denied")
        return real(path, *more, **named)

    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    assert await reader.read() == [1]
    assert reader.trouble is not None
    assert "Permission denied" in str(reader.trouble)
    assert str(node / LOG) in reader.trouble.fix
    monkeypatch.undo()
    assert await reader.read() == [0]
    assert reader.trouble is None


async def test_a_folder_that_is_not_there_holds_only_its_own_node_and_is_said(tmp_path):
    reader = Reader(source(tmp_path, "node1", "node2"))
    (tmp_path / "node1").rmdir()
    write(tmp_path / "node2" / LOG, lines(0))
    assert await reader.read() == [0]
    assert reader.trouble is not None
    assert "node1" in str(reader.trouble)
    write(tmp_path / "node1" / LOG, lines(7))
    assert await reader.read() == [7]
    assert reader.trouble is None
    shutil.rmtree(tmp_path / "node1")
    shutil.rmtree(tmp_path / "node2")
    for _ in range(3):
        with pytest.raises(Retryable, match=r"node1.*1 more"):
            await reader.read()


async def test_a_disk_that_hangs_holds_neither_the_loop_nor_the_other_nodes(tmp_path, monkeypatch):
    reader = Reader(source(tmp_path, "node1", "node2", read_timeout="100ms"))
    write(tmp_path / "node1" / LOG, lines(1))
    write(tmp_path / "node2" / LOG, lines(2))
    hangs, real, looks = threading.Event(), os.scandir, []

    def scan(path: Any) -> Any:
        if str(path).endswith("node1"):
            looks.append(path)
            hangs.wait(60)
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert await reader.read() == [2]
    assert reader.trouble is not None
    assert (reader.trouble.kind, "node1" in str(reader.trouble)) == ("timeout", True)
    for number in (3, 4, 5):
        write(tmp_path / "node2" / LOG, lines(number))
        assert await reader.read() == [number]
    assert len(looks) == 1, "nobody looks there before the first look came back"
    hangs.set()
    monkeypatch.undo()
    while reader.trouble is not None:
        await reader.page()
        await asyncio.sleep(0.01)
    await reader.read()
    assert sorted(_number(body) for body in reader.known.values()) == [1, 2, 3, 4, 5]


async def test_equal_records_are_as_many_records_with_an_id_each(tmp_path):
    found = source(tmp_path, "node1", "node2")
    for name in ("node1", "node2"):
        write(tmp_path / name / LOG, lines(0) * 3 + lines(*range(1, 300)) + lines(0))
    reader = Reader(found)
    assert (await reader.read()).count(0) == 8, "also when others stand between them"
    write(tmp_path / "node1" / LOG, lines(0))
    assert await reader.read() == [0]
    other = Reader(found)
    await other.read()
    assert other.known.keys() == reader.known.keys()


async def test_no_node_waits_for_the_end_of_another(tmp_path):
    reader = Reader(source(tmp_path, "node1", "node2", limit=10))
    write(tmp_path / "node1" / LOG, lines(*range(5000)))
    write(tmp_path / "node2" / LOG, lines(9999))
    await reader.page()
    await reader.page()
    assert line(9999) in reader.known.values()


async def test_records_of_before_are_left_out_and_whatever_is_written_later_is_not(tmp_path, node):
    old, new = NOW_MS - 10_000, NOW_MS
    reader = Reader(source(tmp_path), new)
    write(node / LOG, line(0, old) + b"\n" + line(1, new) + b'\n{"n": 2}\n')
    write(node / "20250101-00000.audit.log", lines(99), ms=NOW_MS - 300 * 86_400_000)
    assert await reader.read() == [1, 2]
    write(node / LOG, line(3, 1000) + b"\n")  # by a clock that is wrong
    write(node / "19700101-00000.audit.log", line(4, 1000) + b"\n", ms=1000)
    assert sorted(await reader.read()) == [3, 4]


async def test_what_is_no_record_is_a_line_all_the_same(tmp_path, node):
    reader = Reader(source(tmp_path, max_line="64KB"))
    write(node / LOG, b"\xff\xfe\x00\x01\n" + lines(1) + b"x" * 200_000 + b"\n\n\r\n" + lines(2))
    assert await reader.read() == [b"\xff\xfe\x00\x01", 1, b"x" * 64_000, 2]


async def test_a_line_that_is_too_long_is_left_before_it_ends(tmp_path, node):
    reader = Reader(source(tmp_path, max_line="64KB"))
    write(node / LOG, b"x" * 3_000_000)
    assert await reader.read() == [b"x" * 64_000]
    write(node / LOG, b"x" * 3_000_000 + b"\n" + lines(1))
    await reader.again()
    assert await reader.read() == [1]


@pytest.mark.parametrize("name", ["other.log", f".{LOG}.Xy12ab", f"{LOG}.zst", f"{LOG}~", f"{LOG}.swp"])
async def test_other_files_are_none_of_the_log(tmp_path, node, name):
    reader = Reader(source(tmp_path))
    write(node / name, lines(0))
    assert await reader.read() == []


async def test_neither_links_nor_pipes_are_read(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(tmp_path / "secret", lines(0))
    (node / LOG).symlink_to(tmp_path / "secret")
    os.mkfifo(node / "20260101-00001.audit.log")
    write(node / "20260101-00002.audit.log", lines(2))
    (node / "20260101-00003.audit.log").symlink_to(node / "20260101-00002.audit.log")
    assert await reader.read() == [2]
    (finding, _) = await reader.source.probe()
    assert LOG in finding.detail
    assert finding.fix


async def test_a_pattern_stands_for_every_node_that_is_there_at_the_time(tmp_path):
    reader = Reader(source(tmp_path, nodes={"jira": tmp_path / "mnt" / "*" / "log" / "audit"}))
    with pytest.raises(Retryable, match="no folder fits"):
        await reader.read()
    (finding,) = await reader.source.probe()
    assert (finding.ok, "nodes.jira" in finding.fix) == (False, True)
    write(tmp_path / "mnt" / "a" / "log" / "audit" / LOG, lines(1))
    assert await reader.read() == [1]
    write(tmp_path / "mnt" / "b" / "log" / "audit" / LOG, lines(1, 2))
    assert await reader.read() == [1, 2]
    shutil.rmtree(tmp_path / "mnt" / "a")
    write(tmp_path / "mnt" / "b" / "log" / "audit" / LOG, lines(3))
    assert await reader.read() == [3]
    assert reader.trouble is None


async def test_folders_and_files_may_have_any_name(tmp_path):
    reader = Reader(source(tmp_path, nodes={"n": tmp_path / "mnt" / "*"}))
    for number, name in enumerate((b"a\xff", b"a\nb", "ä".encode(), b"[x]")):
        folder = Path(os.fsdecode(os.fsencode(tmp_path / "mnt") + b"/" + name))
        write(folder / LOG, lines(number))
        write(folder / os.fsdecode(b"\xff.audit.log"), lines(99))
    assert sorted(await reader.read()) == [0, 1, 2, 3]
    assert not [finding for finding in await reader.source.probe() if not finding.ok]


async def test_a_folder_that_two_names_find_is_read_once(tmp_path):
    reader = Reader(source(tmp_path, nodes={"a": tmp_path / "n1", "b": tmp_path / "n*"}))
    write(tmp_path / "n1" / LOG, lines(1))
    write(tmp_path / "n2" / LOG, lines(2))
    assert sorted(await reader.read()) == [1, 2]


@pytest.mark.parametrize("hanging", ["above", "one"])
async def test_a_disk_that_hangs_under_a_pattern_holds_no_other_node_after_a_start(tmp_path, monkeypatch, hanging):
    """What was read before is read on, though nobody can look which folders fit."""
    reader = Reader(source(tmp_path, nodes={"n": tmp_path / "mnt" / "*" / "audit"}, read_timeout="100ms"))
    for number, name in enumerate("abc"):
        write(tmp_path / "mnt" / name / "audit" / LOG, lines(number))
    await reader.read()
    await reader.again()
    write(tmp_path / "mnt" / "c" / "audit" / LOG, lines(9))
    hangs, real_glob = threading.Event(), nodes.glob.glob

    def look(pattern: str, **named: Any) -> list[str]:
        if hanging == "above":
            hangs.wait(60)
        return real_glob(pattern, **named)

    def on_the_disk(real: Callable[..., Any], path: Any) -> Any:
        if str(path).startswith(str(tmp_path / "mnt" / "a")):
            hangs.wait(60)
        return real(path)

    monkeypatch.setattr(nodes.glob, "glob", look)
    monkeypatch.setattr(os, "scandir", partial(on_the_disk, os.scandir))
    monkeypatch.setattr(Path, "is_dir", lambda path, real=Path.is_dir: on_the_disk(real, path))
    try:
        assert await reader.read() == [9]
        assert reader.trouble is not None
        assert reader.trouble.kind == "timeout"
    finally:
        hangs.set()


@pytest.mark.parametrize("link", ["0", "cur"])
@pytest.mark.parametrize("named", [{}, {"z": "b"}, {"z": "lnk"}])
async def test_a_folder_that_is_reached_by_a_link_as_well_is_read_once(tmp_path, link, named):
    for number, name in enumerate("ab"):
        write(tmp_path / "mnt" / name / LOG, lines(number, number + 10))
    (tmp_path / "mnt" / link).symlink_to("a")
    (tmp_path / "lnk").symlink_to("mnt/a")
    more = {name: tmp_path / ("lnk" if part == "lnk" else f"mnt/{part}") for name, part in named.items()}
    reader = Reader(source(tmp_path, nodes={"n": tmp_path / "mnt" / "*", **more}))
    assert sorted(await reader.read()) == [0, 1, 10, 11]
    assert link not in str(reader.state["nodes"].keys()), "a link may lead elsewhere tomorrow"
    assert set(named) <= set(reader.state["nodes"])


async def test_the_probe_says_what_is_wrong_with_each_folder(tmp_path):
    clock = Clock()
    found = source(tmp_path, "node1", "node2", "node3", clock=clock)
    (tmp_path / "node1").rmdir()
    write(tmp_path / "node3" / LOG, lines(0))
    clock.now += 3 * 86_400
    missing, empty, good = await found().probe()
    assert (missing.ok, empty.ok, good.ok) == (False, False, True)
    assert "mounted" in missing.fix
    assert "log/audit" in empty.fix
    assert LOG in good.detail
    assert "3 days ago" in good.detail
    assert good.fix, "a node that has been silent for days is worth a look"


async def test_the_probe_names_the_files_that_may_not_be_read_and_the_right_that_is_missing(
    tmp_path, node, monkeypatch
):
    found = source(tmp_path)
    write(node / LOG, lines(0))

    def refuse(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    refused, _ = await found().probe()
    assert not refused.ok
    assert LOG in refused.detail
    assert f"setfacl -R -m u:{os.getuid()}:rX" in refused.fix
    assert str(node) in refused.fix


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"nodes": {}}, "at least 1"),
        ({"nodes": {"a": "/x/20260101-00000.audit.log"}}, "name the folder"),
        ({"nodes": {"a": "/x/*.audit.log"}}, "name the folder"),
        ({"nodes": {"a": "/x/y", "b": "/x/./y/"}}, "one folder"),
        ({"nodes": {"a/b": "/x"}}, "name is letters"),
        ({"nodes": {"a": "/x"}, "site": "https://jira.example.com"}, "host"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings_, message):
    with pytest.raises(ValidationError, match=message):
        JiraDataCenterConfig(**{"type": "jira_datacenter", "site": "jira.example.com", **settings_})


def test_the_places_of_nodes_that_are_gone_do_not_grow_for_ever(monkeypatch):
    from forwarder.sources.datacenter import from_files

    monkeypatch.setattr(from_files, "MOST_PLACES", 3)
    there = [nodes.Node("d", Path("d"), limit=1, longest=1, within=1)]
    kept = from_files._kept({key: {} for key in "abcde"}, there)
    assert list(kept) == ["c", "d", "e"]


async def test_a_packed_file_with_the_inode_of_one_that_is_gone_is_read_from_its_beginning(tmp_path, node):
    """Packing removes a file, and the next one that is packed may get its inode."""
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(0, 1, 2))
    assert await reader.read() == [0, 1, 2]
    (node / f"{LOG}.gz").write_bytes(gzip.compress(lines(0, 1, 2)))
    (node / LOG).write_bytes(gzip.compress(lines(3, 4, 5, 6)))  # in place, so that the inode is the same
    (node / LOG).rename(node / "20260101-00001.audit.log.gz")
    assert await reader.read() == [3, 4, 5, 6]


async def test_a_packed_file_is_no_copy_for_its_length_alone(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(1))
    assert await reader.read() == [1]
    (node / f"{LOG}.1.gz").write_bytes(gzip.compress(lines(2)))
    assert await reader.read() == [2]
    (node / f"{LOG}.2.gz").write_bytes(gzip.compress(lines(1)))
    assert await reader.read() == []
    assert reader.repeats == 0


async def test_a_file_of_the_size_time_and_inode_of_another_that_is_gone_is_read(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / LOG, lines(1))
    assert await reader.read() == [1]
    seen = (node / LOG).stat()
    (node / LOG).write_bytes(lines(2))
    os.utime(node / LOG, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    (node / LOG).rename(node / "20260101-00001.audit.log")
    assert await reader.read() == [2]


async def test_a_file_with_the_inode_of_a_packed_one_that_is_gone_is_read_from_its_beginning(tmp_path, node):
    reader = Reader(source(tmp_path, limit=2))
    node.mkdir(exist_ok=True)
    (node / f"{LOG}.gz").write_bytes(gzip.compress(lines(0, 1, 2)))
    assert await reader.page()
    (node / f"{LOG}.gz").write_bytes(lines(3, 4, 5, 6))
    (node / f"{LOG}.gz").rename(node / "20260101-00001.audit.log")
    assert await reader.read() == [3, 4, 5, 6]


@pytest.mark.parametrize(
    "stamp",
    [
        b'{"epochSecond":999999999999,"nano":0}',
        b'{"epochSecond":9999999999999,"nano":0}',
        b'{"epochSecond":253402300800}',
        b'{"epochSecond":-999999999999}',
        b'{"epochSecond":1e300}',
        b'"9999-12-31T23:59:59.999-23:59"',
        b'"0001-01-01T00:00:00.000+23:59"',
        b'"2026-13-45T99:99:99.999Z"',
        b'"2026-01-01T00:00:00\xff\xfe"',
    ],
)
async def test_no_time_of_a_line_stops_the_log(tmp_path, node, stamp):
    reader = Reader(source(tmp_path, "node1", "node2"), NOW_MS - 1000)
    write(node / LOG, lines(0) + b'{"timestamp":' + stamp + b',"n":9}\n' + lines(1))
    write(tmp_path / "node2" / LOG, lines(2))
    found = await reader.read()
    assert len(found) == 4, "what has no time that can be read counts"
    assert {0, 1, 2} <= {number for number in found if isinstance(number, int)}


async def test_a_walk_does_not_end_before_every_node_and_file_was_read(tmp_path, node):
    reader = Reader(source(tmp_path, "node1", "node2"))
    write(node / LOG, lines(0))
    (tmp_path / "node2").rmdir()
    await reader.page()
    assert not (await reader.source.fetch(reader.state)).done, "a folder is missing"
    whole = gzip.compress(lines(*range(900)))
    write(tmp_path / "node2" / f"{LOG}.gz", whole[:50], ms=NOW_MS - FINISHED_MS)
    await reader.read()
    assert not (await reader.source.fetch(reader.state)).done, "a file is damaged"
    (tmp_path / "node2" / f"{LOG}.gz").write_bytes(whole)
    await reader.read()
    assert (await reader.source.fetch(reader.state)).done


def rewrite(path: Path, data: bytes, ms: int = NOW_MS) -> None:
    """Put another content under the inode of a file, as a new file gets that of one that is gone."""
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(data)
    os.utime(path, (ms / 1000, ms / 1000))


@pytest.mark.parametrize("count", [1, 5, 10, 12, 3000])
@pytest.mark.parametrize("is_done", [True, False])
async def test_another_packed_file_of_the_same_inode_and_name_is_read_from_its_beginning(
    tmp_path, node, count, is_done
):
    reader = Reader(source(tmp_path, limit=7))
    write(node / f"{LOG}.1.gz", gzip.compress(lines(*range(10))))
    assert await (reader.read() if is_done else reader.page())
    rewrite(node / f"{LOG}.1.gz", gzip.compress(lines(*range(100, 100 + count))), NOW_MS + 5)
    assert await reader.read() == list(range(100, 100 + count))


async def test_a_packed_file_that_another_is_appended_to_goes_on(tmp_path, node):
    reader = Reader(source(tmp_path))
    write(node / f"{LOG}.gz", gzip.compress(lines(0, 1)))
    assert await reader.read() == [0, 1]
    write(node / f"{LOG}.gz", gzip.compress(lines(2)), NOW_MS + 5)
    assert await reader.read() == [2]
    assert reader.repeats == 0


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("is_copied", [True, False])
async def test_a_packed_file_of_another_name_or_inode_goes_on_where_it_was(tmp_path, node, is_done, is_copied):
    reader = Reader(source(tmp_path, limit=7))
    write(node / f"{LOG}.1.gz", gzip.compress(lines(*range(10))))
    assert await (reader.read() if is_done else reader.page())
    if is_copied:
        shutil.copyfile(node / f"{LOG}.1.gz", node / f"{LOG}.2.gz")
        (node / f"{LOG}.1.gz").unlink()
        await reader.again()
    else:
        (node / f"{LOG}.1.gz").rename(node / f"{LOG}.2.gz")
    write(node / f"{LOG}.1.gz", gzip.compress(lines(*range(20, 30))))
    await reader.read()
    assert [_number(body) for body in reader.known.values()] == [*range(10), *range(20, 30)]
    assert reader.repeats == 0


@pytest.mark.parametrize("days", [0, 300])
@pytest.mark.parametrize("name", [LOG, f"{LOG}.1", f"{LOG}.gz", f"{LOG}.3.gz"])
async def test_what_was_too_old_stays_so_under_another_inode(tmp_path, node, name, days):
    reader = Reader(source(tmp_path, limit=7), NOW_MS)
    old = b"".join(line(number, NOW_MS - 300 * 86_400_000) + b"\n" for number in range(10))
    at = NOW_MS - days * 86_400_000
    write(node / name, gzip.compress(old) if name.endswith(".gz") else old, at)
    write(node / "20250101-00000.audit.log", lines(77))
    assert await reader.page()
    shutil.copyfile(node / name, tmp_path / "copy")
    (node / name).unlink()
    (tmp_path / "copy").rename(node / name)
    assert await reader.read() == []
    assert [_number(body) for body in reader.known.values()] == [77]


@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_copy_that_has_the_inode_of_a_file_that_is_gone_goes_on_where_the_file_was(
    tmp_path, node, is_refused, monkeypatch
):
    reader = Reader(source(tmp_path), NOW_MS)
    old = b"".join(line(number, NOW_MS - 5000) + b"\n" for number in range(10))
    write(node / LOG, old + lines(20, 21))
    write(node / f"{LOG}.1", lines(*range(30, 39)))
    await reader.read()
    rewrite(node / f"{LOG}.1", (node / LOG).read_bytes() + lines(22), NOW_MS + 5)
    rewrite(node / LOG, lines(23), NOW_MS + 5)
    if is_refused:
        real = os.open
        monkeypatch.setattr(os, "open", lambda path, *more, **named: _refused(real, path, *more, **named))
        await reader.page()
        assert reader.trouble is not None
        monkeypatch.undo()
    await reader.read()
    assert sorted(_number(body) for body in reader.known.values()) == [*range(20, 24), *range(30, 39)]
    assert reader.repeats == 0


def _refused(real: Callable[..., int], path: Any, *more: Any, **named: Any) -> int:
    if str(path).endswith(".1"):
        raise PermissionError(13, "Permission denied")
    return real(path, *more, **named)


DEEDS = (
    *("write", "burst", "half", "finish", "next", "turn", "copy_and_cut", "pack", "shift", "replace"),
    *("read", "page", "life", "remount"),
)


@settings(
    max_examples=examples(80),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(st.lists(st.sampled_from(DEEDS), max_size=40), st.integers(0, 2**32))
async def test_whatever_happens_to_the_files_every_whole_line_comes_once(tmp_path_factory, deeds, seed):
    dice = random.Random(seed)
    tmp_path, clock = tmp_path_factory.mktemp("dc"), Clock()
    reader = Reader(source(tmp_path, limit=dice.choice([2, 1000]), clock=clock))
    folder, number, file, half, turns = tmp_path / "node1", 0, 0, b"", 0
    written: list[int] = []

    def path() -> Path:
        return folder / f"20260101-{file:05}.audit.log"

    for deed in [*deeds, "finish", "read"]:
        if deed in {"write", "burst"} and not half:
            for _ in range(dice.randrange(1, 4) if deed == "write" else 80):
                write(path(), line(number) + b"\n", NOW_MS + number)
                written.append(number)
                number += 1
        elif deed == "half" and not half:
            whole = line(number) + b"\n"
            cut = dice.randrange(1, len(whole))
            write(path(), whole[:cut], NOW_MS + number)
            half = whole[cut:]
        elif deed == "finish" and half:
            write(path(), half, NOW_MS + number + 1)
            written.append(number)
            number, half = number + 1, b""
        elif deed == "next" and path().exists() and not half:
            file += 1
        elif deed == "turn" and path().exists() and not half:
            turns += 1
            path().rename(folder / f"{path().name}.{1000 - turns}")
        elif deed == "copy_and_cut" and path().exists() and not half:
            turns += 1
            shutil.copy2(path(), folder / f"{path().name}.{1000 - turns}")
            os.truncate(path(), 0)
        elif deed == "pack" and not half:
            plain = [each for each in folder.iterdir() if each != path() and each.suffix != ".gz"]
            if plain:
                chosen = dice.choice(sorted(plain))
                packed = chosen.with_name(f"{chosen.name}.gz")
                packed.write_bytes(gzip.compress(chosen.read_bytes()))
                chosen.unlink()
        elif deed == "shift" and (packed_ones := sorted(folder.glob("*.gz"))):
            turns += 1
            chosen = dice.choice(packed_ones)
            chosen.rename(folder / f"{chosen.name[: len(path().name)]}.{1000 - turns}.gz")
        elif deed == "replace" and (packed_ones := sorted(folder.glob("*.gz"))) and not half:
            await reader.read()  # what is gone before it is read is lost
            rewrite(dice.choice(packed_ones), gzip.compress(line(number) + b"\n"), NOW_MS + number)
            written.append(number)
            number += 1
        elif deed == "remount":
            shutil.copytree(folder, tmp_path / "copy")
            shutil.rmtree(folder)
            (tmp_path / "copy").rename(folder)
        elif deed == "life":
            clock.now += GONE_MS / 1000
            await reader.again()
        elif deed == "page":
            await reader.page()
        elif deed == "read":
            await reader.read()
    assert sorted(_number(body) for body in reader.known.values()) == written
    clock.now += GONE_MS / 1000
    assert await reader.read() == []
    assert reader.lost == [], "all files were there"
