"""The file sink on standard output: whole lines, a reader that leaves, a reader that is stuck."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from forwarder.contracts import Held, Retryable
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from sinks.file.sink import FileConfig, FileSink, Stream

_PROGRAM = """
import asyncio
from sinks.file.sink import FileConfig, FileSink
from forwarder.testing.lanes import batch_of
from forwarder.testing.far_end import context

async def main():
    sink = FileSink(FileConfig(path="-"), context())
    for number in range(100):
        await sink.send(batch_of(b"%03d" % number * 1000, b"second"))
    await sink.close()
    print("still open", flush=True)

asyncio.run(main())
"""


def test_a_reader_of_standard_output_gets_every_line() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[:-1] == [line for number in range(100) for line in (b"%03d" % number * 1000, b"second")]
    assert lines[-1] == b"still open"
    assert done.stderr == b""


def test_a_reader_that_left_holds_the_lane() -> None:
    reader, writer = os.pipe()
    stream = Stream(writer, threading.Event())
    os.close(reader)
    with pytest.raises(Held, match="Broken pipe"):
        stream.append(b"1\n")
    os.close(writer)


def test_a_line_that_was_torn_is_ended_before_the_next() -> None:
    reader, writer = os.pipe()
    closing = threading.Event()
    stream = Stream(writer, closing)
    closing.set()  # the pipe fills up and no one reads
    with pytest.raises(Retryable) as caught:
        stream.append(b"x" * 200_000 + b"\n")
    assert caught.value.sent
    torn = os.read(reader, 2**20)
    stream.append(b"whole\n")
    assert os.read(reader, 2**20) == b"\nwhole\n"
    assert set(torn) == {ord("x")}
    stream.append(b"next\n")
    assert os.read(reader, 2**20) == b"next\n"
    os.close(reader)
    os.close(writer)


async def test_a_stuck_reader_cannot_hold_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr("sinks.file.sink._STANDARD_OUTPUT", writer)
    sink = FileSink(FileConfig(path="-"), context())
    stuck = asyncio.create_task(sink.send(batch_of(b"x" * 1_000_000)))
    assert await asyncio.to_thread(os.read, reader, 1) == b"x", "it is not under way"
    await asyncio.wait_for(sink.close(), 30)
    with pytest.raises(Retryable):
        await stuck
    os.close(reader)
    os.close(writer)
