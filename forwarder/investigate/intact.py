"""Whether the files of an index are as they were written: by their SHA-256, and not again where nothing wrote to them.

DuckDB notices some damages of a file and answers from others, and a question reads little of a file. So every file is
compared whole, before its part is asked: what was compared stands in `checked.json` with what the file system says of
the file, and costs a question nothing more. That finds what a program or a full disk did. What a disk changed by itself
is found when an index is brought up to date, which compares everything once a day.

It is no protection from who may write to the index: they can write to `part.json` as well. An index is no evidence.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKED = "checked.json"

AGAIN = 20 * 3600
"""Seconds after which a file is compared again when an index is brought up to date, which may be done every hour."""

_SETTLED_NS = 1_000_000_000
"""A file that changed less than this before it was compared may change again without another time."""


class _Stamp(NamedTuple):
    size: int
    written_ns: int
    changed_ns: int
    inode: int


class _Seen(NamedTuple):
    sha256: str
    stamp: _Stamp
    at: int


_Checked = dict[str, _Seen]


def sha256_of(path: Path) -> str:
    """Return the hash of a file. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged(folder: Path, parts: Mapping[str, Mapping[str, str]], *, older_than: float | None = None) -> list[str]:
    """Return the parts of which a file is not there, cannot be read, or is not as it was written.

    Args:
        folder: Of the index.
        parts: The SHA-256 of each file, by its name, by the name of the part.
        older_than: Seconds after which a file is compared again, though nothing wrote to it; None for never.
    """
    known, now = _read(folder / CHECKED), time.time()
    seen: _Checked = {}
    found = [name for name, files in parts.items() if not _is_whole(folder, name, files, known, seen, now, older_than)]
    if any(known.get(name) != one for name, one in seen.items()):
        _write(folder / CHECKED, {name: one for name, one in known.items() if (folder / name).exists()} | seen)
    return found


def _is_whole(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    known: _Checked,
    seen: _Checked,
    now: float,
    older_than: float | None,
) -> bool:
    for file, sha256 in files.items():
        path, key = folder / name / file, f"{name}/{file}"
        try:
            stamp = _stamp(path)
            one = known.get(key)
            is_old = one is not None and older_than is not None and not 0 <= now - one.at < older_than
            if one is None or is_old or (one.sha256, one.stamp) != (sha256, stamp):
                if sha256_of(path) != sha256:
                    return False
                one = _Seen(sha256, stamp, int(now))
        except OSError:
            return False
        if stamp.changed_ns < now * 1e9 - _SETTLED_NS:
            seen[key] = one
    return True


def _stamp(path: Path) -> _Stamp:
    said = path.stat()
    return _Stamp(said.st_size, said.st_mtime_ns, said.st_ctime_ns, said.st_ino)


def _read(path: Path) -> _Checked:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Checked)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):  # then everything is compared
        return {}


def _write(path: Path, checked: _Checked) -> None:
    """Write it where this user may; who may not compares again."""
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix=".checked-", dir=path.parent)
        made = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(checked))
            made.chmod(0o644)
            made.replace(path)
        except OSError:
            made.unlink()
            raise
