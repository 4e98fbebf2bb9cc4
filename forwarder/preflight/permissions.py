"""Who else could change or read what is ours: the state folder, secrets, the process's own rights."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.assembly import judge_spool_path
from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted
from forwarder.contracts.settings import Secret
from forwarder.spool.contract import SpoolError
from forwarder.spool.folders import shared_folder, state_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings


def open_to_others(settings: Settings) -> Iterator[Problem]:
    """Yield a problem when any user of the machine could put files into the state folder: `run` refuses it."""
    for folder in state_folders(settings.spool.path):
        if what := shared_folder(folder):
            yield Problem("spool.path", what, f"run chmod o-w {folder}, or name a file in a folder of its own")


def unusable_spool(settings: Settings) -> Iterator[Problem]:
    """Yield a problem when something else lies where the spool or its companions belong: `run` ends with SpoolError."""
    try:
        judge_spool_path(settings.spool.path)
    except SpoolError as error:
        yield Problem("spool.path", str(error))
    except (OSError, RuntimeError):  # not for us to look at; the comparison with the spool says so
        return


def loose_permissions(settings: Settings, uid: int) -> Iterator[Problem]:
    """Yield what works for the user `uid`, and should not stay so."""
    if uid == 0:
        yield Problem("user", "this runs as root (uid 0)", "run it as a user of its own, who owns its files")
    for folder in state_folders(settings.spool.path):
        found = _stat(folder)
        if found is None:
            continue
        if found.st_uid not in {0, uid}:
            what = f"its folder {folder} belongs to uid {found.st_uid}, who can replace the spool"
            yield Problem("spool.path", what, f"run chown {uid} {folder}")
        if found.st_mode & stat.S_IWOTH and found.st_mode & stat.S_ISVTX:
            what = f"every user of this machine can put files into its folder {folder} (mode {_mode(found)})"
            yield Problem("spool.path", what, "name a file in a folder of its own, which only this user can write")
    for setting, path, others_may_not in _files(settings):
        found = _stat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            continue
        if found.st_mode & others_may_not:
            can = " and ".join(
                word for word, bit in (("read", 0o004), ("change", 0o002)) if found.st_mode & others_may_not & bit
            )
            what = f"every user of this machine can {can} {path} (mode {_mode(found)})"
            yield Problem(setting, what, f"run chmod {'o=' if others_may_not & 0o004 else 'o-w'} {path}")
        if what := shared_folder(path.parent):
            yield Problem(setting, f"{what}, and replace it", f"run chmod o-w {path.parent}")


def _files(settings: Settings) -> Iterator[tuple[str, Path, int]]:
    """Yield what is read: the setting, the file, and the rights to it that others should not have."""
    inline = [value for _, value, _ in leaves(settings, ()) if isinstance(value, Secret) and value.path is None]
    if settings.file is not None:
        yield "the configuration", settings.file, 0o006 if _holds(settings.file, inline) else 0o002
    for keys, value, _ in leaves(settings, ()):
        if isinstance(value, Secret) and value.path is not None:
            yield f"{dotted(keys)}_file", value.path, 0o006
        elif isinstance(value, Path) and keys[0] != "spool":
            private = keys[-1] == "key_file"
            yield dotted(keys), Path(os.path.expanduser(value)), 0o006 if private else 0o002  # noqa: PTH111 -- no error


def _holds(file: Path, secrets: list[Secret]) -> bool:
    """Tell whether a secret stands in the file itself; the environment may hold it as well."""
    found = _stat(file)
    if not secrets or found is None or not stat.S_ISREG(found.st_mode):
        return False
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(secret.reveal() in text for secret in secrets)


def _mode(found: os.stat_result) -> str:
    return f"{stat.S_IMODE(found.st_mode):04o}"


def _stat(path: os.PathLike[str]) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- of anything that has a path
    except OSError:
        return None
