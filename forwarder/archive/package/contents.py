"""What is in a package: its names, its manifest, and the place of each line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

MANIFEST, SIGNATURE, SIGNER = "MANIFEST", "MANIFEST.sig", "signer.pem"
README, SCRIPTS = "README.txt", ("verify_package.py", "verify_archive.py")
REPORT, RESULT, TABLE = "report.html", "result.json", "result.csv"
EVENTS, PLACES, ARCHIVE = "events.ndjson", "places.ndjson", "archive/"

_NAME = re.compile(r"[A-Za-z0-9_%=.-]+(?:/[A-Za-z0-9_%=.-]+)*", re.ASCII)
_ENTRY = re.compile(r"([0-9a-f]{64})  (\S+)", re.ASCII)

KINDS = {
    "file_missing": "a file of the package is missing",
    "file_changed": "a file of the package has other bytes than it had",
    "file_foreign": "a file was not packed with the others",
    "manifest_wrong": "the list of files is not signed by the key that is in the package",
    "signer_unknown": "the package is signed with another key than the one that you know",
    "line_wrong": "a line is not what stands at its place in the evidence",
}
"""Findings of a package besides those of an archive; `verify_package.py` has the same."""


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"name": "object"}):
    """Where a line of the package stands.

    Attributes:
        name: The object, as it is named in the archive (`object` in JSON).
        line: From 1.
        sha256: Of the line, without a line end.
        id: Of the event, where it has one.
    """

    name: str
    line: int
    sha256: str
    id: str = ""


def is_safe(name: str) -> bool:
    """Tell whether a name is one of ours: parts of plain letters, none of which leads out of a folder."""
    return _NAME.fullmatch(name) is not None and not {".", ".."} & set(name.split("/"))


def manifest_of(hashes: Mapping[str, str]) -> bytes:
    """Return the list of files with their SHA-256, as `sha256sum --check` reads it."""
    return "".join(f"{found}  {name}\n" for name, found in sorted(hashes.items())).encode()


def read_manifest(data: bytes) -> dict[str, str]:
    """Return SHA-256 by name. Raises ValueError for anything that `manifest_of` does not write."""
    found: dict[str, str] = {}
    for line in data.decode("ascii").splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry is None or not is_safe(entry[2]):
            raise ValueError(f"{line[:100]!r} is no line of a manifest")
        found[entry[2]] = entry[1]
    if manifest_of(found) != data:
        raise ValueError("it is not in order")
    return found


def read_places(lines: Iterable[bytes]) -> list[Place]:
    """Return the places of lines. Raises ValueError."""
    try:
        return [msgspec.json.decode(line, type=Place) for line in lines]
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
