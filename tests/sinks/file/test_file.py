"""The file sink on a real file system: what is in the file after everything that can happen to it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from forwarder.contracts import Held, Retryable
from forwarder.testing.lanes import batch_of
from sinks.file.lines import Durability, LineFile, Rotation
from sinks.file.sink import FileConfig
from tests.sinks.file.files import StoppedClock, file_sink, lines_of, send


async def test_lines_are_appended_in_order_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "events.ndjson"
    sink = file_sink(path)
    await send(sink, b'{"n":1}', b'{"n":2}')
    await send(sink, b'{"n":3}')
    assert lines_of(path) == [b'{"n":1}', b'{"n":2}', b'{"n":3}'], "accepted, and not in the file"
    await sink.close()
    again = file_sink(path)
    await send(again, b'{"n":4}')
    await again.close()
    assert lines_of(path)[-2:] == [b'{"n":3}', b'{"n":4}']


@pytest.mark.parametrize(("written", "mode"), [("0600", 0o600), ("0640", 0o640), (0o640, 0o640)])
async def test_a_new_file_has_the_mode_whatever_the_umask(tmp_path: Path, written: str | int, mode: int) -> None:
    before = os.umask(0o077)
    try:
        sink = file_sink(tmp_path / "x", mode=written)
        await send(sink, b"1")
        await sink.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


async def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    path.chmod(0o644)
    sink = file_sink(path)
    await send(sink, b"1")
    await sink.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "wrong", [{"mode": "0777"}, {"mode": 640}, {"rotate": {"bytes": 0}}, {"path": ""}, {"fsync": "yes"}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FileConfig.model_validate({"path": "x", **wrong})


async def test_a_line_end_inside_a_body_is_rejected_and_forges_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    sink = file_sink(path)
    delivery = await sink.send(batch_of(b"one", b'two\n{"forged":true}', b"three"))
    await sink.close()
    assert list(delivery.accepted) == [0, 2]
    assert {position: rejection.reason for position, rejection in delivery.rejected.items()} == {1: "line_break"}
    assert lines_of(path) == [b"one", b"three"]


async def test_a_batch_of_forgeries_only_writes_nothing(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "x")
    delivery = await sink.send(batch_of(b"\n", b"a\nb"))
    await sink.close()
    assert list(delivery.accepted) == []
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (b'{"a":1}\n{"b":2}\n{"c', b'{"a":1}\n{"b":2}\n'),
        (b'{"c', b""),
        (b'{"a":1}\n', b'{"a":1}\n'),
        (b"", b""),
        (b'{"a":1}\n{' + b"x" * 200_000, b'{"a":1}\n'),
        (b"{" + b"o" * 70_000 + b"\n{" + b"x" * 65_535, b"{" + b"o" * 70_000 + b"\n"),
        (b'{"a":1}\n' + b"\0" * 4096, b'{"a":1}\n'),
    ],
    ids=["tail", "only a tail", "whole", "empty", "tail over chunks", "tail of one chunk", "zeros after a power cut"],
)
async def test_a_half_written_last_line_is_cut_at_start(tmp_path: Path, found: bytes, left: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(found)
    sink = file_sink(path)
    await send(sink, b'{"new":1}')
    await sink.close()
    assert path.read_bytes() == left + b'{"new":1}\n'


@pytest.mark.parametrize(
    "found",
    [
        b"notes of mine\nand the last of them",
        b"one line only",
        b"# a heading\n{ begins as ours do",
        b"CEF:0|Example|Other|1|x|y|5|\nCEF:0|Example|Other|1|x",
        b"\xff\xfe\n\x00binary",
        b"[section]\nkey=value",
    ],
)
@pytest.mark.parametrize("new", [b'{"new":1}', b"CEF:0|Atlassian|Organization|1|a|b|3|", b"plain"])
async def test_the_last_line_of_a_foreign_file_is_left_alone(tmp_path: Path, found: bytes, new: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(found)
    sink = file_sink(path)
    for _ in range(2):
        with pytest.raises(Held, match="did not write"):
            await sink.send(batch_of(new))
    assert path.read_bytes() == found
    with path.open("ab") as file:  # as the message says
        file.write(b"\n")
    await send(sink, new)
    await sink.close()
    assert path.read_bytes() == found + b"\n" + new + b"\n"


@pytest.mark.parametrize("found", [b'{"theirs":1}', b'{"a":1}\n{"theirs":[1,2]}', b"[]", b'"text"'])
async def test_a_whole_json_text_without_a_line_end_gets_one(tmp_path: Path, found: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(found)
    sink = file_sink(path)
    await send(sink, b'{"new":1}')
    await sink.close()
    assert path.read_bytes() == found + b'\n{"new":1}\n'


async def test_what_others_append_after_an_end_in_order_is_theirs(tmp_path: Path) -> None:
    path = tmp_path / "x"
    sink = file_sink(path)
    await send(sink, b"ours")
    await sink.close()
    with path.open("ab") as file:
        file.write(b"theirs")
    sink = file_sink(path)
    with pytest.raises(Held, match="did not write"):
        await sink.send(batch_of(b"ours again"))
    await sink.close()
    assert path.read_bytes() == b"ours\ntheirs"


async def test_what_we_cannot_have_written_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.write(b"precious\n")
        file.truncate(65 * 2**20)
    sink = file_sink(path)
    with pytest.raises(Held, match="does not end in a line"):
        await sink.send(batch_of(b"new"))
    await sink.close()
    assert path.stat().st_size == 65 * 2**20


async def test_a_file_moved_away_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    sink = file_sink(path)
    await send(sink, b"1")
    path.rename(tmp_path / "x.1")
    await send(sink, b"2")
    path.unlink()
    await send(sink, b"3")
    await sink.close()
    assert lines_of(tmp_path / "x.1") == [b"1"]
    assert lines_of(path) == [b"3"]


async def test_a_file_replaced_by_another_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    sink = file_sink(path)
    await send(sink, b"1")
    (tmp_path / "other").write_bytes(b"0\n")
    (tmp_path / "other").rename(path)
    await send(sink, b"2")
    await sink.close()
    assert lines_of(path) == [b"0", b"2"]


async def test_a_file_cut_or_extended_by_others_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    sink = file_sink(path)
    await send(sink, b"1", b"2")
    os.truncate(path, 0)  # as copytruncate does
    await send(sink, b"3")
    with path.open("ab") as file:
        file.write(b"theirs\nhal")
    with pytest.raises(Held, match="did not write"):
        await sink.send(batch_of(b"4"))
    with path.open("ab") as file:
        file.write(b"f\n")
    await send(sink, b"4")
    await sink.close()
    assert lines_of(path) == [b"3", b"theirs", b"half", b"4"]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("victim"))
    path.with_name("victim").write_bytes(b"half")


@pytest.mark.parametrize(
    ("make", "expected"),
    [(_fifo, "a pipe"), (_link, "symbolic link"), (Path.mkdir, "a folder")],
    ids=["fifo", "link", "folder"],
)
async def test_what_is_no_regular_file_is_refused(tmp_path: Path, make: Any, expected: str) -> None:
    path = tmp_path / "x"
    make(path)
    sink = file_sink(path)
    for _ in range(2):
        with pytest.raises(Held, match=expected):
            await sink.send(batch_of(b"1"))
    assert [finding.ok for finding in await sink.probe()] == [False]
    await sink.close()
    if path.is_symlink():
        assert path.with_name("victim").read_bytes() == b"half"


@pytest.mark.parametrize(
    ("content", "fix"), [(b"theirs", "line feed"), (b"a\ntheirs", "line feed"), (b"theirs\n", ""), (b'{"a":1}', "")]
)
async def test_a_line_of_others_without_an_end_is_said_by_the_probe(tmp_path: Path, content: bytes, fix: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    sink = file_sink(path)
    (finding,) = await sink.probe()
    assert finding.ok
    assert fix in finding.fix
    assert bool(finding.fix) == bool(fix)
    await sink.close()
    assert path.read_bytes() == content


async def test_a_device_is_refused() -> None:
    sink = file_sink("/dev/null")
    with pytest.raises(Held, match="device"):
        await sink.send(batch_of(b"1"))
    await sink.close()


async def test_two_sinks_cannot_write_one_file(tmp_path: Path) -> None:
    first, second = file_sink(tmp_path / "x"), file_sink(tmp_path / "x")
    await send(first, b"1")
    with pytest.raises(Held, match="another process or sink"):
        await second.send(batch_of(b"2"))
    await first.close()
    await send(second, b"2")
    await second.close()
    assert lines_of(tmp_path / "x") == [b"1", b"2"]


async def test_a_file_where_a_folder_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    sink = file_sink(tmp_path / "x" / "y")
    with pytest.raises(Held) as caught:
        await sink.send(batch_of(b"1"))
    assert caught.value.fix
    assert not (await sink.probe())[0].ok
    await sink.close()


async def test_a_cancelled_send_leaves_whole_lines_and_the_sink_usable(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "x")
    bodies = [b"%d" % number * 1000 for number in range(30)]
    for body in bodies:
        task = asyncio.create_task(sink.send(batch_of(body)))
        await asyncio.sleep(0)
        task.cancel()
    await send(sink, b"last")
    await sink.close()
    lines = lines_of(tmp_path / "x")
    assert lines[-1] == b"last"
    assert set(lines[:-1]) <= set(bodies)
    assert len(lines) == len(set(lines))


async def test_sends_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "x")
    await asyncio.gather(*(send(sink, *[b"%03d" % number * 300] * 20) for number in range(20)))
    await sink.close()
    lines = lines_of(tmp_path / "x")
    assert len(lines) == 400
    assert all(len(set(lines[start : start + 20])) == 1 for start in range(0, 400, 20))


# ------------------------------------------------------------------------------------------------------- fsync


class _Syncs:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.error: OSError | None = None
        real = os.fdatasync

        def counted(descriptor: int) -> None:
            self.count += 1
            if self.error is not None:
                raise self.error
            real(descriptor)

        monkeypatch.setattr("sinks.file.lines._sync_content", counted)


@pytest.mark.parametrize(
    ("fsync", "expected", "proof"), [("always", 6, "delivered"), ("interval", 2, "received"), ("never", 0, "received")]
)
async def test_fsync_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str, expected: int, proof: str
) -> None:
    syncs, clock = _Syncs(monkeypatch), StoppedClock()
    sink = file_sink(tmp_path / "x", clock, fsync=fsync, fsync_interval="5s")
    for _ in range(6):
        await send(sink, b"1")
        clock.now += 1
    await sink.close()
    assert syncs.count == expected
    assert sink.proof == proof


async def test_a_failed_fsync_takes_the_lines_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = _Syncs(monkeypatch)
    sink = file_sink(tmp_path / "x")
    await send(sink, b"1")
    syncs.error = OSError(5, "Input/output error")
    with pytest.raises(Retryable):
        await sink.send(batch_of(b"2", b"3"))
    assert lines_of(tmp_path / "x") == [b"1"]
    syncs.error = None
    await send(sink, b"2", b"3")
    await sink.close()
    assert lines_of(tmp_path / "x") == [b"1", b"2", b"3"]


async def test_a_torn_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, broken = os.write, True

    def torn(descriptor: int, content: bytes) -> int:
        if broken and len(content) > 5:
            return real(descriptor, content[:5])
        if broken:
            raise OSError(28, "No space left on device")
        return real(descriptor, content)

    sink = file_sink(tmp_path / "x")
    await send(sink, b"1")
    monkeypatch.setattr("sinks.file.lines.os.write", torn)
    with pytest.raises(Held) as caught:
        await sink.send(batch_of(b"22", b"333", b"4444"))
    assert caught.value.kind == "disk_full"
    assert lines_of(tmp_path / "x") == [b"1"]
    broken = False
    await send(sink, b"22", b"333", b"4444")
    await sink.close()
    assert lines_of(tmp_path / "x") == [b"1", b"22", b"333", b"4444"]


def test_the_descriptor_is_not_leaked_by_errors(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "x", Durability(), Rotation(), StoppedClock(), "test")
    (tmp_path / "x").write_bytes(b"")
    with (tmp_path / "x").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            with pytest.raises(Held):
                file.append(b"1\n")
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    file.append(b"1\n")
    file.close()


# ------------------------------------------------------------------------------------------------------- probe


async def test_a_probe_says_what_there_is_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x"
    sink = file_sink(path)
    assert [finding.ok for finding in await sink.probe()] == [True]
    assert list(tmp_path.iterdir()) == []
    path.parent.mkdir()
    path.write_bytes(b"half")
    before = path.stat().st_mtime_ns
    assert [finding.ok for finding in await sink.probe()] == [True]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (b"half", before)
    await sink.close()


def test_the_target_is_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_sink("out/x").target == f"file:{tmp_path}/out/x"
    assert file_sink("-").target == "file:-"
    assert file_sink("-").proof == "received"


def test_files_dated_by_a_clock_that_was_ahead_do_not_push_out_the_new_ones(tmp_path: Path) -> None:
    clock = StoppedClock()
    file = LineFile(tmp_path / "e.ndjson", Durability("never"), Rotation(bytes=8, keep=2), clock, "x")
    clock.now += 365 * 86_400
    for number in range(4):
        clock.now += 1
        file.append(b"ahead%d\n" % number)
    clock.now -= 365 * 86_400
    for number in range(4):
        clock.now += 1
        file.append(b"now%d\n" % number)
    file.close()
    assert sorted(path.read_bytes()[:4] for path in tmp_path.iterdir()) == [b"now1", b"now2", b"now3"]
