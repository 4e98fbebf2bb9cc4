"""Small files in the state folder, beside the spool: whole or absent, for our eyes only, and never worth a failure."""

from __future__ import annotations

import os
import re
import tempfile
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

LARGEST = 16 * 2**20
"""Bytes that are read of a state file; ours are far smaller."""

_PLAIN = re.compile(r"[^A-Za-z0-9-]+")


def state_file(folder: Path, kind: str, owner: str = "") -> Path:
    """Return the path of a state file; `owner` tells those of one kind apart."""
    name = f"{kind}-{_PLAIN.sub('_', owner)}" if owner else kind
    return folder / f"{name}.json"


def write_state(path: Path, value: object) -> None:
    """Replace a file as a whole, or leave the old one. Raises OSError."""
    write_whole(path, msgspec.json.encode(value))


def write_whole(path: Path, body: bytes) -> None:
    """Write a file that only we can read: all of it, or nothing. Raises OSError."""
    # a name that no one can foresee, and a file that no one made before: a link there would be written through
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 -- the name is a text
    except BaseException:
        os.unlink(name)  # noqa: PTH108
        raise


def read_state(path: Path, kind: type[T]) -> T | None:
    """Return what a file holds; None when it is absent, damaged or not for us to read: it will be written again."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.json.decode(file.read(LARGEST), type=kind)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None
