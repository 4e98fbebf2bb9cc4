"""What `doctor` sees in the log folder of one node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from forwarder.contracts import Finding, Retryable, plain

if TYPE_CHECKING:
    from forwarder.sources.datacenter.files import Folder, LogFile

_QUIET = 86_400
"""Seconds after which a node that writes nothing is worth a look: a new file begins each day."""


def examine(folder: Folder, now: float) -> list[Finding]:
    """Say whether a folder is there, may be read, holds log files, and when anything was written last.

    Args:
        folder: Where to look.
        now: Epoch seconds.
    """
    subject = f"log of {folder.node}"
    try:
        listing = folder.list()
    except Retryable as error:
        return [Finding(subject, ok=False, detail=str(error), fix=error.fix)]
    findings = []
    if listing.others:
        names = plain(", ".join(listing.others[:3]), 120)
        fix = "Name the folder that a link leads to as a node; unpack what is packed otherwise than with gzip."
        detail = f"not read, because they are links or of another kind: {names}"
        if len(listing.others) > 3:
            detail += f" and {len(listing.others) - 3} more"
        findings.append(Finding(subject, ok=True, detail=detail, fix=fix))
    if not listing.files:
        detail = f"there is no file such as 20260131-00000.audit.log in {folder.path}"
        fix = (
            "Name the folder log/audit in the local home of the node, not in the shared one; see that it is mounted, "
            "and that writing the log to files is not switched off in the product."
        )
        return [*findings, Finding(subject, ok=False, detail=detail, fix=fix)]
    refused = [(file, reason) for file in listing.files if (reason := _refusal(folder, file))]
    if refused:
        file, reason = refused[0]
        detail = f"{len(refused)} of {len(listing.files)} files cannot be read, such as {file.name}: {reason}"
        user = f"u:{os.getuid()}:rX"
        fix = "Let the user of the daemon read these files and those to come: "
        fix += f"setfacl -R -m {user} -m d:{user} {folder.path}"
        findings.append(Finding(subject, ok=False, detail=detail, fix=fix))
    newest = max(listing.files, key=lambda file: file.changed_ns)
    age = now - newest.changed_ns / 10**9
    count = len(listing.files)
    detail = f"{count} {'file' if count == 1 else 'files'}; the newest is {newest.name}, written {_ago(age)}"
    fix = "See whether the node runs, and whether this is its folder." if age > _QUIET else ""
    return [*findings, Finding(subject, ok=True, detail=detail, fix=fix)]


def _refusal(folder: Folder, file: LogFile) -> str:
    """Return why a file cannot be read, or nothing."""
    try:
        descriptor = folder.open(file)
        if descriptor is not None:
            os.close(descriptor)
    except Retryable as error:
        return str(error.__cause__.strerror if isinstance(error.__cause__, OSError) else error)
    return ""


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"
