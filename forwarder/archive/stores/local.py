"""An archive in a folder. Written by ourselves: no library that was tried forces what it writes to the disk.

An object is written beside its place, forced to the disk, given its name with a link, which fails when the name is
taken, and then the name is forced to the disk. So whatever ends the process, a name stands for all of an object.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from forwarder.archive.stores.store import AlreadyStored, NotStored, StoredObject
from forwarder.contracts.errors import Held, Retryable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EOPNOTSUPP}
_UNFINISHED = ".unfinished"
_REMEMBERED = 1000
_ABANDONED = 3600  # seconds
_LEAST_FREE = 1 / 64  # GiB


class LocalStore:
    """A folder.

    Args:
        root: Absolute path; missing folders are made with the first object.
        mode: Permissions of a new object.
    """

    def __init__(self, root: Path, mode: int = 0o440) -> None:
        self._root = root
        self._mode = mode
        self._led_to: set[Path] = set()
        self._swept = False

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self._root)

    async def create(self, name: str, data: bytes) -> None:
        """Store an object and force it to the disk."""
        await asyncio.to_thread(self._create, name, data)

    async def read(self, name: str) -> bytes:
        """Return an object."""
        return await asyncio.to_thread(self._read, name)

    async def read_oldest(self, name: str) -> bytes:
        """Return an object: a folder keeps one version."""
        return await self.read(name)

    async def versions(self, name: str) -> int:
        """Return 1 when the object is there."""
        return int(await asyncio.to_thread(os.path.lexists, self._path(name)))

    async def list(self, prefix: str) -> Sequence[StoredObject]:
        """Return the files below a folder."""
        return await asyncio.to_thread(lambda: sorted(self._list(prefix)))

    async def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders in a folder."""
        return await asyncio.to_thread(self._folders, prefix)

    async def delete(self, name: str) -> None:
        """Delete a file, and the folders that it leaves empty."""
        await asyncio.to_thread(self._delete, name)

    async def room(self) -> str:
        """Say whether objects could be written, and how much. Raises Held when they could not."""
        return await asyncio.to_thread(self._room)

    async def close(self) -> None:
        """Do nothing: no file stays open."""

    def _create(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            self._lead_to(path.parent)
            unfinished = self._root / _UNFINISHED
            self._sweep(unfinished)
            descriptor, written = tempfile.mkstemp(dir=unfinished)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    os.fchmod(file.fileno(), self._mode)
                    file.flush()
                    os.fsync(file.fileno())
                _give_name(written, path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(written)  # noqa: PTH108 -- the name is a text
            _sync_folder(path.parent)
        except FileExistsError:
            # a process before this one may have ended before the name was durable
            with suppress(OSError):
                _sync_folder(path.parent)
            raise AlreadyStored(name) from None
        except OSError as error:
            self._explain(error, f"{path} cannot be written")

    def _read(self, name: str) -> bytes:
        path = self._path(name)
        try:
            # what others put in its place is not followed, and a pipe there is not waited for
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise NotStored(name)
                with open(descriptor, "rb", closefd=False) as file:
                    return file.read()
            finally:
                os.close(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            raise NotStored(name) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotStored(name) from None
            self._explain(error, f"{path} cannot be read")

    def _list(self, prefix: str) -> Iterator[StoredObject]:
        for folder, folders, files in os.walk(self._folder(prefix), onerror=self._explain_unless_missing):
            links = [name for name in folders if Path(folder, name).is_symlink()]  # these are not walked
            for file in (*files, *links):
                path = Path(folder, file)
                name = path.relative_to(self._root).as_posix()
                if not name.startswith(f"{_UNFINISHED}/"):
                    with suppress(FileNotFoundError):  # deleted meanwhile
                        yield StoredObject(name, path.lstat().st_size)

    def _folders(self, prefix: str) -> Sequence[str]:
        try:
            with os.scandir(self._folder(prefix)) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            self._explain_unless_missing(error)
            return []
        return sorted(f"{prefix}{name}/" for name in names if prefix or name != _UNFINISHED)

    def _delete(self, name: str) -> None:
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root:
                    break
                folder.rmdir()
        except NotADirectoryError:
            return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
                self._explain(error, f"{path} cannot be deleted")

    def _room(self) -> str:
        fix = f"Let the forwarder's user write in {self._root}, or name another folder."
        try:
            there = next(place for place in (self._root, *self._root.parents) if os.path.lexists(place))
            free = os.statvfs(there)
        except OSError as error:
            self._explain(error, f"{self._root} cannot be reached")
        if not there.is_dir():
            raise Held(f"{there} is not a folder.", fix="Name a folder.", kind="other")
        if not os.access(there, os.W_OK | os.X_OK):
            raise Held(f"{there} cannot be written.", fix=fix, kind="forbidden")
        gib = free.f_bavail * free.f_frsize / 2**30
        if gib < _LEAST_FREE:
            raise Held(
                f"The disk of {there} is full.", fix="Make room on it, or name a folder elsewhere.", kind="disk_full"
            )
        return f"written; {gib:.1f} GiB free"

    def _path(self, name: str) -> Path:
        """Return where an object lies. Names in digests may be forged: none leads out of the folder."""
        parts = name.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts) or parts[0] == _UNFINISHED:
            raise NotStored(name)
        return self._root.joinpath(*parts)

    def _folder(self, prefix: str) -> Path:
        return self._path(prefix.removesuffix("/")) if prefix else self._root

    def _lead_to(self, folder: Path) -> None:
        """Make folders, and once in this process make the names that lead to each durable.

        Those that are there, too: a process that made them may have ended before they were.
        """
        if folder.is_dir() and folder in self._led_to:
            return
        if len(self._led_to) > _REMEMBERED or folder in self._led_to:  # too many, or somebody removed it
            self._led_to.clear()
        for each in (folder, self._root / _UNFINISHED):
            each.mkdir(mode=0o750, parents=True, exist_ok=True)
        for each in (folder, *folder.parents):
            if each not in self._led_to:
                with suppress(OSError):  # not ours to look into, so it was not made by us either
                    _sync_folder(each.parent)
                self._led_to.add(each)

    def _sweep(self, unfinished: Path) -> None:
        """Remove once what processes before this one left half written; whoever writes at present is left alone."""
        if self._swept:
            return
        self._swept = True
        now = os.stat(unfinished).st_mtime  # noqa: PTH116
        for path in unfinished.iterdir():
            with suppress(OSError):
                if now - path.lstat().st_mtime > _ABANDONED:
                    path.unlink()

    def _explain_unless_missing(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._explain(error, f"{error.filename or self._root} cannot be read")

    def _explain(self, error: OSError, what: str) -> NoReturn:
        why = error.strerror or "input/output error"
        if error.errno in _FULL:
            fix = f"Free space below {self._root}, or raise the limit that stops it."
            raise Held(f"{what}: {why}.", fix=fix, kind="disk_full") from error
        if error.errno in {errno.EIO, errno.ESTALE, errno.EINTR, errno.EMFILE, errno.ENFILE}:
            raise Retryable(f"{what}: {why}", sent=True, suspect=False) from error
        raise Held(
            f"{what}: {why}.",
            fix=f"Let the forwarder's user read and write below {self._root}, or name another folder.",
            kind="forbidden" if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS} else "other",
        ) from error


def _give_name(written: str, path: Path) -> None:
    """Give what was written its name. Raises FileExistsError when it is taken."""
    try:
        os.link(written, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # a file system without links: one writer at a time has the archive, so nobody takes the name between the two
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.rename(written, path)  # noqa: PTH104


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
