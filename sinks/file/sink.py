"""Writes one line per event to a file or to standard output.

Invariant: an accepted event is one complete line. One thread does all the work: one write and, by default, one fsync
per batch. What a line is, how it survives crashes and full disks, and rotation are in `linefile`.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from forwarder.contracts import (
    Asked,
    Batch,
    ByteSize,
    ComponentConfig,
    Delivery,
    Duration,
    Finding,
    Held,
    Rejection,
    Retryable,
    SinkConfig,
    SinkContext,
    Within,
)
from forwarder.contracts.declared import AfterValidator, BeforeValidator, Field, PydanticCustomError
from sinks.file.kept import held
from sinks.file.lines import Durability, LineFile, Rotation, ends_in_doubt, refuse_odd

_STANDARD_OUTPUT = 1
_LEAST_FREE = 16  # MiB
_ASK_ELSEWHERE = "Look where its reader keeps it; `reconcile --ids` names the events."
_LOOK_UP = 0.2  # seconds after which a write that waits for the reader looks whether the sink is closing

_STDOUT = 'standard output; write path: "-" for it'
_STDERR = 'standard error, which belongs to the log; write path: "-" for standard output'
_STREAMS = {
    **dict.fromkeys(("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "stdout://", "stdout:"), _STDOUT),
    **dict.fromkeys(("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2", "stderr://", "stderr:"), _STDERR),
}


def _octal(value: Any) -> Any:
    """Give back the digits of an unquoted mode, which YAML reads as an octal number."""
    return format(value, "04o") if isinstance(value, int) and not isinstance(value, bool) else value


def _usable(path: str) -> str:
    """Refuse what can be seen to be no file; whether it can be written to is another question."""
    problem = _STREAMS.get(path.rstrip("/"), "")
    if path.endswith("/"):
        problem = problem or "a directory; name a file in it, such as out/events.ndjson"
    try:
        Path(path).expanduser()
    except RuntimeError:
        problem = "the user behind ~ does not exist here; write the whole path"
    if "\0" in path:
        problem = "it holds a zero byte; write the path again by hand"
    if problem:
        raise PydanticCustomError("path", "{problem}", {"problem": problem})
    return path


class RotateConfig(ComponentConfig):
    """When the file is set aside as `name-YYYYmmddTHHMMSS-N.ndjson` (UTC); by default never."""

    bytes: Annotated[ByteSize, Within("1B", "16TiB")] | None = None
    """Before the file would grow beyond this size."""
    every: Annotated[Duration, Within("1s", "366d")] | None = None
    """When a new stretch of this length begins, counted from midnight UTC: `1d` rotates daily, `1h` hourly."""
    keep: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many files that were set aside to keep; default: all."""


class FileConfig(SinkConfig):
    """Settings of a `file` sink."""

    type: Literal["file"] = "file"
    """Which kind of sink this is."""
    path: Annotated[str, Field(min_length=1), AfterValidator(_usable)]
    """File to append to, or `-` for standard output."""
    rotate: RotateConfig = RotateConfig()
    """When to set the file aside and begin a new one."""
    fsync: Literal["always", "interval", "never"] = "always"
    """When written lines are forced to the disk: `always` before they count as accepted, `interval` with the first
    batch after `fsync_interval`, or `never`."""
    fsync_interval: Annotated[Duration, Within("10ms", "1h")] = 5.0
    """Time between two fsyncs, for `fsync: interval`."""
    mode: Annotated[Literal["0600", "0640", "0644", "0660"], BeforeValidator(_octal)] = "0600"
    """Permissions of a file that the sink makes."""


class FileSink:
    """One line per event, appended to a file or to standard output."""

    Config: ClassVar[type[FileConfig]] = FileConfig
    default_format: ClassVar[str] = "raw"
    ids_at_once: ClassVar[int] = 200_000
    proof: Literal["delivered", "received", "none"] = "delivered"

    def __init__(self, config: FileConfig, context: SinkContext) -> None:
        self._closing = threading.Event()
        self._path = None if config.path == "-" else Path(config.path).expanduser().absolute()
        self._output: LineFile | Stream
        if self._path is None:
            self._output = Stream(_STANDARD_OUTPUT, self._closing)
        else:
            durability = Durability(config.fsync, config.fsync_interval, int(config.mode, 8))
            rotation = Rotation(config.rotate.bytes, config.rotate.every, config.rotate.keep)
            self._output = LineFile(self._path, durability, rotation, context.clock, context.name)
        if self._path is None or config.fsync != "always":
            self.proof = "received"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sink-{context.name}")

    @property
    def target(self) -> str:
        """The file's absolute path, or `-`."""
        return f"file:{self._path or '-'}"

    async def send(self, batch: Batch) -> Delivery:
        """Append the batch. Raises Held when a person must act before the file can be written, else Retryable."""
        bodies = [record.body for record in batch.records]
        forged = Rejection("line_break", "the rendered event contains a line end")  # it would forge a record
        rejected = {position: forged for position, body in enumerate(bodies) if b"\n" in body}
        kept = [body for body in bodies if b"\n" not in body] if rejected else bodies
        lines = b"\n".join([*kept, b""])
        if lines:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._output.append, lines)
        if not rejected:
            return Delivery.all_accepted(batch)
        accepted = [position for position in range(len(bodies)) if position not in rejected]
        return Delivery(accepted=accepted, rejected=rejected)

    async def probe(self) -> list[Finding]:
        """Say whether the file could be written, without making or changing anything."""
        if self._path is None:
            return [Finding("standard output", ok=True, detail="one line per event")]
        return [await asyncio.to_thread(_examine, self._path)]

    async def holds(self, asked: Asked) -> set[str]:
        """Read the file and all that were set aside, compressed ones too. Raises Held when one cannot be read."""
        if self._path is None:
            raise Held("What was written to standard output is not ours to read.", fix=_ASK_ELSEWHERE, kind="other")
        return await asyncio.to_thread(held, self._path, asked)

    async def close(self) -> None:
        """Finish what is being written, force it to the disk and close the file."""
        if self._closing.is_set():
            return
        self._closing.set()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._output.close)
        finally:
            self._thread.shutdown(wait=False)


class Stream:
    """Standard output: whole lines as long as the reader lives, and no proof that anybody kept them."""

    def __init__(self, descriptor: int, closing: threading.Event) -> None:
        self._descriptor = descriptor
        self._closing = closing
        self._torn = False

    def append(self, lines: bytes) -> None:
        """Write complete lines. Raises Held when the reader is gone, Retryable when the sink closes meanwhile."""
        if self._torn:  # what was half-written cannot be taken back: end that line
            lines = b"\n" + lines
        rest = memoryview(lines)
        while rest:
            # A pipe that select calls writable takes this much without blocking, so a stuck reader cannot hold a stop.
            if not select.select([], [self._descriptor], [], _LOOK_UP)[1]:
                if self._closing.is_set():
                    raise Retryable("standard output is not being read", kind="timeout", sent=len(rest) < len(lines))
                continue
            try:
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Held(
                    f"Standard output cannot be written: {error.strerror}.",
                    fix="Start the forwarder with a reader on its standard output.",
                    kind="connection",
                ) from error
            self._torn = rest.nbytes > 0 and lines[-rest.nbytes - 1] != ord("\n")

    def close(self) -> None:
        """Leave standard output open: it belongs to the process."""


def _examine(path: Path) -> Finding:
    subject = str(path)
    try:
        with suppress(FileNotFoundError):
            refuse_odd(path, path.lstat().st_mode)
        there = next(place for place in (path, *path.parents) if place.exists())
        room = os.statvfs(there)
    except Held as held:
        return Finding(subject, ok=False, detail=held.reason, fix=held.fix)
    except OSError as error:
        return Finding(subject, ok=False, detail=f"{error.strerror}.", fix="Name a file in a folder that can be read.")
    if not os.access(there, os.W_OK) or (there != path and not there.is_dir()):
        fix = "Let the forwarder's user write there, or name another file."
        return Finding(subject, ok=False, detail=f"{there} cannot be written.", fix=fix)
    free = room.f_bavail * room.f_frsize // 2**20
    if free < _LEAST_FREE:
        fix = "Make room on its disk, or name a file on another one."
        return Finding(subject, ok=False, detail=f"the disk is full: {free} MiB free", fix=fix)
    with suppress(OSError):  # a file that may be written and not read
        if there == path and ends_in_doubt(path):
            detail = "ends in a line that has no end; unless this sink wrote it, nothing is appended"
            return Finding(subject, ok=True, detail=detail, fix="End that line with a line feed, or name another file.")
    return Finding(subject, ok=True, detail=f"can be written; {free / 1024:.1f} GiB free")
