"""The log file of one node of a Data Center product, and what happens to such files: rotation, packing, cuts."""

from __future__ import annotations

import gzip
import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Turn = Literal["next", "rename", "copy_and_cut", "pack", "copy"]
"""What turns a log away: the product itself begins its next file (`next`), or logrotate renames the present one, copies
and cuts it, or packs an older one; `copy` is a backup that comes back, all files under new inodes."""


class NodeFile:
    """The log file of one node: `YYYYMMDD-NNNNN.audit.log`, a new one each day and above a size.

    Args:
        folder: Where they lie; made when missing.
        most_bytes: Size above which the next record begins a new file.
        most_files: Older files are removed when there are more.
    """

    def __init__(self, folder: Path, most_bytes: int = 100 * 1024**2, most_files: int = 100) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._most = most_bytes
        self._most_files = most_files
        self._day = ""
        self._number = 0
        self._turns = 0
        self._half = b""

    @property
    def path(self) -> Path:
        """Return the file that is written at present."""
        return self.folder / f"{self._day}-{self._number:05d}.audit.log"

    def write(self, line: bytes, time_ms: int, *, cut: int | None = None) -> None:
        """Append one record, or only its first `cut` bytes, as an unfinished write leaves it."""
        self._choose(time_ms)
        with self.path.open("ab") as file:
            file.write((line + b"\n")[:cut])

    def write_half(self, line: bytes, time_ms: int, cut: int) -> None:
        """Append the first bytes of a record; `finish` appends the rest."""
        self.finish()
        self.write(line, time_ms, cut=cut)
        self._half = (line + b"\n")[cut:]

    def finish(self) -> None:
        """Append the rest of a record that is half written."""
        half, self._half = self._half, b""
        if half:
            with self.path.open("ab") as file:
                file.write(half)

    def turn(self, how: Turn) -> None:
        """Turn the log away; whole records only, as those do who know the product."""
        self.finish()
        if not self._day or not self.path.exists():
            return
        self._turns += 1
        turned = self.path.with_name(f"{self.path.name}.{10**6 - self._turns}")
        if how == "next":
            self._number += 1
        elif how == "rename":
            self.path.rename(turned)
        elif how == "copy_and_cut":
            shutil.copy2(self.path, turned)
            os.truncate(self.path, 0)
        elif how == "copy":
            copy = self.folder.with_name(f"{self.folder.name}.copy")
            shutil.copytree(self.folder, copy)
            shutil.rmtree(self.folder)
            copy.rename(self.folder)
        else:
            self._pack()

    def _pack(self) -> None:
        plain = sorted(path for path in self.folder.iterdir() if path != self.path and path.suffix != ".gz")
        for path in plain[:1]:
            whole = path.with_name(f".{path.name}.part")
            whole.write_bytes(gzip.compress(path.read_bytes()))
            whole.rename(path.with_name(f"{path.name}.gz"))
            path.unlink()

    def _choose(self, time_ms: int) -> None:
        day = f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y%m%d}"
        if day != self._day:
            self._day, self._number = day, 0
        elif self.path.exists() and self.path.stat().st_size >= self._most:
            self._number += 1
        else:
            return
        for old in sorted(self.folder.glob("*.audit.log"))[: -self._most_files]:
            old.unlink()
