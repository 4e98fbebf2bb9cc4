"""Who has the spool: one process, by a lock on a file beside it and by a name that only the kernel keeps.

The lock goes when its file is deleted, and a clean-up job deletes everything. The name (an abstract socket on Linux,
made of the folder's inode) lasts as long as the process: no second one begins in an emptied folder meanwhile.
The file of the spool itself is locked by SQLite, which refuses a second name of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import sys
from hashlib import blake2s
from typing import TYPE_CHECKING

from forwarder.spool.contract import SpoolError, SpoolInUse
from forwarder.spool.sqlite.files import not_regular

if TYPE_CHECKING:
    from pathlib import Path

_CREDENTIALS = struct.Struct("3i")


class Claim:
    """The spool at `path` is ours until `close`.

    Raises SpoolError that names the process that has it, or when the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _take_lock(path)
        try:
            self._name = _take_name(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def renew(self) -> None:
        """Take the lock again when its file was deleted."""
        if _holds(self._descriptor, self._path):
            return
        # whoever took it meanwhile cannot open the spool, and will let go of it
        with contextlib.suppress(SpoolError):
            fresh = _take_lock(self._path)
            os.close(self._descriptor)
            self._descriptor = fresh

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
        if self._name is not None:
            self._name.close()


def _in_use(path: Path, holder: str) -> SpoolInUse:
    return SpoolInUse(
        f"The spool {path} is in use by process {holder}. Stop that process first; one spool serves one forwarder only."
    )


def _take_name(path: Path) -> socket.socket | None:
    """Take the name, or None where there is none to be had: other systems, or another user sits on it."""
    if sys.platform != "linux":
        return None
    folder = path.parent.stat()
    file = blake2s(os.fsencode(path.name), digest_size=8).hexdigest()
    name = f"\0audit-forwarder/{folder.st_dev}:{folder.st_ino}/{file}"
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.bind(name)
        found.listen(128)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            _ask_holder(path, name)
        return None
    return found


def _ask_holder(path: Path, name: str) -> None:
    """Raise SpoolError unless the name is held by another user, who must not be able to keep us from starting."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(0)
        try:
            asking.connect(name)
            pid, uid, _ = _CREDENTIALS.unpack(
                asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
        except ConnectionRefusedError:  # it ended this moment
            return
        except OSError:
            raise _in_use(path, "unknown") from None
    if uid in {0, os.geteuid()}:
        raise _in_use(path, str(pid))


def _take_lock(path: Path) -> int:
    """Lock the spool for this process and return the descriptor that holds the lock.

    Raises SpoolError naming the process that has it, or when the folder cannot be written.
    """
    name = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if name.is_symlink() or name.is_dir():
            raise not_regular(name) from error
        raise SpoolError(
            f"The spool's folder {path.parent} cannot be written by uid {os.geteuid()} ({error.strerror}). "
            "Give it to the user that runs the forwarder, mount it writable, or name another spool.path."
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise not_regular(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise SpoolError(
                f"The spool {path} cannot be locked ({error.strerror}). Put it on a local disk."
            ) from error
        raise _in_use(path, holder) from error
    if not _holds(descriptor, path):  # its name was taken away between the opening and the lock
        os.close(descriptor)
        return _take_lock(path)
    try:
        _refuse_foreign(descriptor, name)
    except SpoolError:
        os.close(descriptor)
        raise
    # a full disk may refuse the number; the lock holds all the same
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def examine_lock(path: Path) -> None:
    """Raise SpoolError when the lock beside the spool at `path` is a file of others; nothing is locked or made."""
    name = path.with_name(f"{path.name}.lock")
    with contextlib.suppress(OSError):  # there is none yet, or it is for whoever takes it to say
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            _refuse_foreign(descriptor, name)
        finally:
            os.close(descriptor)


def _refuse_foreign(descriptor: int, name: Path) -> None:
    if os.fstat(descriptor).st_size and not os.pread(descriptor, 32, 0).strip().isdigit():
        raise SpoolError(f"The file {name} is not a lock of ours. Move it away, or name another spool.path.")


def _holds(descriptor: int, path: Path) -> bool:
    """Return True while the lock's name leads to the file that is locked."""
    try:
        found, ours = path.with_name(f"{path.name}.lock").lstat(), os.fstat(descriptor)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
