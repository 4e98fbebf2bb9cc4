"""Puts the files of a new configuration in place: all of them or none, and none over another.

::

    FOLDER/.init/      everything is written and tried here first; gone at the end, whatever comes
    FOLDER/secrets/    0700; each file 0600
    FOLDER/config.yaml 0644; it is put in place last, so that whoever finds it finds all of it

Invariant: a file that was there stays as it was, or is kept under another name. Modes do not depend on the umask.
What a killed `init` left is found by its lock, which nobody holds, and removed by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from forwarder.config.problems import Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import FrameType

STAGE = ".init"


@contextmanager
def stage(folder: Path) -> Iterator[Path]:
    """Make the folder, if need be, and in it an empty one that is gone afterwards, as is what it was made for in vain.

    Raises SettingsError when it cannot be made, or when another `init` is at work in it.
    """
    with ExitStack() as undo:
        try:
            for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
                _make(missing, 0o755)
                undo.callback(_remove_if_empty, missing)
            place = folder / STAGE
            with suppress(FileExistsError):
                _make(place, 0o700)
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            undo.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            undo.callback(shutil.rmtree, place, ignore_errors=True)
            for left in place.iterdir():
                left.unlink() if not left.is_dir() else shutil.rmtree(left)
        except BlockingIOError:
            raise _problem(folder, "another `init` is at work here", "wait for it") from None
        except OSError as error:
            raise _problem(folder, f"it cannot be written into: {error.strerror}", "name another folder") from None
        yield place


def write_files(folder: Path, files: Mapping[str, bytes], mode: int) -> None:
    """Write new files with this mode into a folder, durably."""
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)


def place_all(folders: Mapping[Path, int], files: Mapping[Path, Path], *, kept_as: str | None) -> list[Path]:
    """Move files to where they belong, the last one last; when anything fails, nothing of it stays.

    Args:
        folders: Folders to make when they are missing, with their modes.
        files: Where each goes, and where it is now, in order.
        kept_as: What is put behind the name of a file that is there; None leaves it and raises.

    Returns the names under which files were kept. Raises SettingsError.
    """
    kept: list[Path] = []
    with ExitStack() as undo, _uninterrupted():
        try:
            for folder, mode in folders.items():
                for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
                    _make(missing, mode if missing == folder else 0o755)
                    undo.callback(_remove_if_empty, missing)
            for target, source in files.items():
                if kept_as is not None and os.path.lexists(target):
                    kept.append(target.with_name(target.name + kept_as))
                    os.link(target, kept[-1])
                    undo.callback(kept[-1].replace, target)
                    source.replace(target)
                else:
                    os.link(source, target)
                    undo.callback(os.unlink, target)
            for folder in dict.fromkeys([*folders, *(target.parent for target in files)]):
                _sync(folder)
        except FileExistsError as error:
            raise _problem(error.filename2 or error.filename, "it is there already", "nothing was written") from None
        except OSError as error:
            what = f"it cannot be written: {error.strerror}"
            raise _problem(error.filename2 or error.filename, what, "nothing was written") from None
        undo.pop_all()
    return kept


def private_folder(folder: Path) -> list[Problem]:
    """Return what speaks against keeping secrets in a folder that may exist."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Problem(str(folder), f"it cannot be looked at: {error.strerror}", "name another folder")]
    if not stat.S_ISDIR(found.st_mode):
        return [Problem(str(folder), "it is there and no folder", "move it away, or name another folder")]
    if found.st_uid != os.geteuid():
        return [Problem(str(folder), f"it belongs to uid {found.st_uid}", "name another folder")]
    if found.st_mode & 0o077:
        return [Problem(str(folder), f"others may enter it (mode {found.st_mode & 0o777:04o})", f"chmod 700 {folder}")]
    return []


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a signal end the few moments of placing as an exception does, so that what was begun is undone."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make(folder: Path, mode: int) -> None:
    folder.mkdir(mode=mode & 0o700)
    folder.chmod(mode)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _problem(where: object, what: str, fix: str) -> SettingsError:
    return SettingsError([Problem(str(where), what, fix)])
