"""kill -9 while writing, and every other point where a crash can come: nothing accepted is lost, no line is half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Held, Retryable, SystemClock
from sinks.file.lines import Durability, LineFile, Rotation, rotated
from tests.examples import examples

# Says on standard output what was accepted, a batch a line, so that the parent knows the truth when it kills.
_WRITER = """
import asyncio, sys
from sinks.file.sink import FileConfig, FileSink
from forwarder.testing.lanes import batch_of
from forwarder.testing.far_end import context

async def main():
    path, start = sys.argv[1], int(sys.argv[2])
    sink = FileSink(FileConfig(path=path, rotate={"bytes": 200_000}), context())
    number = start
    while True:
        await sink.send(batch_of(*[b"e%07d" % (number + index) * 50 for index in range(100)]))
        number += 100
        print(number, flush=True)

asyncio.run(main())
"""


def _all_lines(path: Path) -> list[bytes]:
    content = b"".join(file.read_bytes() for file in [*rotated(path), path] if file.exists())
    return content.splitlines(keepends=True)


def test_kill_9_loses_no_accepted_line(tmp_path: Path) -> None:
    path, random, accepted = tmp_path / "events.ndjson", Random(7), 0
    in_flight: set[int] = set()
    for _ in range(6):
        command = [sys.executable, "-c", _WRITER, str(path), str(accepted)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(random.randint(1, 40)):
                accepted = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout.read().splitlines():  # what it said between the last look and its death
                accepted = int(line)
        in_flight |= set(range(accepted, accepted + 100))  # the batch it was at when it died
    file = LineFile(path, Durability(), Rotation(), SystemClock(), "test")
    file.append(b"repaired\n")
    file.close()
    lines = _all_lines(path)
    assert lines.pop() == b"repaired\n"
    assert all(len(line) == 401 and line == line[:8] * 50 + b"\n" for line in lines), "half a line"
    numbers = [int(line[1:8]) for line in lines]
    assert set(numbers) >= set(range(accepted)), "an accepted line is gone"
    doubled = {number for number, times in Counter(numbers).items() if times > 1}
    assert doubled - in_flight == set(), "doubled by a crash, and not in flight then"


class _Crash(BaseException):
    """The power goes out: nothing after it runs."""


class _Calls:
    """Stands for `os` in the line file: a chosen system call crashes or fails, all others are real."""

    WATCHED = frozenset({"write", "fsync", "ftruncate", "open", "close", "fchmod", "pread", "fstat", "lstat"})

    def __init__(self) -> None:
        self.at = -1
        self.error: OSError | None = None
        self.torn = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self.watched(real) if name in self.WATCHED else real

    def watched(self, real: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self.at -= 1
            if self.at != -1:
                return real(*arguments)
            if real is os.write:
                real(arguments[0], bytes(arguments[1])[: self.torn])
            if real is os.close:
                real(*arguments)
            raise self.error or _Crash

        return call


class _Clock:
    def __init__(self) -> None:
        self.now = 1_769_860_800.0

    def time(self) -> float:
        return self.now

    monotonic = time


_ACCIDENTS = {"crash": None, "full": OSError(28, "No space left"), "broken": OSError(5, "Input/output error")}


@settings(max_examples=examples(150), deadline=None)
@example(plan=[(1, 0, "broken", 0, 0), (1, 2, "crash", 1, 0)], limit=None, every=None)
@given(
    plan=st.lists(
        st.tuples(
            st.integers(1, 5),  # lines of the batch
            st.integers(-1, 14),  # at which system call something happens; -1 for nowhere
            st.sampled_from(sorted(_ACCIDENTS)),
            st.integers(0, 40),  # bytes of a torn write that land
            st.integers(0, 4000),  # seconds that pass
        ),
        min_size=1,
        max_size=12,
    ),
    limit=st.sampled_from([None, 40, 200]),
    every=st.sampled_from([None, 3600.0]),
)
def test_every_accepted_line_is_there_once_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[tuple[int, int, str, int, int]],
    limit: int | None,
    every: float | None,
) -> None:
    path = tmp_path_factory.mktemp("crash") / "x.ndjson"
    calls, clock = _Calls(), _Clock()
    accepted: list[bytes] = []
    unsaid: set[bytes] = set()
    crashed = False
    with (
        mock.patch("sinks.file.lines.os", calls),
        mock.patch("sinks.file.lines._sync_content", calls.watched(os.fdatasync)),
    ):
        file = LineFile(path, Durability(), Rotation(limit, every), clock, "test")
        for number, (count, at, accident, torn, seconds) in enumerate(plan):
            lines = [
                b"e%02d-%d\n" % (number, index) for index in range(count)
            ]  # no beginning of it is JSON, as of events
            clock.now += seconds
            calls.at, calls.error, calls.torn = at, _ACCIDENTS[accident], torn
            try:
                file.append(b"".join(lines))
                accepted += lines
            except (Held, Retryable):
                unsaid.update(lines)
            except _Crash:
                crashed = True
                unsaid.update(lines)
                with suppress(OSError):  # as the end of the process does
                    os.close(file._descriptor)
                file = LineFile(path, Durability(), Rotation(limit, every), clock, "test")
        calls.at = -1
        file.append(b"end-0\n")
        file.close()
    found = _all_lines(path)
    assert found.pop() == b"end-0\n"
    assert [line for line in found if line not in unsaid] == accepted, "lost, doubled or out of order"
    assert all(len(line) == 6 for line in found), "half a line"
    if not crashed:
        assert found == accepted, "a failed batch left something"
