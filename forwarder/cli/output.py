"""The end of what a command writes: a reader that has gone, as in `export | head`, and a disk that is full.

A command that was cut off ends with a code of its own, for nobody knows what the rest would have been. One that had
done its work keeps its code, whoever read the last lines.
"""

from __future__ import annotations

import os
import select
import sys
from typing import TextIO

from forwarder.exit_codes import ExitCode

_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


def has_reader(stream: TextIO) -> bool:
    """Tell whether somebody may still read what is written."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return True  # it is no file: a test reads it
    asked = select.poll()
    asked.register(descriptor, 0)
    return not any(event & _GONE for _, event in asked.poll(0))


def was_cut_off() -> bool:
    """Tell whether the reader of our output, or of our errors, has gone; then nothing more is written to it."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if not has_reader(stream)]
    for stream in gone:
        _let_go(stream)
    return bool(gone)


def finished(code: int) -> int:
    """Write what is still kept in memory, and return the exit code of a command that ended with `code`."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            _let_go(stream)
        except (OSError, ValueError) as error:
            _let_go(stream)
            if stream is sys.stdout:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                print(f"error: the output cannot be written: {reason}", file=sys.stderr)  # noqa: T201
                code = code or ExitCode.UNEXPECTED
    return code


def _let_go(stream: TextIO) -> None:
    """Have the rest go nowhere: the interpreter flushes at its end and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
