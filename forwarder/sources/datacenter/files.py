"""The log files of one node: which there are, in which order, and what is in them from a place on.

The products write `YYYYMMDD-NNNNN.audit.log`, a new one each day and above a size, a record a line (confluence.
atlassian.com, "Audit log integrations"); what others make of these to rotate or pack them (`.1`, `-20260131`, `.gz`) is
read as well. Links are not followed: whoever can write into a log folder could make us read any file of the machine.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import ErrorKind, Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(
    r"(?P<stem>[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}?\.audit\.log)"
    r"(?P<turn>(?:\.[0-9]{1,9}|-[0-9]{4,14})?)(?P<packed>(?:\.gz)?)",
    re.ASCII,
)
_OF_THE_LOG = ".audit.log"

MARK = 4096
"""Bytes at the beginning, and before a place, by which a file is known again."""


class LogFile(msgspec.Struct, frozen=True):
    """A file as it lies there at this moment.

    Attributes:
        ident: Device and inode, such as `2049-131`.
        stem: The name that the product gave it.
        size: Bytes on the disk.
        changed_ns: When it was written last.
        packed: It is gzip.
    """

    path: str
    name: str
    ident: str
    stem: str
    size: int
    changed_ns: int
    packed: bool

    @property
    def order(self) -> tuple[str, int, int]:
        """Return its place among the others: days and numbers, and of one name what was turned away longest first."""
        turn = self.name[len(self.stem) :].removesuffix(".gz")
        return self.stem, not turn, -int(turn[1:]) if turn[:1] == "." else int(turn[1:] or 0)

    @property
    def looks(self) -> tuple[int, int]:
        """Return what changes when it is written."""
        return self.size, self.changed_ns


class Listing(msgspec.Struct, frozen=True):
    """What lies in a folder.

    Attributes:
        files: The log files in their order.
        others: Names that look like log files and are none that can be read: links, other kinds of packing.
    """

    files: list[LogFile]
    others: list[str]


class Folder:
    """The folder in which one node writes its log.

    Args:
        node: What the configuration calls the node.
        path: The folder.
    """

    def __init__(self, node: str, path: Path) -> None:
        self.node = node
        self.path = path

    def list(self) -> Listing:
        """Return what lies there. Raises Retryable when the folder cannot be read."""
        found: dict[str, LogFile] = {}
        others: list[str] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    name = _NAME.fullmatch(entry.name)
                    if name is None:
                        if _OF_THE_LOG in entry.name and entry.name[0] != ".":
                            others.append(entry.name)
                        continue
                    with suppress(FileNotFoundError):  # it was turned away meanwhile; its new name is found next
                        seen = entry.stat(follow_symlinks=False)
                        if not stat.S_ISREG(seen.st_mode):
                            others.append(entry.name)
                            continue
                        ident = f"{seen.st_dev}-{seen.st_ino}"
                        found[ident] = LogFile(
                            entry.path,
                            entry.name,
                            ident,
                            name["stem"],
                            seen.st_size,
                            seen.st_mtime_ns,
                            packed=bool(name["packed"]),
                        )
        except OSError as error:
            raise self.trouble(
                f"the log folder of node {self.node} cannot be read: {error.strerror or error}",
                f"See that {self.path} is mounted, and that the user of the daemon may read it and enter it.",
                "not_found",
            ) from error
        return Listing(sorted(found.values(), key=lambda file: file.order), sorted(others))

    def open(self, file: LogFile) -> int | None:
        """Open a file; None when something else has its name by now. Raises Retryable when it cannot be read."""
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.unreadable(file, error) from error
        seen = os.fstat(descriptor)
        if f"{seen.st_dev}-{seen.st_ino}" != file.ident or not stat.S_ISREG(seen.st_mode):
            os.close(descriptor)
            return None
        return descriptor

    def unreadable(self, file: LogFile, error: OSError | EOFError | zlib.error) -> Retryable:
        """Return the error of a file that cannot be read."""
        words = getattr(error, "strerror", None) or str(error)
        fix = f"Let the user of the daemon read {file.path}."
        if file.packed and not isinstance(error, PermissionError):
            fix = f"See whether {file.path} was packed to its end (gzip -t), and read it by hand if it was not."
        return self.trouble(f"{file.name} on node {self.node} cannot be read: {words}", fix)

    def trouble(self, reason: str, fix: str, kind: ErrorKind = "other") -> Retryable:
        """Return the error of a node."""
        return Retryable(reason, kind=kind, fix=fix)


class PlainText:
    """A file that is open, and its bytes as they lie there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, at: int, most: int) -> bytes:
        """Return up to `most` bytes from a place on; fewer only at the end. Raises OSError."""
        return b"".join(self._pieces(at, most))

    def raw(self, size: int) -> bytes:
        """Return the first bytes of the file as they lie there. Raises OSError."""
        return self.read(0, size)

    def _pieces(self, at: int, most: int) -> Iterator[bytes]:
        while most > 0 and (piece := os.pread(self._descriptor, most, at)):
            yield piece
            at, most = at + len(piece), most - len(piece)

    def around(self, at: int, most: int) -> tuple[bytes, bytes, bytes]:
        """Return the beginning of the file, what stands before a place, and up to `most` bytes from there on.

        The last two are of one read: what replaces the file meanwhile replaces both.
        """
        length = min(at, MARK)
        head = self.read(0, length)
        seen = self.read(at - length, length + most)
        return head, seen[:length], seen[length:]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def mark_of(head: bytes, before: bytes) -> str:
    """Return by what a file is known again that was read to a place: its beginning and what stands before the place."""
    return hashlib.blake2b(head[:MARK] + before[-MARK:], digest_size=8).hexdigest()


class PackedText:
    """A file that is open and packed, and its bytes as they were. Reading goes forward; it begins anew to go back.

    Attributes:
        damage: Why it cannot be read to its end, once that is seen.
    """

    def __init__(self, descriptor: int) -> None:
        self.damage: OSError | EOFError | zlib.error | None = None
        self._file = os.fdopen(descriptor, "rb")
        self._text = gzip.GzipFile(fileobj=self._file)
        self._head: bytes | None = None
        self._at = 0  # where what is unpacked already begins
        self._ready = b""

    def whole(self) -> str:
        """Return by what the file is known again as it lies there: its size, check sum and length (RFC 1952)."""
        size = os.fstat(self._file.fileno()).st_size
        return f"{size}-{os.pread(self._file.fileno(), 8, max(0, size - 8)).hex()}"

    def raw(self, size: int) -> bytes:
        """Return the first bytes of the file as they lie there. Raises OSError."""
        return os.pread(self._file.fileno(), size, 0)

    def around(self, at: int, most: int) -> tuple[bytes, bytes, bytes]:
        """Return the beginning of the text, what stands before a place, and up to `most` bytes from there on."""
        length = min(at, MARK)
        if self._head is None:
            self._head = self.read(0, MARK)
        seen = self.read(at - length, length + most)
        return self._head[:length], seen[:length], seen[length:]

    def read(self, at: int, most: int) -> bytes:
        """Return up to `most` bytes from a place on; fewer only at the end, or where it is damaged."""
        if not self._at <= at <= self._at + len(self._ready):
            self._ready, self._at = b"", at
        pieces = [self._ready[at - self._at :]]
        left = most - len(pieces[0])
        try:
            if self.damage is None:
                self._text.seek(at + len(pieces[0]))
                while left > 0 and (piece := self._text.read1(left)):
                    pieces.append(piece)
                    left -= len(piece)
        except (OSError, EOFError, zlib.error) as error:
            self.damage = error
        self._at, self._ready = at, b"".join(pieces)
        return self._ready[:most]

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        self._file.close()
