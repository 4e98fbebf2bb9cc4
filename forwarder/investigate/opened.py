"""What is asked, opened: tables, and where the evidence of an answer is found with its hashes."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forwarder.contracts import ConfigError, Held
from forwarder.investigate.local_copy import index_folder, near
from forwarder.investigate.opening import open_tables
from forwarder.investigate.parts import Index
from forwarder.investigate.proving import Proving
from forwarder.investigate.questions.answer import Archive
from forwarder.investigate.reading import ArchiveReader
from forwarder.investigate.result import FILES, Evidence, EvidenceGap, EvidenceObject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from forwarder.archive.stores import Store
    from forwarder.investigate.tables import Tables

_NO_PROOF = "files, not an archive: nothing proves that they are whole and unchanged"
_REPEATED = 'select count("event.id") - count(distinct ("event.provider", "event.id")) from events'
_HOUR_MS = 3_600_000


@contextmanager
def open_files(files: Sequence[Path], progress: Callable[[str], None]) -> Iterator[Archive]:
    """Open files of events, as a `file` sink writes them. Raises Held for one that cannot be read."""
    from forwarder.investigate.without_index import tables_of_files  # noqa: PLC0415 -- normalisers come with it

    objects = tuple(EvidenceObject(_text(file.name), _sha256(file)) for file in sorted(files, key=lambda one: one.name))
    with tables_of_files(files, progress=lambda rows: progress(f"{rows} events")) as tables:
        [(repeated,)] = tables.ask(_REPEATED).rows
        found = Evidence(FILES, objects=objects, proof=_NO_PROOF, repeated=repeated)
        yield Archive(tables, found)


@contextmanager
def open_archive(
    store: Store, index: Path | None, progress: Callable[[str], None], known_keys: Collection[str] = ()
) -> Iterator[Archive]:
    """Open an archive, with its index for the days that it holds; of a bucket, with a copy of what was read before.

    All of it, whatever time is asked about: what is new, or more than usual, is so against what was before.

    Args:
        store: Where the archive lies.
        index: Folder of its index; default: in the folder of the archive, or beside the copy.
        progress: Is told what is being done.
        known_keys: Ids of keys that are configured for it.

    Raises ConfigError where there is no archive, Held and Retryable where it cannot be reached.
    """
    with ArchiveReader(near(store)) as reader:
        if not reader.days():
            raise ConfigError(f"{reader.place} is no archive, or an empty one: it holds no evidence")
        read = open_tables(
            reader,
            Index(index or index_folder(store.place)),
            progress=lambda rows: progress(f"{rows} events of what has no index"),
        )
        with read as tables:
            found = Evidence(
                f"archive in {_text(reader.place)}", gaps=_gaps(tables), damaged_index=tables.made_of.damaged
            )
            yield Archive(tables, found, Proving(reader, tables.made_of, known_keys), reader=reader)


def _gaps(tables: Tables) -> tuple[EvidenceGap, ...]:
    """Return the objects that could not be read: what they held is in no answer."""
    rows = tables.ask(
        'select epoch_ms("@timestamp"), problem from problems where "evidence.line" = 0 order by 1, 2'
    ).rows
    return tuple(EvidenceGap(start, start + _HOUR_MS, f"stored in this hour: {problem}") for start, problem in rows)


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        fix = "Let the user of this command read it, or restore it."
        raise Held(f"{file} cannot be read: {error}.", fix=fix, kind="other") from error
