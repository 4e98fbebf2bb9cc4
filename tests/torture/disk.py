"""A disk of its own that can be filled: a small tmpfs where mounting is allowed, else nothing but a folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path


class SmallDisk:
    """A folder that is a file system of `size` bytes, if this machine lets us."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._plug = folder / "plug"
        if os.path.ismount(folder):  # left by a run that was killed
            self.unmount()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        self.can_be_full = os.geteuid() == 0 and not subprocess.run(mount, capture_output=True, check=False).returncode

    def fill(self, leave: int) -> None:
        """Fill it with a file of another program, up to `leave` bytes."""
        if not self.can_be_full:
            return
        free = os.statvfs(self.folder)
        with self._plug.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            left = free.f_bavail * free.f_frsize - leave
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 20)))

    def free(self) -> None:
        self._plug.unlink(missing_ok=True)

    def unmount(self) -> None:
        if os.path.ismount(self.folder):
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
