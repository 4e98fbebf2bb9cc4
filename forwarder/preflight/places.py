"""Whether the files that the daemon writes could be made where they are configured, and have room there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.assembly import targets_and_identities
from forwarder.config.problems import Problem
from forwarder.contracts.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings

_OF_THE_SYSTEM = ("/proc", "/sys", "/dev")
_LONGEST_ENDING = len("-20260131T000000-1000000")
"""What is put behind a name for companions and files that are set aside."""

_MEMORY = "/dev/shm/"  # noqa: S108 -- a place that is named, not used
_BYTES_AN_ID = 150


def places_that_cannot_be(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for the spool, and for each sink, whose file this user could not make or write."""
    yield from _unusable("spool.path", settings.spool.path)
    for name, target in targets_and_identities(settings)[0].items():
        if target.startswith("file:/"):
            yield from _unusable(f"sinks.{name}.path", Path(target.removeprefix("file:")))


def more_than_there_is(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each limit that is larger than the disk or the memory."""
    spool = settings.spool
    try:
        disk = os.statvfs(_there(Path(os.path.realpath(spool.path.expanduser()))))
    except (OSError, RuntimeError):  # named elsewhere
        return
    size = disk.f_blocks * disk.f_frsize
    for key, wanted in (("max_bytes", spool.max_bytes), ("id_max_bytes", spool.id_max_bytes)):
        if wanted > size > 0:
            what = f"{size_text(wanted)} is more than the whole disk has ({_about(size)}): it would be full before"
            yield Problem(f"spool.{key}", what, "write less than is free, so that on_full decides and not the disk")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (needs := spool.id_memory * _BYTES_AN_ID) > memory / 2:
        what = f"would take {_about(needs)} of this machine's memory ({_about(memory)})"
        yield Problem("spool.id_memory", what, "write less; what is not in memory is looked up in the file")
    for name, sink in settings.sinks.items():
        if (needs := sink.batch.bytes * sink.window) > memory / 2:
            what = f"window times batch.bytes is {_about(needs)}, and this machine has {_about(memory)} of memory"
            yield Problem(f"sinks.{name}.batch.bytes", what, "lower one of the two")


def _unusable(setting: str, named: Path) -> Iterator[Problem]:
    try:
        path = Path(os.path.realpath(named.expanduser()))
        there = _there(path)
        longest = os.pathconf(there, "PC_NAME_MAX")
    except (OSError, RuntimeError) as error:
        words = getattr(error, "strerror", None) or "its user is not there"
        what = f"cannot be reached by uid {os.geteuid()}: {words.lower()}"
        yield Problem(setting, what, "name a file in a folder of this machine")
        return
    new = path.relative_to(there).parts if path != there else ()
    if any(str(path).startswith(f"{root}/") for root in _OF_THE_SYSTEM) and not str(path).startswith(_MEMORY):
        yield Problem(setting, f"{path.parent} is no place for files that stay", "name a file in a folder of its own")
    elif not there.is_dir():
        if new:
            yield Problem(setting, f"{there} is a file, so nothing can lie below it", "name a file in a folder")
        elif not os.access(there, os.W_OK):
            yield Problem(setting, f"{there} cannot be written by uid {os.geteuid()}", f"let uid {os.geteuid()} write")
    elif any(len(os.fsencode(name)) > longest for name in new[:-1]) or (
        new and len(os.fsencode(new[-1])) + _LONGEST_ENDING > longest
    ):
        yield Problem(setting, "its name is too long for the disk", "shorten it")
    elif not os.access(there, os.W_OK | os.X_OK):
        fix = "let the forwarder's user write there, mount it writable, or name another folder"
        yield Problem(setting, f"the folder {there} cannot be written by uid {os.geteuid()}", fix)


def _there(path: Path) -> Path:
    """Return the path, or the nearest above it that is there. Raises OSError."""
    for place in (path, *path.parents):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return place
    return path


def _about(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
