"""Rotation of the file sink: by size, by time, after a restart; nothing is overwritten and nothing else is removed."""

from __future__ import annotations

import os
from pathlib import Path

from sinks.file.lines import rotated
from tests.sinks.file.files import StoppedClock, file_sink, lines_of, send


async def test_rotation_by_size_keeps_every_line_once(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    sink = file_sink(path, rotate={"bytes": 30})
    for number in range(10):
        await send(sink, b"%010d" % number, b"second")
    await sink.close()
    old = rotated(path)
    assert [file.name for file in old] == [f"events-20260131T120000-{n}.ndjson" for n in range(1, 10)]
    assert all(file.stat().st_size <= 30 for file in [*old, path])
    numbers = [line for file in [*old, path] for line in lines_of(file) if line != b"second"]
    assert numbers == [b"%010d" % number for number in range(10)]


async def test_a_batch_larger_than_the_limit_gets_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x"
    sink = file_sink(path, rotate={"bytes": 10})
    await send(sink, b"a" * 100)
    await send(sink, b"b" * 100)
    await sink.close()
    assert [len(lines_of(file)) for file in [*rotated(path), path]] == [1, 1]


async def test_rotation_by_time_begins_at_midnight_utc(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.log", StoppedClock()
    sink = file_sink(path, clock, rotate={"every": "1d"})
    await send(sink, b"noon")
    clock.now += 12 * 3600 - 1
    await send(sink, b"before midnight")
    assert rotated(path) == []
    clock.now += 1
    await send(sink, b"midnight")
    await sink.close()
    assert [lines_of(file) for file in rotated(path)] == [[b"noon", b"before midnight"]]
    assert lines_of(path) == [b"midnight"]


async def test_a_file_of_yesterday_is_set_aside_after_a_restart(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.log", StoppedClock()
    path.write_bytes(b'{"old":1}\n{"hal')
    os.utime(path, (clock.now - 86400, clock.now - 86400))
    sink = file_sink(path, clock, rotate={"every": "1d"})
    await send(sink, b'{"new":1}')
    await sink.close()
    assert [lines_of(file) for file in rotated(path)] == [[b'{"old":1}']]
    assert lines_of(path) == [b'{"new":1}']


async def test_rotation_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    theirs = tmp_path / "x-20260131T120000-1.ndjson"
    theirs.write_bytes(b"theirs\n")
    sink = file_sink(path, rotate={"bytes": 1})
    await send(sink, b"1")
    await send(sink, b"2")
    await sink.close()
    assert theirs.read_bytes() == b"theirs\n"
    assert lines_of(tmp_path / "x-20260131T120000-2.ndjson") == [b"1"]


async def test_keep_removes_the_oldest_and_nothing_else(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.ndjson", StoppedClock()
    bystanders = [
        tmp_path / name for name in ("x-notes.ndjson", "x-20260131T120000-1.ndjson.gz", "y-20200101T000000-1.ndjson")
    ]
    for bystander in bystanders:
        bystander.write_bytes(b"keep me\n")
    sink = file_sink(path, clock, rotate={"bytes": 1, "keep": 2})
    for number in range(12):
        clock.now += number % 2
        await send(sink, b"%d" % number)
    await sink.close()
    assert [lines_of(file) for file in rotated(path)] == [[b"9"], [b"10"]]
    assert lines_of(path) == [b"11"]
    assert all(bystander.exists() for bystander in bystanders)
