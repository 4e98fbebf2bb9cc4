"""Who else could change or read what is ours: the state folder, secrets, the process's own rights."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted
from forwarder.fields import Secret
from forwarder.spool.files import shared_folder, state_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.settings import Settings


def open_to_others(settings: Settings) -> Iterator[Problem]:
    """Yield a problem when any user of the machine could put files into the state folder: `run` refuses it."""
    for folder in state_folders(settings.spool.path):
        if what := shared_folder(folder):
            yield Problem("spool.path", what, f"run chmod o-w {folder}, or name a file in a folder of its own")


def loose_permissions(settings: Settings) -> Iterator[Problem]:
    """Yield what works and should not stay so."""
    if os.geteuid() == 0:
        yield Problem("user", "this runs as root (uid 0)", "run it as a user of its own, who owns its files")
    for folder in state_folders(settings.spool.path):
        found = _stat(folder)
        if found is not None and found.st_uid not in {0, os.geteuid()}:
            what = f"its folder {folder} belongs to uid {found.st_uid}, who can replace the spool"
            yield Problem("spool.path", what, f"run chown {os.geteuid()} {folder}")
    for keys, value, _ in leaves(settings, ()):
        if not isinstance(value, Secret) or value.path is None:
            continue
        found = _stat(value.path)
        if found is None or not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o006:
            continue
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        can = "read and change" if found.st_mode & 0o002 else "read"
        what = f"every user of this machine can {can} {value.path} (mode {mode})"
        yield Problem(f"{dotted(keys)}_file", what, f"run chmod o= {value.path}")


def _stat(path: os.PathLike[str]) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- of anything that has a path
    except OSError:
        return None
