"""The log files of one node: `YYYYMMDD-NNNNN.audit.log`, a new one each day and above a size, a record a line.

A place in the log is a file, by its device and inode, and an offset in it, so that a file which is renamed is followed.
A file is left for the next one only when it is read to its end and a later one exists: what a writer has not finished
is read when it is whole.
(confluence.atlassian.com, "Audit log integrations")
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Retryable

if TYPE_CHECKING:
    from pathlib import Path

LOG_FILE = re.compile(r"(?P<day>[0-9]{8})-[0-9]{1,9}\.audit\.log", re.ASCII)
FINISHED_MS = 60_000
"""A file that a later one follows is finished when no one has written into it for so long."""

_DAY_MS = 86_400_000


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a node's log has been read to; the default is before its first file.

    Attributes:
        file: Device and inode, such as `2049-131`.
        name: The file's name when it was read last.
        at: Bytes read.
    """

    file: str = ""
    name: str = ""
    at: int = 0


class Stretch(msgspec.Struct, frozen=True):
    """Whole lines of one file, and what follows.

    Attributes:
        lines: Without their ends.
        place: Behind them.
        more: There is more to be read now.
        begins: They are the first of their file, also of one that was cut.
    """

    lines: list[bytes]
    place: Place
    more: bool
    begins: bool = False


class LogFile(msgspec.Struct, frozen=True):
    """A file as it lies there at this moment."""

    path: str
    name: str
    file: str
    size: int
    changed_ms: int


class Folder:
    """The folder in which one node writes its log.

    Args:
        node: What the configuration calls the node.
        path: The folder.
    """

    def __init__(self, node: str, path: Path) -> None:
        self.node = node
        self.path = path

    def files(self) -> list[LogFile]:
        """Return the log files in their order. Raises Retryable when the folder cannot be read."""
        found: list[LogFile] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if LOG_FILE.fullmatch(entry.name) is None:
                        continue
                    seen = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(seen.st_mode):
                        ident = f"{seen.st_dev}-{seen.st_ino}"
                        found.append(LogFile(entry.path, entry.name, ident, seen.st_size, seen.st_mtime_ns // 10**6))
        except OSError as error:
            raise Retryable(
                f"the log folder of node {self.node} cannot be read: {error.strerror or error}",
                kind="not_found",
                fix=f"See that {self.path} is mounted, and that the user of the daemon may read it.",
            ) from error
        return sorted(found, key=lambda file: file.name)

    def begin(self, since_ms: int) -> Place:
        """Return the place before the first file that holds anything of `since_ms` or later."""
        older = [file for file in self.files() if file.changed_ms < since_ms - _DAY_MS]
        last = older[-1] if older else None
        return Place(last.file, last.name, last.size) if last is not None else Place()

    def read(self, place: Place, most: int, now_ms: int) -> Stretch:
        """Read on from a place: at most about `most` bytes, whole lines only.

        The last line of a file that a later one follows, and into which no one has written for a while, stays as it is.

        Raises:
            Retryable: A file cannot be read, or a line is longer than `most` allows.
        """
        files = self.files()
        current = self._current(files, place)
        if current is None:
            return Stretch([], place, more=False)
        at = place.at if current.file == place.file and place.at <= current.size else 0
        later = [file for file in files if file.name > current.name]
        data = self._bytes(current, at, most)
        end = data.rfind(b"\n") + 1
        whole = at + len(data) >= current.size
        if end == 0 and data and not whole:
            raise Retryable(
                f"a line of {current.name} on node {self.node} is longer than {most} bytes",
                kind="too_large",
                fix="Raise max_line.",
            )
        if later and whole and end < len(data) and now_ms - current.changed_ms >= FINISHED_MS:
            end = len(data)
        lines = [line for line in data[:end].split(b"\n") if line.strip()]
        after = Place(current.file, current.name, at + end)
        return Stretch(lines, after, more=not whole or (bool(later) and end == len(data)), begins=at == 0)

    def _current(self, files: list[LogFile], place: Place) -> LogFile | None:
        """Return the file to read from: the one of the place, by whatever name; else, or behind its end, the next."""
        here = next((file for file in files if file.file == place.file), None)
        behind = here.name if here is not None else place.name
        following = next((file for file in files if file.name > behind), None)
        if here is None:
            return following
        return here if here.size != place.at or following is None else following

    def _bytes(self, file: LogFile, at: int, most: int) -> bytes:
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                opened = os.fstat(descriptor)
                if f"{opened.st_dev}-{opened.st_ino}" != file.file:
                    return b""  # another file has the name by now; the next look finds both
                return os.pread(descriptor, most, at)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise Retryable(
                f"{file.name} on node {self.node} cannot be read: {error.strerror or error}",
                kind="other",
                fix=f"Let the user of the daemon read the files in {self.path}.",
            ) from error
