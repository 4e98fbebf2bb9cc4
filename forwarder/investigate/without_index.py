"""The same tables without an index: made in memory, and on disk where that is not enough, from lines as they stand.

That is evidence of the archive, or what a `file` sink wrote: events as the API sent them (format `raw`), or ECS.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forwarder.contracts import Held
from forwarder.investigate import duck
from forwarder.investigate.columns import Line, Place
from forwarder.investigate.loading import derive, load_rows
from forwarder.investigate.rows import RowReader
from forwarder.investigate.tables import Tables
from forwarder.net.json_size import LONGEST_EVENT

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import IO

    from forwarder.catalogue import Catalogue
    from forwarder.investigate.columns import Row

LONGEST_LINE = 4 * LONGEST_EVENT
"""Bytes of a line that is looked at; what is longer is a row that says so."""

_OPENS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": zstd.open}
_BOM = b"\xef\xbb\xbf"
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)


def tables_of_rows(
    rows: Callable[[RowReader], Iterable[Row]],
    *,
    memory: str = duck.MEMORY,
    catalogue: Catalogue | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Tables:
    """Return tables of what `rows` makes with a reader.

    Raises ConfigError without DuckDB, Held, or what `rows` raises; then nothing stays behind.
    """
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(duck.scratch())
        connection = stack.enter_context(duck.connect(scratch, memory=memory))
        reader = RowReader(catalogue)
        with duck.explained(with_index=False):
            load_rows(connection, rows(reader), reader.repeated, scratch, progress)
            derive(connection, scratch)
        return Tables(connection, opened=stack.pop_all())


def tables_of_files(
    files: Sequence[Path],
    *,
    memory: str = duck.MEMORY,
    catalogue: Catalogue | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Tables:
    """Return tables of files of NDJSON, also packed ones: .gz, .bz2, .xz, .zst.

    Raises ConfigError without DuckDB, and Held for a file that cannot be read.
    """

    def rows(reader: RowReader) -> Iterator[Row]:
        for file in files:
            yield from reader.read(lines_of(file), Place("", file.name))

    return tables_of_rows(rows, memory=memory, catalogue=catalogue, progress=progress)


def lines_of(file: Path) -> Iterator[Line]:
    """Yield what stands on the lines of a file, with their numbers; of one that is too long, a part. Raises Held."""
    try:
        with _opened(file) as stream:
            yield from _lines(stream)
    except _DAMAGE as error:
        fix = "Let the user of this command read it, or restore it."
        raise Held(f"{file} cannot be read: {error}.", fix=fix, kind="other") from error


def _lines(stream: IO[bytes]) -> Iterator[Line]:
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_LINE)
        line = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if line:
            yield Line(number, line)


def _opened(file: Path) -> IO[bytes]:
    opens = _OPENS.get(file.suffix)
    found: IO[bytes] = file.open("rb") if opens is None else opens(file)
    return found
