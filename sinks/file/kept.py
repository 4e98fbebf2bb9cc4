"""What is in the files that a `file` sink wrote: the one it writes, and those it has set aside. Blocking."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from forwarder.contracts import Asked, Held, LinesOfDocuments

if TYPE_CHECKING:
    from pathlib import Path

_UNREADABLE = {".zst", ".lz4", ".zip", ".Z", ".br"}
_OPENS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""By the ending that a program which rotates files gives to those it compresses."""


def held(path: Path, asked: Asked) -> set[str]:
    """Return those of the ids that the files have. Raises Held when one of them cannot be read."""
    wanted = LinesOfDocuments(asked)
    found: set[str] = set()
    for file in files_of(path):
        if file.suffix in _UNREADABLE:
            raise Held(f"{file} is compressed in a way that is not read.", fix="Unpack it beside.", kind="other")
        try:
            with _opened(file) as lines:
                found.update(wanted.found(line.rstrip(b"\r\n") for line in lines))
        except FileNotFoundError:
            continue  # it was rotated away meanwhile; its lines stand in another one
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            fix = "Let the user of this command read it, or restore it."
            raise Held(f"{file} cannot be read: {error}.", fix=fix, kind="other") from error
    return found


def files_of(path: Path) -> list[Path]:
    """Return the file and what carries its name with something behind it or before its ending: set aside, compressed.

    The newest comes first: what is rotated while the files are read moves to one that is read later.
    """
    beside = sorted(path.parent.glob(f"{_escaped(path.stem)}[-.]*"), reverse=True)
    return [path, *(file for file in beside if file != path and file.is_file())]


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _opened(file: Path) -> IO[bytes]:
    opens = _OPENS.get(file.suffix)
    found: IO[bytes] = file.open("rb") if opens is None else opens(file)
    return found
