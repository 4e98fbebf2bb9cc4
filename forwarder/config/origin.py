"""Where settings come from, and whether their file is still what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from forwarder.config.problems import Path as Keys


class Origin(NamedTuple):
    """The places that settings were read from, as `settings.load` takes them."""

    config_path: Path | None
    env: Mapping[str, str]
    secrets_dir: Path | None
    overrides: Sequence[str]


class Places:
    """Says where the value of a setting comes from.

    Args:
        known: By path; what is not named comes from where that comes from in which it stands.
    """

    def __init__(self, known: Mapping[Keys, str]) -> None:
        self._known = known

    def __call__(self, path: Keys) -> str:
        """Return the place; empty when it is not known."""
        while path:
            if path in self._known:
                return self._known[path]
            path = path[:-1]
        return ""


def file_stamp(file: Path | None) -> tuple[int, ...]:
    """Return what differs when a file was written, or its name leads to another one; nothing without a file."""
    if file is None:
        return ()
    try:
        found = file.stat()
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
