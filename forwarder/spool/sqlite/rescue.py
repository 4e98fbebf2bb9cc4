"""What can be kept of a spool whose file was taken away while it was open, so that the next start loses nothing.

::

    deleted, its place is free       a whole copy is put back in its place: the next start goes on where this one ended
    another file lies there          it is left alone; the copy is kept beside it
    its folder moved, other volume   the file is whole where it is; a notice keeps the next start from beginning anew
    written over                     nothing to copy; our log is put aside, or it would be mixed into the new content
    only the log is gone             what it held is moved into the file

SQLite still reads a file without a name, so the copy holds every transaction. Nothing of others is written to. Called
once, with nothing else at work, and the file locked.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.spool.sqlite import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.spool.contract import SpoolLost
    from forwarder.spool.sqlite.presence import Presence

_STEP = 1024  # database pages between two signs of life


def rescue(con: sqlite3.Connection, presence: Presence, lost: SpoolLost, alive: Callable[[], None]) -> str:
    """Keep what can be kept and return, in a sentence, what was done; the connection is of no use afterwards.

    Args:
        con: The spool's connection.
        presence: What it had open.
        lost: What happened.
        alive: Called again and again meanwhile.
    """
    if lost.how == "log":
        return _empty_log(con, presence)
    try:
        if lost.how == "overwritten":
            return _put_log_aside(presence, lost)
        if presence.is_deleted() or presence.is_in_its_folder():
            return _copy_back(con, presence, alive)
        return _leave_notice(presence, lost)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            _write_notice(presence.path, lost)
        return f"Nothing could be kept of it: {error}."
    finally:
        abandon(con)


def abandon(con: sqlite3.Connection) -> None:
    """Keep a connection from ever being closed: that would write to the file and delete the log by its name."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(con))


def _empty_log(con: sqlite3.Connection, presence: Presence) -> str:
    """Move what the log holds into the file. A foreign log in its place would be taken for ours at the next start."""
    if presence.log.exists():
        presence.log.rename(_free(presence.path, ".foreign-wal"))
    busy, _, _ = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    con.close()
    return f"Everything is in {presence.path}; start again." if not busy else "The last transactions could not be kept."


def _copy_back(con: sqlite3.Connection, presence: Presence, alive: Callable[[], None]) -> str:
    path = presence.path
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    os.close(descriptor)
    copy = Path(name)
    try:
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as to:
            con.backup(to, pages=_STEP, progress=lambda *_: alive())
        place = path
        try:
            os.link(copy, path)
        except FileExistsError:
            place = _free(path, ".lost")
            os.link(copy, place)
    finally:
        copy.unlink(missing_ok=True)
    if presence.owns_log():  # all of it is in the copy
        presence.log.unlink(missing_ok=True)
    files.sync_names(path.parent)
    if place == path:
        return f"A whole copy was put back as {path}; start again to go on where this ended."
    return (
        f"What is at {path} now was left as it is. The whole spool was kept as {place.name} beside it: "
        f"to go on with it, move it to {path.name}; else delete it. Then start again."
    )


def _put_log_aside(presence: Presence, lost: SpoolLost) -> str:
    path, kept = presence.path, ""
    _write_notice(path, lost)
    if presence.owns_log():
        aside = _free(path, ".lost-wal")
        presence.log.rename(aside)
        files.sync_names(path.parent)
        kept = f" The write-ahead log of the old content was put aside as {aside.name}."
    return f"What {path} holds now was left as it is.{kept} If it is not what you restored, restore a spool there."


def _leave_notice(presence: Presence, lost: SpoolLost) -> str:
    path = presence.path
    if path.exists():
        return f"The spool is whole where it was moved to. What is at {path} now was left as it is."
    _write_notice(path, lost)
    return f"The spool is whole where it was moved to: put it back to {path}."


def _write_notice(path: Path, lost: SpoolLost) -> None:
    """Keep the next start from beginning anew where no spool lies."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    notice = files.notice_of(path)
    descriptor = os.open(notice, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{lost.reason}\n")
        file.flush()
        os.fsync(file.fileno())
    files.sync_names(path.parent)


def _free(path: Path, ending: str) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (path.with_name(f"{path.name}{ending}-{stamp}-{number}") for number in itertools.count(1))
    return next(name for name in names if not os.path.lexists(name))
