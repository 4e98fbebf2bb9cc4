"""A full disk: the lane is held with a fix, the file is as it was, and everything goes on when there is room again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forwarder.contracts import Held
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from sinks.file.sink import FileConfig, FileSink

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.getuid() != 0:
        pytest.skip("NEEDS ROOT: a small tmpfs can be mounted by root only")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"NO MOUNT ALLOWED HERE: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_holds_and_loses_nothing(small_disk: Path) -> None:
    path, ballast = small_disk / "x", small_disk / "ballast"
    ballast.write_bytes(b"\0" * 600_000)
    sink = FileSink(FileConfig(path=str(path)), context())
    sent: list[bytes] = []
    held: Held | None = None
    while held is None:
        bodies = [b"%06d" % (len(sent) + index) * 300 for index in range(20)]
        good = path.read_bytes() if path.exists() else b""
        try:
            await sink.send(batch_of(*bodies))
        except Held as error:
            held = error
        else:
            sent += bodies
    assert sent, "the disk was full from the beginning"
    assert held.kind == "disk_full"
    assert "Free space" in held.fix
    assert path.read_bytes() == good, "half of the batch stayed"
    with pytest.raises(Held):
        await sink.send(batch_of(*bodies))
    ballast.unlink()
    await sink.send(batch_of(*bodies))
    await sink.close()
    assert path.read_bytes().splitlines() == sent + bodies


async def test_no_room_for_a_new_file_holds_too(small_disk: Path) -> None:
    with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    sink = FileSink(FileConfig(path=str(small_disk / "out" / "x")), context())
    with pytest.raises(Held) as caught:
        await sink.send(batch_of(b"1"))
    assert caught.value.kind == "disk_full"
    (small_disk / "ballast").unlink()
    await sink.send(batch_of(b"1"))
    await sink.close()
    assert (small_disk / "out" / "x").read_bytes() == b"1\n"


_LIMITED = """
import asyncio, resource, sys
from forwarder.contracts import Held
from sinks.file.sink import FileConfig, FileSink
from forwarder.testing.lanes import batch_of
from forwarder.testing.far_end import context

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 20_000))
    sink = FileSink(FileConfig(path=sys.argv[1]), context())
    await sink.send(batch_of(b"a" * 6000))
    try:
        await sink.send(batch_of(b"b" * 3000, b"c" * 3000))
    except Held as held:
        print(held.kind, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    await sink.send(batch_of(b"b" * 3000, b"c" * 3000))
    await sink.close()

asyncio.run(main())
"""


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "x"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "disk_full\n"), done.stderr
    assert path.read_bytes().splitlines() == [b"a" * 6000, b"b" * 3000, b"c" * 3000]
