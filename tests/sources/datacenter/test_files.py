"""The files of Data Center's nodes are followed by inode and offset: nothing twice, nothing lost, whatever happens to them."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Retryable, SourceContext
from forwarder.contracts.clock import SystemClock
from forwarder.sources.datacenter.files import FINISHED_MS, Folder, Place
from forwarder.sources.datacenter.source import JiraDataCenter, JiraDataCenterConfig

NOW_MS = 1_767_225_600_000


class Clock(SystemClock):
    def __init__(self) -> None:
        self.now = NOW_MS / 1000

    def time(self) -> float:
        return self.now


def line(number: int, ms: int = NOW_MS) -> bytes:
    stamp = {"epochSecond": ms // 1000, "nano": ms % 1000 * 10**6}
    return json.dumps({"n": number, "timestamp": stamp}).encode()


def source(tmp_path: Path, *nodes: str, clock: Clock | None = None, **more: Any) -> JiraDataCenter:
    folders = {node: tmp_path / node for node in nodes or ("node1",)}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    config = JiraDataCenterConfig(type="jira_datacenter", site="jira.example.com", nodes=folders, **more)
    return JiraDataCenter(config, SourceContext("dc", clock or Clock(), None))


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
    os.utime(path, (NOW_MS / 1000, NOW_MS / 1000))


async def read(found: JiraDataCenter, state: dict[str, Any]) -> tuple[list[tuple[bytes, bytes]], dict[str, Any]]:
    """Read to the tip; return keys with bodies, and the state, as the spool gives it back."""
    seen: list[tuple[bytes, bytes]] = []
    while True:
        page = await found.fetch(state)
        seen += zip(page.keys, page.bodies, strict=True)
        state = json.loads(json.dumps(page.next))
        if not page.more:
            assert page.done
            return seen, state


def numbers(seen: list[tuple[bytes, bytes]]) -> list[int]:
    return [json.loads(body)["n"] for _, body in seen]


async def test_every_line_comes_once_and_as_it_was_written(tmp_path):
    found = source(tmp_path)
    log = tmp_path / "node1" / "20260101-00000.audit.log"
    lines = [line(number) for number in range(5)]
    write(log, b"".join(one + b"\n" for one in lines))
    seen, state = await read(found, found.walk(0))
    assert [body for _, body in seen] == lines
    write(log, line(5) + b"\n")
    seen, state = await read(found, state)
    assert numbers(seen) == [5]
    assert (await read(found, state))[0] == []


async def test_a_line_that_is_half_written_is_read_when_it_is_whole(tmp_path):
    found = source(tmp_path)
    log = tmp_path / "node1" / "20260101-00000.audit.log"
    write(log, line(0) + b"\n" + line(1)[:9])
    seen, state = await read(found, found.walk(0))
    assert numbers(seen) == [0]
    write(log, line(1)[9:] + b"\n")
    assert numbers((await read(found, state))[0]) == [1]


async def test_the_next_file_follows_when_the_one_before_is_read_to_its_end(tmp_path):
    found = source(tmp_path)
    folder = tmp_path / "node1"
    write(folder / "20260101-00000.audit.log", line(0) + b"\n")
    seen, state = await read(found, found.walk(0))
    write(folder / "20260101-00000.audit.log", line(1) + b"\n")
    write(folder / "20260101-00001.audit.log", line(2) + b"\n")
    write(folder / "20260102-00000.audit.log", line(3) + b"\n")
    seen, state = await read(found, state)
    assert numbers(seen) == [1, 2, 3]


async def test_what_is_written_late_into_a_file_that_another_follows_is_waited_for(tmp_path):
    clock = Clock()
    found = source(tmp_path, clock=clock)
    folder = tmp_path / "node1"
    write(folder / "20260101-00000.audit.log", line(0) + b"\n" + line(1)[:9])
    write(folder / "20260101-00001.audit.log", line(2) + b"\n")
    seen, state = await read(found, found.walk(0))
    assert numbers(seen) == [0]
    write(folder / "20260101-00000.audit.log", line(1)[9:] + b"\n")
    assert numbers((await read(found, state))[0]) == [1, 2]


async def test_a_line_that_is_never_finished_comes_as_it_is_and_holds_nothing(tmp_path):
    clock = Clock()
    found = source(tmp_path, clock=clock)
    folder = tmp_path / "node1"
    write(folder / "20260101-00000.audit.log", line(0) + b"\n" + b'{"n": 1, "cu')
    write(folder / "20260101-00001.audit.log", line(2) + b"\n")
    clock.now += FINISHED_MS / 1000
    seen, _ = await read(found, found.walk(0))
    assert [body for _, body in seen] == [line(0), b'{"n": 1, "cu', line(2)]


async def test_a_file_that_is_renamed_is_followed(tmp_path):
    found = source(tmp_path)
    folder = tmp_path / "node1"
    write(folder / "20260101-00000.audit.log", line(0) + b"\n")
    _, state = await read(found, found.walk(0))
    write(folder / "20260101-00000.audit.log", line(1) + b"\n")
    (folder / "20260101-00000.audit.log").rename(folder / "20260101-00007.audit.log")
    assert numbers((await read(found, state))[0]) == [1]


async def test_a_file_that_was_cut_is_read_from_its_beginning_and_the_same_records_keep_their_ids(tmp_path):
    found = source(tmp_path)
    log = tmp_path / "node1" / "20260101-00000.audit.log"
    write(log, line(0) + b"\n" + line(1) + b"\n")
    before, state = await read(found, found.walk(0))
    log.write_bytes(line(0) + b"\n")
    after, _ = await read(found, state)
    assert after == before[:1]


async def test_a_folder_that_is_not_there_holds_only_its_own_node(tmp_path):
    found = source(tmp_path, "node1", "node2")
    (tmp_path / "node1").rmdir()
    write(tmp_path / "node2" / "20260101-00000.audit.log", line(0) + b"\n")
    state = found.walk(0)
    page = await found.fetch(state)
    assert page.bodies == [line(0)]
    with pytest.raises(Retryable, match="node1"):
        await found.fetch(page.next)
    (tmp_path / "node1").mkdir()
    write(tmp_path / "node1" / "20260101-00000.audit.log", line(7) + b"\n")
    assert numbers((await read(found, page.next))[0]) == [7]


async def test_equal_records_are_as_many_records_with_an_id_each(tmp_path):
    found = source(tmp_path, "node1", "node2")
    for node in ("node1", "node2"):
        write(tmp_path / node / "20260101-00000.audit.log", (line(0) + b"\n") * 3)
    seen, state = await read(found, found.walk(0))
    assert len({key for key, _ in seen}) == 6
    write(tmp_path / "node1" / "20260101-00000.audit.log", line(0) + b"\n")
    more, _ = await read(found, state)
    again, _ = await read(found, found.walk(0))
    assert len({key for key, _ in [*seen, *more]}) == 7
    assert {key for key, _ in again} == {key for key, _ in [*seen, *more]}


async def test_no_node_waits_for_the_end_of_another(tmp_path):
    found = source(tmp_path, "node1", "node2", max_line="64KB")
    write(tmp_path / "node1" / "20260101-00000.audit.log", b"".join(line(number) + b"\n" for number in range(5000)))
    write(tmp_path / "node2" / "20260101-00000.audit.log", line(9999) + b"\n")
    first = await found.fetch(found.walk(0))
    assert numbers(list(zip(first.keys, (await found.fetch(first.next)).bodies, strict=False))) == [9999]


async def test_records_from_before_the_time_asked_for_are_left_out(tmp_path):
    found = source(tmp_path)
    old, new = NOW_MS - 10_000, NOW_MS
    write(tmp_path / "node1" / "20260101-00000.audit.log", line(0, old) + b"\n" + line(1, new) + b"\n" + b"{}\n")
    seen, _ = await read(found, found.walk(new))
    assert [body for _, body in seen] == [line(1), b"{}"]


async def test_a_line_above_the_limit_says_which_setting_helps(tmp_path):
    found = source(tmp_path, max_line="64KB")
    write(tmp_path / "node1" / "20260101-00000.audit.log", b"x" * 100_000)
    with pytest.raises(Retryable) as caught:
        await found.fetch(found.walk(0))
    assert (caught.value.kind, caught.value.fix) == ("too_large", "Raise max_line.")


@pytest.mark.parametrize("name", ["other.log", "20260101-00000.audit.log.gz", "x20260101-00000.audit.log"])
async def test_other_files_are_none_of_the_log(tmp_path, name):
    found = source(tmp_path)
    write(tmp_path / "node1" / name, line(0) + b"\n")
    assert (await read(found, found.walk(0)))[0] == []


async def test_neither_links_nor_pipes_are_read(tmp_path):
    found = source(tmp_path)
    secret = tmp_path / "secret"
    write(secret, line(0) + b"\n")
    (tmp_path / "node1" / "20260101-00000.audit.log").symlink_to(secret)
    os.mkfifo(tmp_path / "node1" / "20260101-00001.audit.log")
    assert (await read(found, found.walk(0)))[0] == []


async def test_the_probe_says_what_is_wrong_with_each_folder(tmp_path):
    found = source(tmp_path, "node1", "node2", "node3")
    (tmp_path / "node1").rmdir()
    write(tmp_path / "node3" / "20260101-00000.audit.log", line(0) + b"\n")
    missing, empty, good = await found.probe()
    assert (missing.ok, empty.ok, good.ok) == (False, False, True)
    assert "mounted" in missing.fix
    assert "log/audit" in empty.fix
    assert "20260101-00000.audit.log" in good.detail


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(
    st.lists(st.sampled_from(["write", "half", "finish", "next", "rename", "read", "read_less"]), max_size=40),
    st.integers(0, 2**32),
)
async def test_whatever_happens_to_the_files_every_whole_line_comes_once(tmp_path_factory, happenings, seed):
    dice = random.Random(seed)
    tmp_path = tmp_path_factory.mktemp("dc")
    found = source(tmp_path, max_line="64KB")
    folder, number, file, half = tmp_path / "node1", 0, 0, b""
    written: list[int] = []
    seen: dict[bytes, int] = {}
    state = found.walk(0)

    def path() -> Path:
        return folder / f"20260101-{file:05}.audit.log"

    for what in [*happenings, "finish", "read"]:
        if what == "write" and not half:
            for _ in range(dice.randrange(1, 4)):
                write(path(), line(number) + b"\n")
                written.append(number)
                number += 1
        elif what == "half" and not half:
            whole = line(number) + b"\n"
            cut = dice.randrange(1, len(whole))
            write(path(), whole[:cut])
            half = whole[cut:]
        elif what == "finish" and half:
            write(path(), half)
            written.append(number)
            number, half = number + 1, b""
        elif what == "next" and path().exists() and not half:
            file += 1
        elif what == "rename" and path().exists():
            path().rename(folder / f"20260101-{file + 1:05}.audit.log")
            file += 1
        elif what in {"read", "read_less"}:
            while True:
                page = await found.fetch(state)
                state = json.loads(json.dumps(page.next))
                for key, body in zip(page.keys, page.bodies, strict=True):
                    assert key not in seen, "twice"
                    seen[key] = json.loads(body)["n"]
                if not page.more or what == "read_less":
                    break
            if what == "read":
                for old in sorted(folder.iterdir())[:-1]:
                    old.unlink()  # retention
    assert sorted(seen.values()) == written


def test_a_place_is_before_the_first_file_that_can_hold_what_is_asked_for(tmp_path):
    for day in ("20251201", "20251230", "20260101"):
        file = tmp_path / f"{day}-00000.audit.log"
        file.write_bytes(b"{}\n")
        moment = NOW_MS / 1000 - {"20251201": 31, "20251230": 2, "20260101": 0}[day] * 86_400
        os.utime(file, (moment, moment))
    folder = Folder("node1", tmp_path)
    assert folder.begin(0) == Place()
    assert folder.begin(NOW_MS).name == "20251230-00000.audit.log"
    assert folder.begin(NOW_MS - 20 * 86_400_000).name == "20251201-00000.audit.log"
