"""The spool's file: whose it is, who holds it, and how it begins. Nothing that is not ours is ever written to.

A new spool is built under another name and renamed, so a file under the configured name is complete from the first
moment, and its first 100 bytes can be judged before SQLite touches it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import struct
from typing import TYPE_CHECKING

from forwarder.spool.contract import SpoolError
from forwarder.spool.folders import COMPANIONS, shared_folder, state_folders
from forwarder.spool.sqlite.schema import APPLICATION_ID, MIGRATIONS, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOG_PAGES = 256
"""Database pages the log may hold before they are moved into the file."""
_STEPS = 100_000  # of SQLite's machine, between two looks whether the end is wanted; some milliseconds
_MAGIC = b"SQLite format 3\x00"
_HEADER = 100
_FRACTIONS = b"\x40\x20\x20"  # fixed bytes 21..23 of every SQLite file


def beside(path: Path, ending: str) -> Path:
    """Return the name of a file that belongs to the spool at `path`."""
    return path.with_name(path.name + ending)


def notice_of(path: Path) -> Path:
    """Return the name of the notice that keeps a start from beginning anew: the spool was moved away while open."""
    return beside(path, ".missing")


def refuse_shared(path: Path) -> None:
    """Raise SpoolError when others could replace the spool, or put links where its files are made."""
    for folder in state_folders(path):
        if what := shared_folder(folder):
            raise SpoolError(
                f"The spool {path} is not safe: {what}. Take that right away (chmod o-w {folder}), or name a file in a "
                "folder of its own in spool.path."
            )


def prepare_folder(path: Path) -> None:
    """Make the spool's folder. Raises SpoolError when that is impossible or the path is not a file's."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_names(path.parent)
        odd = path.exists() and not path.is_file()  # looking fails too, in a folder that may not be entered
    except OSError as error:
        raise SpoolError(
            f"The folder {path.parent} of the spool cannot be made or entered by uid {os.geteuid()} "
            f"({error.strerror}). Give it to the user that runs the forwarder, or name another spool.path."
        ) from error
    if odd:
        raise not_regular(path)


def judge(path: Path) -> bool:
    """Judge what lies where a spool and its companions belong, changing nothing; return True when no spool does.

    Raises SpoolError when something else lies there, or the spool is damaged or cannot be written.
    """
    for name in (path, *(beside(path, ending) for ending in COMPANIONS)):
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(name.lstat().st_mode):
                raise not_regular(name)
    return is_new(path)


def refuse_link(path: Path, named: Path) -> None:
    """Raise SpoolError when a new spool at `path` is named by a link: no one knows whose the file is where it leads."""
    if named.expanduser().is_symlink():
        raise SpoolError(
            f"{named} is a symbolic link, and where it leads there is no spool yet. "
            f"Name {path} itself in spool.path, or remove the link."
        )


def not_regular(name: Path) -> SpoolError:
    """Return the error for what lies where a file of the spool belongs."""
    return SpoolError(f"{name} is not a regular file, so it is not ours. Move it away, or name another spool.path.")


def is_new(path: Path) -> bool:
    """Judge the file by its first bytes, without changing it; return True when there is none yet.

    Raises SpoolError for a file that is not a spool, is damaged, or cannot be written.
    """
    if not path.exists() or path.stat().st_size == 0:
        log = beside(path, "-wal")
        if log.exists() and log.stat().st_size:
            raise SpoolError(
                f"There is no spool at {path}, but its write-ahead log {log.name} is there. "
                "Put the spool back beside it, or move the log away."
            )
        if notice_of(path).exists():
            raise SpoolError(
                f"There is no spool at {path}: it was moved away, cut or deleted while the forwarder ran. Put it back; "
                f"or remove {notice_of(path)} to start with an empty one, which delivers again "
                "what is still in the source."
            )
        return True
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SpoolError(
            f"The spool {path} cannot be written by uid {os.geteuid()} ({error.strerror}). "
            "Give the file to the user that runs the forwarder."
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        head = file.read(_HEADER)
    if not head.startswith(_MAGIC):
        raise SpoolError(
            f"The file {path} is not a spool: it is not an SQLite database, or its header is damaged. "
            "It was left as it is; move it away, or name another spool.path."
        )
    if len(head) < _HEADER or head[21:24] != _FRACTIONS or not _page_size_is_valid(head):
        raise damaged(path, "its header is damaged")
    if struct.unpack_from(">I", head, 68)[0] != APPLICATION_ID:
        raise SpoolError(
            f"The file {path} is a database of another program. It was left as it is; name another spool.path."
        )
    return False


def _page_size_is_valid(head: bytes) -> bool:
    size = int.from_bytes(head[16:18], "big")
    return size == 1 or (size >= 512 and size & (size - 1) == 0)  # 1 stands for 65536


def damaged(path: Path, what: str) -> SpoolError:
    """Return the error for a spool that cannot be believed; `what` is wrong with it."""
    return SpoolError(
        f"The spool {path} is damaged: {what}. It was left as it is; restore it from a snapshot, or move it away and "
        "start again without it: the source is read again as far back as `since` says."
    )


def create(path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Build an empty spool and put it in place with a rename. Call with the lock held."""
    fresh = beside(path, ".new")
    for name in (fresh, beside(fresh, "-journal")):
        name.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as con:
        # must come before any table and before WAL, or it stays off without a word
        con.execute("PRAGMA auto_vacuum = INCREMENTAL")
        con.execute("PRAGMA synchronous = FULL")
        migrate(con, path, migrations)
    fresh.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_names(folder: Path) -> None:
    """Make what leads to a folder, and what lies in it, durable.

    Also what is there already: the process that made it, or put the spool in place, may have ended before it was.
    """
    for parent in (folder, *folder.parents):
        with contextlib.suppress(OSError):  # not ours to look into, so it was not made by us either
            sync_folder(parent)


def connect(
    path: Path, migrations: Sequence[str] = MIGRATIONS, *, stop: Callable[[], bool] = lambda: False
) -> sqlite3.Connection:
    """Open an existing spool that `is_new` found to be ours. Call with the lock held, in the thread that will use it.

    A migration is given up, and leaves nothing, as soon as `stop` says so.

    Raises SpoolError when it comes from a newer version, and what SQLite raises.
    """
    con = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    try:
        # exclusive: no shared-memory file, and no second connection that could meet a checkpoint
        con.execute("PRAGMA locking_mode = EXCLUSIVE")
        con.execute("PRAGMA temp_store = MEMORY")
        con.execute("PRAGMA journal_mode = WAL")
        con.execute("PRAGMA synchronous = FULL")
        con.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        con.execute(f"PRAGMA journal_size_limit = {16 * 2**20}")
        con.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        con.set_progress_handler(lambda: int(stop()), _STEPS)
        migrate(con, path, migrations)
        con.set_progress_handler(None, 0)
    except BaseException:
        con.close()
        raise
    return con
