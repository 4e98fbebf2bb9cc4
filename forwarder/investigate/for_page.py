"""The process that answers one question of a page: what it may use, what it says meanwhile, and what it leaves.

::

    admin port ─starts─► forwarder.cli.answer_page DIR ─► DIR/answer.html, .json, .csv
               ─ standard input: the words of the command ─┘
               ◄─ standard error: lines of progress, and why it could not ─┘

It has less priority and bounded memory. Its standard input is the life of the daemon: besides the words nothing comes,
and at its end nobody waits for the answer any more.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import threading
from typing import TYPE_CHECKING

from forwarder.contracts import ConfigError
from forwarder.contracts.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from forwarder.investigate.result import Result

FACES = ("html", "json", "csv")
"""Endings of the files of an answer."""

PROGRESS = b"looking at: "
"""How a line of progress begins."""

MOST_DATA = 2**30 + 256 * 2**20
"""Bytes of data that the process may have: DuckDB's, and what making an index may have besides."""

_NICENESS = 10


def words() -> list[str]:
    """Return the words of the command that is to be run, of standard input. Raises ValueError for anything else."""
    import msgspec  # noqa: PLC0415 -- as below

    line = b""
    while not line.endswith(b"\n") and (part := os.read(0, 1)):  # not a byte more than the line
        line += part
    return msgspec.json.decode(line, type=list[str])


def begin(folder: Path) -> None:
    """Bind this process to its limits and to the life of who started it."""
    os.nice(_NICENESS)
    for kind, most in ((resource.RLIMIT_DATA, MOST_DATA), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
    end_with_parent(folder)


def serve_daemon() -> None:
    """Have less priority than the daemon that started this process, and end with it."""
    os.nice(_NICENESS)
    end_with_parent()


def end_with_parent(folder: Path | None = None) -> None:
    """End this process when its standard input ends: nobody waits for it any more. The folder is removed then."""
    threading.Thread(target=_await_end, args=(folder,), name="parent", daemon=True).start()


def _await_end(folder: Path | None) -> None:
    while os.read(0, 1024):
        pass
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def say(text: str) -> None:
    """Say what is being read."""
    sys.stderr.buffer.write(PROGRESS + visible(text).encode() + b"\n")
    sys.stderr.buffer.flush()


def leave(result: Result, folder: Path) -> None:
    """Write an answer in every face. Raises ConfigError."""
    import msgspec  # noqa: PLC0415 -- the daemon reads names here, and has no use for the faces

    from forwarder.investigate.faces.as_csv import as_csv  # noqa: PLC0415
    from forwarder.investigate.faces.as_html import as_html  # noqa: PLC0415
    from forwarder.investigate.faces.as_json import as_dict  # noqa: PLC0415

    made = {
        "html": as_html(result).encode(),
        "json": msgspec.json.format(msgspec.json.encode(as_dict(result)), indent=2),
        "csv": as_csv(result).encode(),
    }
    for ending in FACES:
        try:
            part = folder / f"{ending}.part"
            part.write_bytes(made[ending])
            part.rename(folder / f"answer.{ending}")  # what has this name is whole
        except OSError as error:
            raise ConfigError(f"{folder}: the answer cannot be written: {error.strerror}") from None
