"""A copy of the open spool, made while it is written to: some pages at a time, between which other work has its turn.

What the spool's own connection writes meanwhile goes into the copy as well (SQLite's online backup), so it is one
moment's: the last. It is made under another name and linked into place when it is durable, so a file under the name
that was asked for is whole, and nothing is ever written over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.contracts.errors import ConfigError, ForwarderError, Held
from forwarder.spool.backup import Backup
from forwarder.spool.folders import COMPANIONS
from forwarder.spool.sqlite import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.spool.sqlite.database import Database
    from forwarder.spool.sqlite.worker import Worker

MARK = "backup_ms"
"""Row of `meta` that only a backup has: of which moment it is. A spool that is opened with it was restored."""

_PAGES = 256  # between two turns of others: a megabyte
_SYNC_EVERY = 64  # such steps between two fsyncs, so that none of them is long
_MARGIN = 64 * 2**20


class _Stopped(ForwarderError):
    """The backup is not wanted any more."""


def begin(target: Path, spool: Path, size: int) -> Path:
    """Make an empty file for a backup beside its target and return its name.

    Args:
        target: Absolute.
        spool: The path of the spool.
        size: Of the spool, bytes.

    Raises:
        ConfigError: There is something at the target, or no file can be made there.
        Held: There is no room.
    """
    if target.name in {f"{spool.name}{ending}" for ending in ("", *COMPANIONS)} and target.parent == spool.parent:
        raise ConfigError(f"{target} is a name of the spool itself; name another")
    if os.path.lexists(target):
        raise ConfigError(f"{target} is there already, and a backup overwrites nothing; name another")
    try:
        room = os.statvfs(target.parent)
        if room.f_bavail * room.f_frsize < size + _MARGIN:
            raise Held(
                f"{target.parent} has {room.f_bavail * room.f_frsize} bytes free, and the backup takes {size}",
                fix="Make room there, or name a place on another disk.",
                kind="disk_full",
            )
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # with mode 0600
        os.close(descriptor)
    except OSError as error:
        raise ConfigError(
            f"{target.parent}: no file can be made there by uid {os.geteuid()} ({error.strerror}); name a folder that "
            "exists and that the daemon may write into"
        ) from None
    return Path(name)


def copy(database: Database, to: Path, give_way: Callable[[], bool], note: Callable[[int, int], None]) -> int:
    """Copy the spool, in its own thread; return its newest number.

    Args:
        database: Open.
        to: An empty file.
        give_way: Lets others have their turn; True when the copy is to be given up.
        note: Told how many pages are copied, of how many.

    Raises ForwarderError when it was given up or fails; the spool is as it was.
    """
    steps = 0
    descriptor = os.open(to, os.O_RDWR | os.O_CLOEXEC)

    def between(_: int, left: int, of: int) -> None:
        nonlocal steps
        steps += 1
        note(of - left, of)
        if steps % _SYNC_EVERY == 0:
            os.fsync(descriptor)
        if give_way() or database.lost is not None:
            raise _Stopped("the backup was given up: the spool is being closed")

    try:
        with contextlib.closing(sqlite3.connect(to, isolation_level=None)) as con:
            con.execute("PRAGMA journal_mode = OFF")
            con.execute("PRAGMA synchronous = OFF")
            database.con.backup(con, pages=_PAGES, progress=between)
            return int(con.execute("SELECT value - 1 FROM meta WHERE name = 'next_seq'").fetchone()[0])
    except (sqlite3.Error, OSError) as error:
        raise Held(f"the backup failed: {error}", fix="Look at the disk it was to be written to.") from error
    finally:
        os.close(descriptor)


def finish(made: Path, target: Path, at_ms: int, newest: int) -> Backup:
    """Mark a copy as a backup, make it durable and give it its name."""
    try:
        mark(made, at_ms)
        size = made.stat().st_size
        _put(made, target)
        files.sync_folder(target.parent)
    except FileExistsError:
        raise ConfigError(f"{target} was made by another program meanwhile; nothing was overwritten") from None
    except (OSError, sqlite3.Error) as error:
        raise Held(f"the backup failed: {error}", fix="Look at the disk it was to be written to.") from error
    return Backup(str(target), size, at_ms, newest)


def mark(file: Path, at_ms: int) -> None:
    """Write into a copy of a spool of which moment it is, unless it says so already; it is one durable file then."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as con:
        con.execute("PRAGMA synchronous = FULL")
        con.execute("PRAGMA journal_mode = DELETE").fetchone()
        con.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (MARK, at_ms))
    with file.open("rb") as written:
        os.fsync(written.fileno())


def discard(made: Path) -> None:
    """Remove what was begun, if it is still there."""
    for ending in ("", "-wal", "-shm", "-journal"):
        files.beside(made, ending).unlink(missing_ok=True)


def _put(made: Path, target: Path) -> None:
    """Give the file its name unless another has it. Raises FileExistsError."""
    try:
        os.link(made, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        made.replace(target)


class Backups:
    """Makes backups of an open spool, one at a time.

    Args:
        path: Of the spool.
        opened: Returns the thread of the open spool, and what it works on.
        now: Returns epoch milliseconds.
    """

    def __init__(self, path: Path, opened: Callable[[], tuple[Worker, Database]], now: Callable[[], int]) -> None:
        self._path = path
        self._opened = opened
        self._now = now
        self._over: threading.Event | None = None

    async def make(self, target: Path, note: Callable[[int, int], None] = lambda _, __: None) -> Backup:
        """Make a backup while all goes on.

        Args:
            target: Where, absolute.
            note: Told how much of it is done, of how much; in another thread.

        Raises:
            ConfigError: There is something at the target, or no file can be made there.
            Held: There is no room, or a backup is being made.
            ForwarderError: It was given up or failed; nothing is left of it.
        """
        worker, database = self._opened()
        if self._over is not None:
            raise Held("a backup is being made already", fix="Wait for its end.")
        over = self._over = threading.Event()
        try:
            size = await worker.run(lambda: database.pragma("page_count") * database.pragma("page_size"))
            made = await asyncio.to_thread(begin, target, self._path, size)
            try:

                def work() -> tuple[int, int]:
                    return copy(database, made, lambda: worker.give_way(over.is_set), note), self._now()

                newest, at_ms = await worker.run(work)
                return await asyncio.to_thread(finish, made, target, at_ms, newest)
            finally:
                over.set()
                discard(made)
        finally:
            self._over = None

    def stop(self) -> None:
        """Give up what is being made, before anything that the spool's thread is asked from now on."""
        if self._over is not None:
            self._over.set()
