"""A file of lines that survives crashes, full disks, rotation and other people's hands. Blocking; used from one thread.

Invariant: outside `append` the file ends with a complete line. What a crash or a full disk left half-written is cut
off: no one was told that it is safe, so it is written again. What others wrote is never cut. A file that we had open is
marked (an extended attribute), so that after a crash its half line is known to be ours; where the file system has no
such marks, a half line is ours when it begins as our lines do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

import msgspec

from forwarder.contracts import Clock, Held, Retryable
from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_LIMIT = 64 * 2**20  # a longer stretch without a line end was not written by us
_CHUNK = 2**16
_MARK, _OPEN, _CLOSED = "user.audit-forwarder", b"open", b"closed"
_TELLING = 16  # bytes at the head of a line that is not JSON, such as `CEF:0|Atlassian|`
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNLOCKABLE = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}
_sync_content = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True)
class Rotation:
    """When to set the file aside: before it exceeds `bytes`, when a new stretch of `every` seconds begins (counted
    from the epoch, so a day begins at midnight UTC); `keep` is how many to keep, None for all."""  # noqa: D205, D209

    bytes: int | None = None
    every: float | None = None
    keep: int | None = None


@dataclass(frozen=True)
class Durability:
    """When written lines are forced to the disk, and the permissions of a file that is made."""

    fsync: Literal["always", "interval", "never"] = "always"
    interval: float = 5.0
    mode: int = 0o600


class LineFile:
    """The open file and the offset of its last complete line.

    Args:
        path: Absolute path; missing folders are made.
        durability: When to fsync.
        rotation: When to set the file aside.
        clock: Wall time names and dates rotated files.
        name: Who writes, for the log.
    """

    def __init__(self, path: Path, durability: Durability, rotation: Rotation, clock: Clock, name: str) -> None:
        self._path = path
        self._durability = durability
        self._rotation = rotation
        self._clock = clock
        self._log = get_logger().bind(sink=name)
        self._descriptor = -1
        self._end = 0
        self._written_at = 0.0
        self._synced_at = 0.0
        self._led_to = False

    def append(self, lines: bytes) -> None:
        """Write complete lines, or leave the file as it was. Raises Held or Retryable."""
        try:
            self._follow(lines)
            self._rotate_if_due(lines)
        except OSError as error:
            self._drop()
            self._explain(error)
        try:
            self._write(lines)
        except OSError as error:
            self._take_back()
            self._explain(error)
        self._end += len(lines)
        self._written_at = self._clock.time()

    def close(self) -> None:
        """Force everything to the disk and close. Raises Held or Retryable when that fails; closed it is anyway."""
        if self._descriptor < 0:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._explain(error)
        else:
            _mark(self._descriptor, _CLOSED)
        finally:
            self._drop()

    def _write(self, lines: bytes) -> None:
        _write_all(self._descriptor, lines)
        now = self._clock.monotonic()
        wanted = self._durability
        if wanted.fsync == "always" or (wanted.fsync == "interval" and now - self._synced_at >= wanted.interval):
            _sync_content(self._descriptor)
            self._synced_at = now

    def _take_back(self) -> None:
        # After a failed fsync the pages in memory say nothing about the disk, so the next append opens anew.
        try:
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)
        except OSError as error:
            self._log.warning("half_written_lines_left", path=str(self._path), error=error.strerror)
        self._drop()

    def _drop(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):  # the descriptor is gone either way
                os.close(self._descriptor)
            self._descriptor = -1

    def _follow(self, coming: bytes) -> None:
        """Open the file unless it is open; notice that someone moved, removed, cut or extended it."""
        if self._descriptor >= 0:
            ours = os.fstat(self._descriptor)
            there = None
            with suppress(FileNotFoundError):
                there = os.lstat(self._path)
            if there is not None and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                if ours.st_size != self._end:
                    by_others = ours.st_size > self._end
                    self._end = self._settle_tail(ours.st_size, b"" if by_others else coming)
                return
            self._log.info("file_reopened", path=str(self._path), cause="moved" if there else "removed")
            self._drop()
        self._open(coming)

    def _open(self, coming: bytes) -> None:
        self._make_folder()
        with suppress(FileNotFoundError):
            refuse_odd(self._path, os.lstat(self._path).st_mode)
        # NONBLOCK: someone may put a pipe there between the look and the opening
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._descriptor = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            self._descriptor = os.open(self._path, flags)
        else:
            os.fchmod(self._descriptor, self._durability.mode)
        found = os.fstat(self._descriptor)
        try:
            refuse_odd(self._path, found.st_mode)
            self._lock()
            _sync_folder(self._path.parent)  # also of a file that was there: who made it may have died before this
            self._end = self._settle_tail(found.st_size, coming)
            _mark(self._descriptor, _OPEN)
        except Held:
            self._drop()
            raise
        self._written_at = found.st_mtime

    def _make_folder(self) -> None:
        """Make the folder where it is missing, and once make the names that lead to it durable.

        Those that are there, too: a life that made them may have ended before they were.
        """
        folder = self._path.parent
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(mode=0o750, exist_ok=True)
        if missing or not self._led_to:
            for parent in folder.parents:
                with suppress(OSError):  # not ours to look into, so it was not made by us either
                    _sync_folder(parent)
            self._led_to = True

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(
                f"{self._path} is being written by another process or sink.", fix="Give every sink a file of its own."
            ) from None
        except OSError as error:  # some network file systems know no locks
            if error.errno not in _UNLOCKABLE:
                raise

    def _settle_tail(self, size: int, coming: bytes) -> int:
        """Make the file end with a line end, and return where that is: cut our own half line, end a whole foreign one.

        Raises Held for a half line that we cannot have written; `coming` are the lines to be written next, if ours
        can be told by them.
        """
        end = _last_line_end(self._descriptor, size)
        if end is None:
            raise Held(
                f"{self._path} does not end in a line that this sink could have written.",
                fix="Move the file away, or name another one.",
            )
        if end == size:
            return size
        tail = os.pread(self._descriptor, size - end, end)
        whole = _is_json(tail)
        if not whole and coming and self._is_ours(tail, end, coming):
            os.ftruncate(self._descriptor, end)
            os.fsync(self._descriptor)
            self._log.warning("half_written_line_cut", path=str(self._path), bytes=size - end)
            return end
        if not whole:
            raise Held(
                f"{self._path} ends in a line that has no end and that this sink did not write.",
                fix="End that line with a line feed, move the file away, or name another one.",
            )
        _write_all(self._descriptor, b"\n")
        os.fsync(self._descriptor)
        self._log.warning("line_ended", path=str(self._path))
        return size + 1

    def _is_ours(self, tail: bytes, end: int, coming: bytes) -> bool:
        if not tail.strip(b"\0"):  # what a power cut leaves
            return True
        if _left_open(self._descriptor):
            return True
        return _begins_as(coming, tail) and _begins_as(coming, self._line_before(end))

    def _line_before(self, end: int) -> bytes:
        """Return the beginning of the last complete line; of a very long one, or where there is none, nothing."""
        lower = max(0, end - _CHUNK)
        lines = os.pread(self._descriptor, end - lower, lower).split(b"\n")
        return lines[-2][:_CHUNK] if len(lines) > 2 or (lower == 0 and len(lines) == 2) else b""

    def _rotate_if_due(self, coming: bytes) -> None:
        limit, every = self._rotation.bytes, self._rotation.every
        large = limit is not None and self._end + len(coming) > limit
        if self._end and (large or (every and self._clock.time() // every != self._written_at // every)):
            os.fsync(self._descriptor)
            self._set_aside()
            self._drop()
            self._open(coming)

    def _set_aside(self) -> None:
        """Rename the file to a free name: reserve the name first, for a rename overwrites without asking."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._clock.time()))
        number, aside = 0, None
        while aside is None:
            number += 1
            free = self._path.with_name(f"{self._path.stem}-{stamp}-{number}{self._path.suffix}")
            with suppress(FileExistsError):
                os.close(os.open(free, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
                aside = free
        try:
            self._path.rename(aside)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        _sync_folder(self._path.parent)
        if self._rotation.keep is not None:
            # A clock that was ahead dated files into the future: the newest for years, they would push out all others.
            kept = sorted(rotated(self._path), key=lambda path: path.stem[len(self._path.stem) + 1 :][:15] <= stamp)
            for old in kept[: -self._rotation.keep]:
                old.unlink(missing_ok=True)

    def _explain(self, error: OSError) -> NoReturn:
        where, why = self._path, error.strerror or "input/output error"
        if error.errno in _FULL:
            fix = f"Free space below {where.parent}, or raise the limit that stops it."
            raise Held(f"{where} cannot grow: {why}.", fix=fix, kind="disk_full") from error
        if error.errno == errno.EIO:
            raise Retryable(f"{where} could not be written: {why}") from error
        raise Held(
            f"{where} cannot be written: {why}.",
            fix=f"Let the forwarder's user write in {where.parent}, or name another file.",
            kind="forbidden" if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS} else "other",
        ) from error


def rotated(path: Path) -> list[Path]:
    """Return the files that were set aside from `path`, oldest first."""
    pattern = re.compile(rf"{re.escape(path.stem)}-(\d{{8}}T\d{{6}})-(\d+){re.escape(path.suffix)}")
    matches = ((pattern.fullmatch(entry.name), entry) for entry in path.parent.iterdir())
    return [entry for _, _, entry in sorted((match[1], int(match[2]), entry) for match, entry in matches if match)]


def ends_in_doubt(path: Path) -> bool:
    """Tell whether the file ends in a half line that may be of others, so that nothing could be appended to it."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
        descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
        end = _last_line_end(descriptor, size)
        if end is None or end == size:
            return end is None
        tail = os.pread(descriptor, size - end, end)
        return not (_is_json(tail) or not tail.strip(b"\0") or _left_open(descriptor))


def refuse_odd(path: Path, mode: int) -> None:
    """Raise Held for what is no regular file: appending to it, rotating or repairing it would mean something else."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISLNK(mode):
        raise Held(f"{path} is a symbolic link.", fix="Name the file that it points to.")
    what = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
    raise Held(f"{path} is {what}.", fix="Name a regular file, or - for standard output.")


def _mark(descriptor: int, state: bytes) -> None:
    """Note on the file itself whether we have it open; not every system and file system can."""
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(descriptor, _MARK, state)


def _left_open(descriptor: int) -> bool:
    """Tell whether we had the file open when we ended, which is a crash."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        return os.getxattr(descriptor, _MARK) == _OPEN
    except OSError:
        return False


def _begins_as(coming: bytes, line: bytes) -> bool:
    """Tell whether a line, or the beginning of one, could be one of those to come: JSON, or of the same head."""
    head = coming[:1] if coming.startswith(b"{") else coming.partition(b"\n")[0][:_TELLING]
    return bool(head) and (line.startswith(head) or head.startswith(line))


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _last_line_end(descriptor: int, size: int) -> int | None:
    """Return the offset behind the last line end, or None when there is none near enough."""
    upper = size
    while upper > 0:
        if size - upper > _TAIL_LIMIT:
            return None
        lower = max(0, upper - _CHUNK)
        found = os.pread(descriptor, upper - lower, lower).rfind(b"\n")
        if found >= 0:
            return lower + found + 1
        upper = lower
    return 0


def _sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
