"""A look into a spool that may be in use: read only, without a lock, without a trace.

The file and its log are read as they lie, by a file system layer without locks; a daemon that writes meanwhile can make
one look fail, so it is repeated. Nothing is made, moved or migrated, and the daemon never notices.
"""

from __future__ import annotations

import contextlib
import ctypes
import sqlite3
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from forwarder.spool.contract import SpoolError
from forwarder.spool.known import KnownLane, KnownSpool
from forwarder.spool.sqlite.lanes import Lanes
from forwarder.spool.sqlite.letters import Letters
from forwarder.spool.sqlite.pages import Pages

if TYPE_CHECKING:
    from pathlib import Path

_TRIES = 5
_PAUSE = 0.05


def glimpse(path: Path) -> KnownSpool | None:
    """Return what the spool at `path` knows; None when there is none. Raises SpoolError when it cannot be read."""
    try:
        if not path.is_file() or not path.stat().st_size:
            return None
    except OSError as error:
        raise SpoolError(f"The spool {path} cannot be looked at ({error.strerror}).") from error
    for _ in range(_TRIES):
        try:
            return _look(path)
        except sqlite3.Error as error:
            failed = error
        time.sleep(_PAUSE)
    raise SpoolError(f"The spool {path} cannot be read ({failed}).")


def _look(path: Path) -> KnownSpool:
    where = f"file:{quote(str(path))}?mode=ro&vfs=unix-none"
    # with a log beside it, which must not be made; without one, as a file that no one changes
    where += "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    con = sqlite3.connect(where, uri=True, isolation_level=None)
    try:
        con.execute("PRAGMA locking_mode = EXCLUSIVE")  # with that the log needs no shared memory
        con.execute("PRAGMA query_only = 1")
        con.execute("BEGIN")
        names: list[tuple[str, str]] = con.execute("SELECT identity, name FROM sources").fetchall()
        lanes = Lanes(con, Pages(con), Letters(con))
        known = []
        for lane in lanes.of_sinks():
            waiting = None
            with contextlib.suppress(sqlite3.Error):  # a spool of an earlier version
                waiting = sum(lanes.waiting(lane).values())
            known.append(KnownLane(lane.name, lane.target, waiting, lane.seen_ms))
        oldest = con.execute("SELECT first_seq, committed_ms FROM pages ORDER BY last_seq LIMIT 1").fetchone()
        return KnownSpool(known, dict(names), oldest[1] if oldest is not None and oldest[0] > 1 else None)
    finally:
        _let_go(con)


def _let_go(con: sqlite3.Connection) -> None:
    """End a look without what SQLite does at the end of a last connection, which it takes this one for.

    A log without a whole transaction in it, as a daemon has at its start, would be removed from under it.
    """
    if sys.version_info >= (3, 12):
        con.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
        con.close()
    else:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(con))  # stays open as long as the process, which looks once
