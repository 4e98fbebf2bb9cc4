"""A table that people exported: bytes to cells. Whoever wrote a cell may be hostile; a cell is text and nothing else.

A row that cannot be read is an error of its own, and the next line begins another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from forwarder.contracts.errors import ConfigError

MOST_BYTES = 256 * 2**20
"""An export has 10 000 rows; what is larger is something else."""

_DELIMITERS = ",;\t|"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Table:
    """The names of the columns, and what follows.

    Attributes:
        header: The first line, as it is.
        rows: Number of the line in which a row begins, and its cells, or why it cannot be read.
    """

    header: list[str]
    rows: list[tuple[int, list[str] | str]]


def read_table(data: bytes) -> Table:
    """Read a table whose columns are parted by commas, semicolons, tabs or bars. Raises ConfigError."""
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    line = 1
    named = re.match(r"(?i)sep=(.)\n", text)  # how a spreadsheet is told
    if named is not None:
        text, line = text[named.end() :], 2
    delimiters = named[1] if named is not None else _DELIMITERS
    lines = max((list(_first(text, each, line)) for each in delimiters), key=_columns)
    delimiter = max(delimiters, key=lambda each: _columns(list(_first(text, each, line))))
    if not lines or isinstance(lines[0][1], str) or len(lines[0][1]) < 2:
        raise ConfigError("this is not a table: its first line does not name columns, parted by commas or semicolons")
    header = [name.strip() for name in lines[0][1]]
    rows = _rows(text, delimiter, line)
    next(rows)
    return Table(header, [_fitting(row, len(header)) for row in rows])


def _decoded(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise ConfigError(f"it is larger than {MOST_BYTES} bytes: an export has 10 000 rows")
    try:
        text = data.decode("utf-16" if data[:2] in _UTF_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"it is not UTF-8: line {line} has bytes that no text has there. Save it anew as CSV UTF-8, or take the "
            "file as it was downloaded"
        ) from None
    if "\0" in text:
        raise ConfigError("it has zero bytes: it is not a table of text. Save it anew as CSV UTF-8")
    return text


def _columns(rows: list[tuple[int, list[str] | str]]) -> int:
    return len(rows[0][1]) if rows and not isinstance(rows[0][1], str) else 0


def _first(text: str, delimiter: str, line: int) -> Iterator[tuple[int, list[str] | str]]:
    for row in _rows(text, delimiter, line):
        yield row
        return


def _rows(text: str, delimiter: str, line: int) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the rows that hold something (RFC 4180, and line ends in quotes)."""
    part = re.escape(delimiter)
    cell = re.compile(rf'(?:"((?:[^"]|"")*+)"|([^{part}\n"]*+))({part}|\n|\Z)')
    at = 0
    while at < len(text):
        begin, number, cells = at, line, []
        while True:
            found = cell.match(text, at)
            if found is None:
                end = text.find("\n", at)
                at = len(text) if end < 0 else end + 1
                yield number, "a quote stands where none can be, or is never closed"
                break
            quoted, bare, after = found.groups()
            cells.append(bare if quoted is None else quoted.replace('""', '"'))
            at = found.end()
            if after != delimiter:
                if any(cells):
                    yield number, cells
                break
        line += text.count("\n", begin, at)


def _fitting(row: tuple[int, list[str] | str], columns: int) -> tuple[int, list[str] | str]:
    number, cells = row
    if isinstance(cells, str) or len(cells) == columns:
        return row
    return number, f"it has {len(cells)} cells, and the first line names {columns} columns"
