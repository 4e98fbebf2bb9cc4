"""Whether the spool's files are still the ones that were opened: what is written to a deleted file is lost.

SQLite goes on as if nothing had happened when its file is removed, replaced, cut or written over. So each transaction
is preceded and followed by a look: the names must lead to the same files (device and inode), and the content must be
as our last transaction left it. A content is only read where size or time of change differ, so `touch` does no harm.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from forwarder.spool.contract import SpoolLost
from forwarder.spool.sqlite.files import LOG_PAGES

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_HEADER = 100
_LOG_MARK = b"\x37\x7f\x06"
"""With this begins every log that SQLite has written to."""
_LOG_OVERWRITTEN = "has lost its write-ahead log: another program wrote over it or cut it"
_TELLING = "SELECT rootpage FROM sqlite_schema WHERE name IN ('meta', 'lanes', 'cursors') ORDER BY name"
"""Roots of the tables that change with every page and settlement: an older copy differs there."""


class FileId(NamedTuple):
    """What a name leads to."""

    device: int
    inode: int


class _Look(NamedTuple):
    """What a file looks like from outside."""

    size: int
    changed_ns: int


class Presence:
    """Watches the open files of one spool.

    Args:
        path: Of the spool, absolute and without links.
        log: Of its write-ahead log.

    Raises OSError when the file cannot be opened.
    """

    def __init__(self, path: Path, log: Path) -> None:
        self.path = path
        self.log = log
        # never closed before SQLite's own: with it would go the locks that SQLite holds on this file
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.file = _id(os.fstat(self._descriptor))
        # where a name and an open file are numbered differently, only a name that is gone says anything
        self._numbered = _id(path.lstat()) == self.file
        self.folder = _id(path.parent.stat())
        self.log_file: FileId | None = None
        self._seen = self._log_seen = _Look(-1, -1)
        self._content: tuple[bytes, ...] = ()
        self._log_content = b""
        self._roots: list[int] = []
        self._page = 4096

    def begin(self, con: sqlite3.Connection) -> None:
        """Learn where the content is that tells an older copy from ours."""
        self._page = int(con.execute("PRAGMA page_size").fetchone()[0])
        self._roots = [int(row[0]) for row in con.execute(_TELLING)]
        self.note()

    def close(self) -> None:
        """Let go of the file; after SQLite did."""
        os.close(self._descriptor)

    def note(self, *, moved: bool = False) -> None:
        """Remember how our own work left the files. Raises SpoolLost when the file was written by another meanwhile.

        Work goes into the log. Unless that was `moved`, or is long enough for it, the file stays as it was.
        """
        if not moved and self._has_stayed_in_log():
            self._verify_file()
        seen = _look(os.fstat(self._descriptor))
        if seen != self._seen:
            shrunk = seen.size < self._seen.size
            self._seen, self._content = seen, self._read()
            # what SQLite itself gives back, it takes off the number of pages in the header, too
            if shrunk and (not seen.size or seen.size < int.from_bytes(self._content[0][28:32]) * self._page):
                raise self._lost("was cut by another program while it was open", "overwritten")
        try:
            found = self.log.lstat()
        except OSError:  # there is none before the first write; once known, `verify` misses it
            return
        if self.log_file is None:
            self.log_file = _id(found)
        before, self._log_seen, self._log_content = self._log_content, _look(found), self._read_log()
        # one that was cut after our last look has zeros there, and what we wrote behind them cannot be read
        if before.startswith(_LOG_MARK) and not self._log_content.startswith(_LOG_MARK):
            raise self._lost(_LOG_OVERWRITTEN, "overwritten")

    def verify(self) -> None:
        """Raise SpoolLost when a name leads elsewhere, or a content is not as we left it."""
        self.verify_names()
        self._verify_file()
        if self.log_file is None:
            return
        seen = _look(self._named_log())
        if seen != self._log_seen:
            if seen.size != self._log_seen.size or self._read_log() != self._log_content:
                self._named_log()  # one that went meanwhile cannot be read either
                raise self._lost(_LOG_OVERWRITTEN, "overwritten")
            self._log_seen = seen

    def _verify_file(self) -> None:
        seen = _look(os.fstat(self._descriptor))
        if seen != self._seen:
            if seen.size != self._seen.size or self._read() != self._content:
                raise self._lost("was written over or cut by another program while it was open", "overwritten")
            self._seen = seen

    def _has_stayed_in_log(self) -> bool:
        """Tell whether SQLite cannot have moved the log into the file since the last look."""
        try:
            return self._seen.size >= 0 and self.log.lstat().st_size < LOG_PAGES * self._page
        except OSError:
            return False

    def verify_names(self) -> None:
        """Raise SpoolLost when a name leads elsewhere."""
        try:
            found = self.path.lstat()
        except OSError:
            raise self._lost(self._how_missing(), "deleted") from None
        if self._numbered and _id(found) != self.file:
            raise self._lost("was replaced by another file while it was open", "replaced")
        if self.log_file is not None:
            self._named_log()

    def _named_log(self) -> os.stat_result:
        """Return what is known of the log by its name. Raises SpoolLost when that leads elsewhere."""
        try:
            found = self.log.lstat()
        except OSError:
            raise self._lost("has lost its write-ahead log: it was deleted or moved away", "log") from None
        if _id(found) != self.log_file:
            raise self._lost("has lost its write-ahead log: it was replaced by another file", "log")
        return found

    def is_deleted(self) -> bool:
        """Return True when the file that we hold has no name left anywhere."""
        return os.fstat(self._descriptor).st_nlink == 0

    def is_in_its_folder(self) -> bool:
        """Return False when another folder, such as another volume, lies where ours was, or none."""
        try:
            return _id(self.path.parent.stat()) == self.folder
        except OSError:
            return False

    def owns_log(self) -> bool:
        """Return True when what lies under the log's name is our log."""
        try:
            return _id(self.log.lstat()) == self.log_file
        except OSError:
            return False

    def _how_missing(self) -> str:
        if not self.path.parent.exists():
            return "is gone while it was open: its folder was deleted or renamed"
        if not self.is_in_its_folder():
            return "is gone while it was open: another folder or volume is where its folder was"
        return "was deleted while it was open" if self.is_deleted() else "was moved away while it was open"

    def _lost(self, what: str, how: str) -> SpoolLost:
        return SpoolLost(self.path, what, how)

    def _read(self) -> tuple[bytes, ...]:
        spots = [(0, _HEADER), *(((root - 1) * self._page, self._page) for root in self._roots)]
        return tuple(os.pread(self._descriptor, size, at) for at, size in spots)

    def _read_log(self) -> bytes:
        try:
            descriptor = os.open(self.log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return b""
        try:
            return os.pread(descriptor, 32, 0)
        finally:
            os.close(descriptor)


def _id(found: os.stat_result) -> FileId:
    return FileId(found.st_dev, found.st_ino)


def _look(found: os.stat_result) -> _Look:
    return _Look(found.st_size, found.st_mtime_ns)
