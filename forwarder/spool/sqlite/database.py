"""The connection, its transactions, and what SQLite's errors mean for the engine.

A transaction happens whole or not at all; what it changes in memory is changed after the commit only (`after`).
Everything here runs in the spool's thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import struct
from typing import TYPE_CHECKING, TypeVar

import msgspec

from forwarder.contracts.errors import ForwarderError, Held
from forwarder.spool.contract import SpoolError, SpoolLost
from forwarder.spool.sqlite import files
from forwarder.spool.sqlite.claim import Claim
from forwarder.spool.sqlite.presence import Presence
from forwarder.spool.sqlite.rescue import rescue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
RESERVE_BYTES = (files.LOG_PAGES + 128) * 4096
"""Room for what the log holds between two checkpoints, and a little more."""
_WRITE_FAULTS = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NOT_AS_WRITTEN = (TypeError, ValueError, LookupError, OverflowError, struct.error, msgspec.MsgspecError)
"""What comes of a row whose bytes changed on the disk: another type or length, no UTF-8."""


class Database:
    """An open spool file under its lock.

    Args:
        path: Absolute path of the file.
        named: How the configuration names it, with links.
        create: Make it when there is none; else that is a SpoolError.
        stop: Asked during a migration, which ends with a SpoolError when it says so.
    """

    def __init__(self, path: Path, *, create: bool, named: Path, stop: Callable[[], bool] = lambda: False) -> None:
        self.path = path
        self.after: list[Callable[[], None]] = []
        self._reserve = files.beside(path, ".reserve")
        self._closed = False
        self.lost: SpoolLost | None = None
        if not create and not path.exists():
            raise SpoolError(f"There is no spool at {path}. Check spool.path, or start the forwarder once.")
        files.prepare_folder(path)
        self._claim = Claim(path)
        try:
            with self._translated():
                is_new = files.judge(path)
                files.refuse_shared(named)
                if is_new:
                    files.refuse_link(path, named)
                    files.create(path)
                self._presence = Presence(path, files.beside(path, "-wal"))
                try:
                    self.con = files.connect(path, stop=stop)
                    self._presence.begin(self.con)
                except BaseException:
                    self._presence.close()
                    raise
                files.notice_of(path).unlink(missing_ok=True)
        except BaseException:
            self._claim.close()
            raise
        self.keep_reserve()

    def transaction(self, work: Callable[[], T], *, must: bool = False) -> T:
        """Run `work` in one transaction and commit it.

        Args:
            work: Reads and writes through `con`.
            must: Give up the reserve and try once more when the disk is full: for what makes room.

        Raises:
            Held: The disk is full or cannot be written.
            SpoolError: The file is damaged, or SQLite refuses for another reason.
        """
        with self._translated():
            try:
                return self._once(work)
            except sqlite3.OperationalError as error:
                if not (must and _is_full(error)):
                    raise
            # with the reserve's room the log can be moved into the file, and is then written from its start again
            self._reserve.unlink(missing_ok=True)
            self._restart_log()
            return self._once(work)

    def verify(self, *, names_only: bool = False) -> None:
        """Raise SpoolLost when the file is not the one that was opened; then it is never written to again."""
        if self.lost is not None:
            raise self.lost
        try:
            (self._presence.verify_names if names_only else self._presence.verify)()
        except SpoolLost as lost:
            self.lost = lost
            raise

    def _note(self, *, moved: bool = False) -> None:
        try:
            self._presence.note(moved=moved)
        except SpoolLost as lost:
            self.lost = lost
            raise

    def keep_lock(self) -> None:
        """Take the lock's name again when it was deleted, so that no other process begins here."""
        self._claim.renew()

    def _once(self, work: Callable[[], T]) -> T:
        self.after.clear()
        self.verify()
        try:
            self.con.execute("BEGIN IMMEDIATE")
            result = work()
            self.con.execute("COMMIT")
        except BaseException:
            if self.con.in_transaction:
                self.con.rollback()
            self._note()  # what failed may have written a part of it
            raise
        self._note()
        self.verify(names_only=True)  # what was committed went into the file that has the spool's name
        for change in self.after:
            change()
        return result

    def outside(self, script: str) -> None:
        """Run a script outside a transaction."""
        with self._translated():
            self.verify()
            # execute() would step an incremental_vacuum once and free a single page
            try:
                self.con.executescript(script)
            finally:
                self._note()
            self.verify(names_only=True)

    def pragma(self, name: str) -> int:
        """Return a number that SQLite keeps."""
        return int(self.con.execute(f"PRAGMA {name}").fetchone()[0])

    def used(self) -> int:
        """Return the bytes of the file that hold something."""
        return (self.pragma("page_count") - self.pragma("freelist_count")) * self.pragma("page_size")

    def meta(self, name: str) -> int:
        """Return a durable counter."""
        return int(self.con.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])

    def set_meta(self, name: str, value: int) -> None:
        """Write a durable counter."""
        self.con.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))

    def size(self) -> int:
        """Return the bytes on disk, log included."""
        names = (self.path, files.beside(self.path, "-wal"))
        return sum(name.stat().st_size for name in names if name.exists())

    def close(self, alive: Callable[[], None] = lambda: None) -> str:
        """Close and unlock; of a spool that was lost, keep what can be kept. Safe to call twice.

        Calls `alive` again and again while that takes long. Returns what was done with a lost spool, or nothing.
        """
        if self._closed:
            return ""
        self._closed = True
        try:
            if self.lost is not None:
                if self._presence.is_in_its_folder():
                    self._claim.renew()
                return rescue(self.con, self._presence, self.lost, alive)
            self.con.close()  # moves the log into the file; where that fails for want of room, the log is as good
        finally:
            self._presence.close()
            self._claim.close()
        return ""

    def _restart_log(self) -> None:
        # one that fails for want of room leaves the log, which is as good
        with contextlib.suppress(sqlite3.OperationalError):
            self.con.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        self._note(moved=True)

    # ------------------------------------------------------------------------------------------------- reserve

    def keep_reserve(self) -> None:
        """Hold a little of the disk, so that settling and cleaning still work when the rest is full."""
        if self._reserve.exists():
            return
        try:
            descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)
        except OSError:
            # no room for it now; what needs room says so itself
            self._reserve.unlink(missing_ok=True)

    # -------------------------------------------------------------------------------------------------- errors

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ForwarderError:
            raise
        except sqlite3.Error as error:
            if hasattr(self, "con"):
                self.verify(names_only=True)  # an error that comes of a file that was taken away says so
            raise self._meaning(error) from error
        except _NOT_AS_WRITTEN as error:
            raise SpoolError(
                f"The spool {self.path} is damaged: a row is not as it was written ({type(error).__name__}). "
                "Stop the forwarder and restore the spool from a snapshot, or move it away and start again without it: "
                "the source is read again as far back as `since` says."
            ) from error
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise self._full() from error
            raise SpoolError(
                f"The spool {self.path} cannot be used ({error.strerror}). "
                "Check that its folder is writable and on a healthy local disk."
            ) from error

    def _full(self) -> Held:
        return Held(
            f"The disk of the spool {self.path} is full or cannot be written.",
            fix="Make room on it; work then continues without a restart.",
            kind="disk_full",
        )

    def _meaning(self, error: sqlite3.Error) -> ForwarderError:
        code = getattr(error, "sqlite_errorcode", None) or 0
        if _is_full(error):
            return self._full()
        if code & 0xFF == sqlite3.SQLITE_BUSY:
            return SpoolError(
                f"The spool {self.path} is in use by another process, under this name or another. "
                "Stop that process first; one spool serves one forwarder only."
            )
        if code & 0xFF == sqlite3.SQLITE_READONLY:
            return Held(
                f"The spool {self.path} can no longer be written ({error}).",
                fix="Make its folder writable again; work then continues without a restart.",
            )
        if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return SpoolError(
                f"The spool {self.path} is damaged ({error}). Stop the forwarder, then restore the file from a "
                "snapshot, or move it away and start again without it: the source is read again as far back as "
                "`since` says."
            )
        return SpoolError(f"The spool {self.path} cannot be used ({error}). Check the disk that holds it.")


def _is_full(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code in _WRITE_FAULTS or code & 0xFF == sqlite3.SQLITE_FULL
