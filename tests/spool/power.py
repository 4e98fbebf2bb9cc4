"""A power cut: of files only what was forced to the disk is left, and of names only what their folder was forced for.

Bytes and names are two things: a new file whose bytes were forced is gone when its folder was not, and a rename that
was not forced may not have happened. The worst that may be left is what is given here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest


class Power:
    """Notes what is forced to the disk below a folder, and writes down elsewhere what a cut would leave.

    Args:
        root: The folder, which itself is durable from the beginning, as is what lies in it now.
        patch: To see every fsync and fdatasync of this process.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._device = root.stat().st_dev
        self._bytes: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        self._held: dict[int, int] = {}  # a descriptor for each file seen, so that its number is given to no other
        self.forced = 0
        self.killed_at: int | None = None
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, self._noting(getattr(os, name)))
        self._note_all(root)

    def _noting(self, force: Callable[[int], None]) -> Callable[[int], None]:
        def noted(descriptor: int) -> None:
            self.forced += 1
            if self.forced == self.killed_at:
                raise Killed
            force(descriptor)
            self.note(descriptor)

        return noted

    def note(self, descriptor: int) -> None:
        """Take what a descriptor stands for as durable now."""
        there = os.fstat(descriptor)
        if there.st_dev != self._device:
            return
        path = Path(f"/proc/self/fd/{descriptor}")
        self._hold(path, there.st_ino)
        if stat.S_ISDIR(there.st_mode):
            names: dict[str, tuple[int, bool]] = {}
            for entry in path.readlink().iterdir():
                found = entry.lstat()
                names[entry.name] = found.st_ino, stat.S_ISDIR(found.st_mode)
                if stat.S_ISREG(found.st_mode):
                    self._hold(entry, found.st_ino)
            self._names[there.st_ino] = names
        else:
            self._bytes[there.st_ino] = path.read_bytes()

    def _hold(self, path: Path, number: int) -> None:
        if number not in self._held:
            self._held[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def _note_all(self, folder: Path) -> None:
        for path in [*(entry for entry in folder.rglob("*") if entry.is_file() or entry.is_dir()), folder]:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.note(descriptor)
            os.close(descriptor)

    def cut(self, into: Path) -> Path:
        """Write what is left after a cut at this moment into a new folder."""
        self._restore(self._root.stat().st_ino, into)
        return into

    def _restore(self, number: int, into: Path) -> None:
        into.mkdir()
        for name, (inner, is_folder) in self._names.get(number, {}).items():
            if is_folder:
                self._restore(inner, into / name)
            else:
                (into / name).write_bytes(self._bytes.get(inner, b""))

    def close(self) -> None:
        """Let go of every file."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()


class Killed(BaseException):
    """The process ended here, without any clean-up of its own."""
