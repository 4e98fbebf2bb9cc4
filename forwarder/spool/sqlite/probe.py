"""Whether the spool's place is fit: its folder, its file system, its room in bytes and hours, and its fsync.

Nothing of the spool is touched. What is written to measure fsync is a file without a name, or one that is removed.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.contracts import Finding
from forwarder.contracts.units import duration_text

if TYPE_CHECKING:
    from forwarder.spool.config import SpoolConfig
    from forwarder.spool.contract import SpoolStatus

LEAST_FREE = 64 * 2**20
"""Bytes a disk should have free: the log, the reserve, and a little time to act."""

SLOW_FSYNC = 0.05
"""Seconds. Every page and every settlement waits for one; at this, twenty a second are possible."""

FULL_SPEED = 417 * 150
"""Bytes a second at the API's highest rate, ids included (ADR 4)."""

SHORT_HOURS = 24.0
"""Hours of outage that a spool should hold at least."""

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs", "9p", "afs"}
_TRIES = 7
_LEAST_NAMES, _MANY_NAMES = 16, 1000
"""Inodes: the spool with its companions needs a handful, and others make files too."""

_MOVE_FIX = "Put spool.path on a local disk: a database on a network file system is damaged sooner or later."


def examine(config: SpoolConfig, status: SpoolStatus | None) -> list[Finding]:
    """Return what is found; `status` is the spool's own, when it could be asked. Blocks for some fsyncs."""
    path = config.path.expanduser().resolve()
    try:
        there = next(place for place in path.parents if place.exists())
        usable = os.access(there, os.W_OK | os.X_OK) and there.is_dir()
        found = os.statvfs(there)
    except OSError as error:
        fix = "Let the forwarder's user enter this folder, or name another spool.path."
        return [Finding("folder", ok=False, detail=f"{path.parent}: {error.strerror}", fix=fix)]
    if not usable:
        fix = "Give the folder to the user that runs the forwarder, mount it writable, or name another spool.path."
        return [Finding("folder", ok=False, detail=f"{there} cannot be written by uid {os.geteuid()}", fix=fix)]
    made = "" if there == path.parent else f"; {path.parent} will be made"
    findings = [Finding("folder", ok=True, detail=f"{there} can be written{made}"), _kind(there)]
    findings.append(_disk(config, status, found.f_bavail * found.f_frsize))
    findings += names_left(found.f_files, found.f_favail)
    findings.append(_fsync(there))
    findings.append(_hours(config, status))
    return findings


def _kind(folder: Path) -> Finding:
    kind = file_system(folder, _mounts())
    if kind in _NETWORK:
        return Finding("file system", ok=False, detail=kind, fix=_MOVE_FIX)
    if kind == "tmpfs":
        fix = "Put spool.path on a disk: this is memory, and a restart of the machine loses what was not delivered."
        return Finding("file system", ok=True, detail=kind, fix=fix)
    return Finding("file system", ok=True, detail=kind or "unknown")


def file_system(folder: Path, mounts: str) -> str:
    """Return the type of the file system of a folder, from the text of `/proc/self/mountinfo`."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        if folder.is_relative_to(point) and len(point) >= best:  # of two mounts on one point the later one counts
            best, kind = len(point), right.split(" ")[0]
    return kind


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _disk(config: SpoolConfig, status: SpoolStatus | None, free: int) -> Finding:
    has = status.bytes_file if status is not None else 0
    wanted = max(0, config.max_bytes + config.id_max_bytes - has)
    detail = f"{_mib(free)} free; the spool may still grow by {_mib(wanted)}, ids included"
    if free < LEAST_FREE:
        return Finding("disk", ok=False, detail=detail, fix="Make room on this disk; until then nothing more is read.")
    fix = (
        "" if free >= wanted else "Give it a larger disk, or lower spool.max_bytes so that it is full before the disk."
    )
    return Finding("disk", ok=True, detail=detail, fix=fix)


def names_left(most: int, free: int) -> list[Finding]:
    """Say when the file system can hold few more files, however much room it has; `most` is 0 where there is no limit.

    Args:
        most: Inodes there are.
        free: Inodes left for us.
    """
    if not most or free >= _MANY_NAMES:
        return []
    detail = f"{free} of {most} inodes free: no file can be made however much room there is"
    fix = "Remove files that are not needed from this disk (see `df -i`), or name another spool.path."
    return [Finding("inodes", ok=free >= _LEAST_NAMES, detail=detail, fix=fix)]


def _fsync(folder: Path) -> Finding:
    took = []
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".audit-forwarder-") as file:
            for _ in range(_TRIES):
                file.write(b"x" * 4096)
                file.flush()
                begun = time.monotonic()
                os.fsync(file.fileno())
                took.append(time.monotonic() - begun)
    except OSError as error:
        fix = "Make room on this disk, or mount it writable."
        return Finding("fsync", ok=False, detail=f"cannot be measured: {error.strerror}", fix=fix)
    middle = statistics.median(took)
    detail = f"{middle * 1000:.1f} ms"
    fix = "" if middle < SLOW_FSYNC else "Put spool.path on a faster disk: this bounds how fast the forwarder can read."
    return Finding("fsync", ok=True, detail=detail, fix=fix)


def _hours(config: SpoolConfig, status: SpoolStatus | None) -> Finding:
    """Say how long every sink may be away: at the rate of the last hour, else at the highest the API has."""
    if status is not None and status.hours_left is not None:
        hours, rate = status.hours_left, "the rate of the last hour"
    else:
        used = status.bytes_used if status is not None else 0
        hours, rate = max(0, config.max_bytes - used) / FULL_SPEED / 3600, "the API's highest rate"
    detail = f"full after {_time(hours)} without a sink, at {rate}"
    fix = (
        ""
        if hours >= SHORT_HOURS or rate.startswith("the API")
        else "Raise spool.max_bytes, or fix the sink that waits."
    )
    if not hours:
        fix = "Fix the sink that waits, raise spool.max_bytes, or set the sink's on_full to detach."
        return Finding("room", ok=False, detail="the spool is full", fix=fix)
    return Finding("room", ok=True, detail=detail, fix=fix)


def _time(hours: float) -> str:
    with suppress(OverflowError):
        if hours >= 48:
            return f"{hours / 24:.0f} days"
        if hours >= 1:
            return f"{hours:.0f} hours"
    return duration_text(round(hours * 60) * 60)


def _mib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size // 2**20} MiB"
