"""A clock that jumps, in the daemon only: libfaketime reads how far it is off from a file. This machine's stays right.

Only the time of day jumps; the monotonic clock goes on, as it does when a machine's clock is set.
"""

from __future__ import annotations

from pathlib import Path

from tests.servers.cache import Cache, Unavailable
from tests.servers.debian import unpack

PACKAGE = "libfaketime"

_ENVIRONMENT = {
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "DONT_FAKE_MONOTONIC": "1",  # its older name
    "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else every hop between threads takes a millisecond: Python's GIL times its waits
    "FAKETIME_CACHE_DURATION": "1",
    "NO_FAKE_STAT": "1",
}


def find_library() -> Path | None:
    """Return the library, unpacked into the cache; None where Debian's packages cannot be had."""
    try:
        root = unpack(Cache.default(), PACKAGE, [PACKAGE])
    except (Unavailable, OSError):
        return None
    return next(iter(sorted(root.rglob("libfaketime.so.1"))), None)


class JumpingClock:
    """What to start the daemon with, and how to make its clock jump."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        self._file = folder / "clock"
        self.can_jump = library is not None
        self.prefix: tuple[str, ...] = ()
        if library is not None:
            given = {**_ENVIRONMENT, "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(self._file)}
            self.prefix = ("env", *(f"{name}={value}" for name, value in given.items()))
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Let the daemon's clock be off by so much, at the latest in a second."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._file)  # it is read at any moment, so it must never be half written
