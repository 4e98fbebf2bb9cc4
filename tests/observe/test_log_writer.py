"""The thread that writes the log: it never makes a caller wait, and says what it had to leave out."""

from __future__ import annotations

import os
import threading
from io import StringIO

import pytest

from forwarder.observe import log_writer
from forwarder.observe.log_writer import LineWriter


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def writer_on(descriptor: int, most_bytes: int = 10_000) -> LineWriter:
    stream = open(descriptor, "w", closefd=False)  # noqa: SIM115
    return LineWriter(stream, lambda many: f"left out {many}", most_bytes=most_bytes)


def drain(reading: int) -> tuple[threading.Thread, list[bytes]]:
    found: list[bytes] = []

    def read() -> None:
        while part := os.read(reading, 65_536):
            found.append(part)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, found


def test_lines_come_whole_and_in_order(pipe):
    reading, writing = pipe
    thread, found = drain(reading)
    writer = writer_on(writing, most_bytes=10_000_000)
    for number in range(5_000):
        writer.write(f"line {number} \u00e9\ud800")
    assert writer.close()
    os.close(writing)
    thread.join()
    lines = b"".join(found).decode().splitlines()
    assert lines == [f"line {number} \u00e9\\ud800" for number in range(5_000)]
    assert writer.left_out == 0


def test_what_does_not_fit_is_counted_and_said_when_it_flows_again(pipe):
    reading, writing = pipe
    writer = writer_on(writing)
    for number in range(20_000):
        writer.write(f"line {number}")
    assert writer.left_out > 5_000
    thread, found = drain(reading)
    while writer._bytes:
        pass
    writer.write("after")
    assert writer.close()
    os.close(writing)
    thread.join()
    lines = b"".join(found).decode().splitlines()
    notes = [int(line.split()[2]) for line in lines if line.startswith("left out")]
    assert lines[-1] == "after"
    assert notes
    assert sum(notes) == writer.left_out
    assert len(lines) == 20_000 - writer.left_out + 1 + len(notes)


def test_an_end_does_not_wait_for_a_reader_that_stands_still(pipe, monkeypatch):
    monkeypatch.setattr(log_writer, "PATIENCE", 0.05)
    reading, writing = pipe
    writer = writer_on(writing, most_bytes=1_000_000)
    for _ in range(200):
        writer.write("x" * 1_000)
    assert not writer.close()
    os.close(reading)  # what is left cannot be written, and the thread ends: the next test's pipe has the same number
    writer._thread.join()


def test_lines_for_a_reader_that_is_gone_are_counted(pipe):
    reading, writing = pipe
    os.close(reading)
    writer = writer_on(writing)
    for _ in range(10):
        writer.write("x")
    assert writer.close()
    assert writer.left_out >= 10


def test_a_torn_line_is_ended_before_the_next(pipe, monkeypatch):
    reading, writing = pipe
    real, calls = os.write, []

    def write(descriptor, content):
        calls.append(descriptor)
        if len(calls) == 1:
            return real(descriptor, bytes(content)[:3])
        if len(calls) == 2:
            raise OSError(28, "full")
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", write)
    writer = writer_on(writing)
    writer.write("first line")
    while writer.left_out != 1:
        pass
    writer.write("second line")
    assert writer.close()
    os.close(writing)
    assert os.read(reading, 1000).splitlines() == [b"fir", b"left out 1", b"second line"]


def test_without_a_descriptor_lines_are_written_at_once():
    stream = StringIO()
    writer = LineWriter(stream, str)
    writer.write("a")
    assert stream.getvalue() == "a\n"
    assert writer.close()
