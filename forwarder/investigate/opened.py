"""What is asked, opened: tables, and the evidence that they are made of with its hashes."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forwarder.contracts import Held
from forwarder.investigate.questions.answer import Archive
from forwarder.investigate.result import Evidence, EvidenceObject
from forwarder.investigate.without_index import tables_of_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

_NO_PROOF = "files, not an archive: nothing proves that they are whole and unchanged"


@contextmanager
def open_files(files: Sequence[Path], progress: Callable[[str], None]) -> Iterator[Archive]:
    """Open files of events, as a `file` sink writes them. Raises Held for one that cannot be read."""
    objects = [EvidenceObject(_text(file.name), _sha256(file)) for file in files]
    with tables_of_files(files, progress=lambda rows: progress(f"{rows} events")) as tables:
        yield Archive(tables, evidence_of("files of events", _NO_PROOF, objects))


def evidence_of(kind: str, proof: str, objects: Iterable[EvidenceObject]) -> Evidence:
    """Return evidence with the hash of its list."""
    listed = tuple(sorted(objects, key=lambda one: one.name))
    lines = "".join(f"{one.sha256}  {one.name}\n" for one in listed)
    sha256 = hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
    return Evidence(kind, listed, sha256, proof=proof)


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        fix = "Let the user of this command read it, or restore it."
        raise Held(f"{file} cannot be read: {error}.", fix=fix, kind="other") from error
