"""Puts a backup, or a snapshot, in the place of a spool that is not open; what lies there is put aside.

The backup is copied first, and the copy is looked at: whose it is, of which version, and whether every page of it can
be read. The next start of the forwarder puts on record that it was restored (`restored`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.errors import ConfigError
from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite import files
from forwarder.spool.sqlite.backup import MARK, discard, mark
from forwarder.spool.sqlite.claim import Claim
from forwarder.spool.sqlite.schema import MIGRATIONS, version_of

if TYPE_CHECKING:
    from forwarder.spool.config import SpoolConfig


class Restored(msgspec.Struct, frozen=True):
    """A backup that lies in the place of the spool now.

    Attributes:
        path: Of the spool.
        at_ms: Of which moment the backup is, epoch milliseconds.
        aside: Where the spool is that lay there, if one did.
    """

    path: str
    at_ms: int
    aside: str = ""


def restore(backup: Path, config: SpoolConfig, *, replace: bool) -> Restored:
    """Restore a spool.

    Args:
        backup: What `backup` wrote; or a copy of a spool's file, and of the log beside it if there is one.
        config: Says where the spool lies.
        replace: Put a spool that lies there aside.

    Raises:
        ConfigError: There is no such backup, or a spool is there and is not to be replaced.
        SpoolError: It is none of ours, damaged, or of a newer version; or a forwarder runs. Nothing has changed.
    """
    path = config.path.expanduser().resolve()
    if not backup.is_file():
        raise ConfigError(f"{backup}: there is no such file")
    if path.exists() and backup.samefile(path):
        raise ConfigError(f"{backup} is the spool itself")
    files.prepare_folder(path)
    files.refuse_shared(config.path)
    claim = Claim(path)
    try:
        if path.exists() and not replace:
            raise ConfigError(f"there is a spool at {path}; say --replace to put it aside")
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
        copy = Path(name)
        try:
            at_ms = _copied(backup, copy)
            return Restored(str(path), at_ms, _put(copy, path))
        finally:
            discard(copy)
    except OSError as error:
        raise SpoolError(f"{backup} cannot be restored to {path}: {error.strerror or error}") from error
    finally:
        claim.close()


def _copied(backup: Path, copy: Path) -> int:
    """Copy a backup, look at the copy and mark it; return of which moment it is."""
    changed_ms = int(backup.stat().st_mtime * 1000)
    shutil.copyfile(backup, copy)
    log = files.beside(backup, "-wal")
    if log.exists():
        shutil.copyfile(log, files.beside(copy, "-wal"))
    try:
        _judge(copy, backup)
        mark(copy, changed_ms)
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as con:
            return int(con.execute("SELECT value FROM meta WHERE name = ?", (MARK,)).fetchone()[0])
    except sqlite3.Error as error:
        raise SpoolError(f"{backup} is damaged: {error}") from error
    except SpoolError as error:
        raise SpoolError(str(error).replace(str(copy), str(backup))) from None


def _judge(copy: Path, backup: Path) -> None:
    """Raise SpoolError, or what SQLite raises, when the copy is no spool that can be opened."""
    if files.is_new(copy):
        raise SpoolError(f"{backup} is empty")
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as con:
        if (version := version_of(con)) > len(MIGRATIONS):
            raise SpoolError(
                f"{backup} has version {version}, this program knows up to {len(MIGRATIONS)}; "
                "restore it with the newer version of the program"
            )
        found = str(con.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise SpoolError(f"{backup} is damaged: {found}")


def _put(copy: Path, path: Path) -> str:
    """Give a copy the place of the spool; return where what lay there is now."""
    aside = ""
    if path.exists():
        kept = files.beside(path, f".replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        if os.path.lexists(kept):
            raise SpoolError(f"{kept} is there already; try again in a second")
        log = files.beside(path, "-wal")
        if log.exists():
            log.rename(files.beside(kept, "-wal"))  # first: the spool must not be taken without what its log holds
        path.rename(kept)
        aside = str(kept)
    copy.rename(path)
    files.notice_of(path).unlink(missing_ok=True)
    files.sync_folder(path.parent)
    return aside
