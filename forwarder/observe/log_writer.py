"""Writes the lines of the log from a thread of its own, so that a reader who stands still stops nothing else.

::

    event loop, threads ─► queue (bounded) ─► thread ─► standard error

Invariants: `write` never waits; what does not fit into the queue, or cannot be written, is left out and counted, and
a line says so as soon as one can be written; an end waits for a reader that reads, and for no other.
"""

from __future__ import annotations

import io
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

MOST_BYTES = 4 * 2**20
"""Bytes that wait for the reader; some 10 000 lines."""

PATIENCE = 2.0
"""Seconds without progress after which an end no longer waits for the reader."""

_LONGEST_END = 10.0
_LOOK = 0.2


class LineWriter:
    """The queue and the thread; without a descriptor, as in tests, lines are written at once.

    Args:
        stream: Where lines go.
        left_out_line: Makes the line that says how many were left out.
        most_bytes: Bytes that may wait.
    """

    def __init__(self, stream: TextIO, left_out_line: Callable[[int], str], *, most_bytes: int = MOST_BYTES) -> None:
        self.left_out = 0
        self._stream = stream
        self._left_out_line = left_out_line
        self._most = most_bytes
        self._unsaid = 0
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._progress = 0
        self._torn = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        try:
            self._descriptor = stream.fileno()
        except (OSError, ValueError, io.UnsupportedOperation):
            self._descriptor = -1
            return
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Take a line without its end."""
        if self._thread is None:
            self._stream.write(f"{line}\n")
            return
        packed = f"{line}\n".encode(errors="backslashreplace")
        with self._changed:
            if self._bytes + len(packed) > self._most or self._closing:
                self.left_out += 1
                self._unsaid += 1
                return
            if self._unsaid:
                unsaid, self._unsaid = self._unsaid, 0
                self._put(f"{self._left_out_line(unsaid)}\n".encode())
            self._put(packed)
            self._changed.notify()

    def _put(self, packed: bytes) -> None:
        self._queue.append(packed)
        self._bytes += len(packed)

    def close(self) -> bool:
        """Wait for what is in the queue as long as the reader takes it; return False when some was left."""
        thread = self._thread
        if thread is None:
            return True
        with self._changed:
            self._closing = True
            if self._unsaid:
                self._put(f"{self._left_out_line(self._unsaid)}\n".encode())
                self._unsaid = 0
            self._changed.notify()
        seen, waited = -1, 0.0
        while thread.is_alive() and waited < _LONGEST_END and seen != self._progress:
            seen = self._progress
            thread.join(PATIENCE)
            waited += PATIENCE
        return not thread.is_alive()

    # -------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closing:
                        return
                    self._changed.wait()
                packed = self._queue[0]
            written = self._write(packed)
            with self._changed:
                self._queue.popleft()
                self._bytes -= len(packed)
                self._progress += 1
                if not written:
                    self.left_out += 1
                    self._unsaid += 1

    def _write(self, packed: bytes) -> bool:
        """Write a line; return False when the reader is gone or the disk full. What was torn is ended first."""
        rest = memoryview(b"\n" + packed if self._torn else packed)
        whole = len(rest)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # someone made the pipe non-blocking
                select.select([], [self._descriptor], [], _LOOK)
            except OSError:
                self._torn = self._torn or 0 < len(rest) < whole
                return False
            self._progress += 1
        self._torn = False
        return True
