"""The folders that a spool lies in, and who may put files into them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

COMPANIONS = ("-wal", "-shm", "-journal", ".lock", ".reserve", ".new", ".new-journal", ".missing")
"""Endings of the files that belong to a spool."""


def state_folders(path: Path) -> list[Path]:
    """Return the folder that a spool's path names, and the one it lies in when links are resolved."""
    try:
        path = path.expanduser()
    except RuntimeError:  # of a user that is not there; whoever opens it says so
        return []
    return list(dict.fromkeys((path.absolute().parent, path.resolve().parent)))


def shared_folder(folder: Path) -> str:
    """Return what is wrong when any user of this machine may put files into a folder; nothing when that is not so.

    The sticky bit keeps others from replacing our files. The root of a volume that belongs to root is left to whoever
    mounted it: a container has no other user.
    """
    try:
        found = folder.stat()
    except OSError:
        return ""
    mode = found.st_mode
    if not mode & stat.S_IWOTH or mode & stat.S_ISVTX or (found.st_uid == 0 and os.path.ismount(folder)):
        return ""
    return f"every user of this machine can write into its folder {folder} (mode {stat.S_IMODE(mode):04o})"
