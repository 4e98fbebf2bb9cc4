"""Rows into tables of DuckDB, a file at a time, counted on both sides.

Rows are handed over as JSON, many on a line, with a list for each column: nearly all are numbers. What they have the
numbers of comes as JSON as well, one on a line.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Held
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.investigate import hours, names
from forwarder.investigate.columns import COLUMNS, GROUPS, IS_PLAIN_VIEW, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from forwarder.investigate.columns import Column
    from forwarder.investigate.repeated import Repeated

FILE = 16 * 2**20
"""Bytes of JSON that are handed over at once."""

BLOCK = 1024
"""Rows that are one line of JSON."""

_SAID = 16 * BLOCK
"""Rows until it is said how many there are."""

_LINE = 16 * 2**20
"""Bytes of a line that DuckDB takes unless it is told more; its buffers are a multiple of that."""

_OWN = [column for column in COLUMNS if column.of is None]
_SHARED = [column for column in COLUMNS if column.of is not None]


def _read(column: Column, value: str) -> str:
    return f'{f"make_timestamp({value} * 1000)" if column.type == "TIMESTAMP" else value} as "{column.name}"'


_KEYS = [field.encode_name for field in msgspec.structs.fields(Row)]
_NUMBERS = [f"{field}_" for field in GROUPS]
_ROW_TYPES = dict.fromkeys(GROUPS, "INTEGER") | {column.key: column.json for column in _OWN}
_ROWS = ", ".join(
    (*(f'unnest("{field}") "{field}_"' for field in GROUPS), *(_read(one, f'unnest("{one.key}")') for one in _OWN))
)
_REPEATED = ", ".join(('"number"', '"of"', *(_read(one, f'"{one.key}"') for one in _SHARED)))
_REPEATED_TYPES = {"number": "INTEGER", "of": "VARCHAR"} | {column.key: column.json for column in _SHARED}


def joined(fields: Iterable[str], rows: str = "rows") -> str:
    """Return rows with what they share of some groups; every row has `what`, by which many are left out early."""
    joins = ""
    for field in fields:
        of = GROUPS[field].__name__
        columns = ", ".join(f'"{column.name}"' for column in _SHARED if column.of == of)
        kind = "join" if field == "what" else "left join"
        joins += f""" {kind} (select "number", {columns} from repeated where "of" = '{of}') "{field}"
          on "{field}_" = "{field}"."number\""""
    return f"{rows}{joins}"


_HELD = f"""select {", ".join(f'"{column.name}"' for column in COLUMNS)} from {joined(GROUPS)}"""

_STRANGE = f"""select (select coalesce(greatest({", ".join(f"max({one})" for one in _NUMBERS)}), 0) from rows)
  <= ? and (select count(distinct "number") = ? and coalesce(max("number"), 0) = ? from repeated)"""


class NotWhole(Held):
    """A row would be missing, or one too many: evidence is not what it should be, or not every line became a row."""


def load_rows(
    connection: DuckDBPyConnection,
    rows: Iterable[Row],
    repeated: Repeated,
    scratch: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Make `held` of rows; return how many they are. Raises NotWhole when it has not as many.

    Args:
        connection: Not locked.
        rows: They.
        repeated: What they have the numbers of; nothing of it is known any more after this.
        scratch: A folder for one file at a time.
        progress: Is given the number of rows so far.
    """
    for table in ("rows", "repeated", "settled"):
        connection.execute(f"drop table if exists {table}")
    connection.execute(_table("rows", _ROWS, {name: f"{kind}[]" for name, kind in _ROW_TYPES.items()}))
    connection.execute(_table("repeated", _REPEATED, _REPEATED_TYPES))
    try:
        with _transaction(connection):
            count = 0
            for part in _parts(_blocks(rows, progress), repeated):
                added = sum(number for number, _ in part)
                _load(connection, _INTO_ROWS, [line for _, line in part], added, scratch)
                _load(connection, _INTO_REPEATED, lines := repeated.take(), len(lines), scratch)
                count += added
        last = repeated.last
    finally:
        repeated.clear()
    [(whole,)] = connection.execute(_STRANGE, [last, last, last]).fetchall()
    if not whole:
        raise NotWhole("Rows have numbers that stand for nothing.", fix="Report it.", kind="other")
    connection.execute(f"create or replace view held as {_HELD}")
    return count


def sort_rows(connection: DuckDBPyConnection) -> None:
    """Sort rows as an index has them; of rows of numbers that is a tenth of what it is of all columns."""
    order = f'who, "@timestamp", place_, "{_OWN[-1].name}"'
    connection.execute(f"create table sorted as select rows.* from {joined(['by'])} order by {order}")
    connection.execute("drop table rows; alter table sorted rename to rows")


IS_EVENT = f"(problem is null and \"event.provider\" <> '{HEARTBEAT}')"
"""Of a row of `held`: it is an event of an audit log, neither a line that is none nor a heartbeat of ours."""


def derive(connection: DuckDBPyConnection, scratch: Path, *, settled: bool = True) -> None:
    """Make of `held` its events, `kept` (some are `acts_kept`), all else, `others` and `problems`, `names`, `hours`.

    The table `objects` is made empty: of evidence that no index holds, hashes are found when they are needed.

    Args:
        connection: With what `load_rows` made.
        scratch: A folder for one file at a time.
        settled: Whether `held` becomes a view of a table, `settled`: to join it anew is cheaper where it is large and
            asked once.
    """
    connection.execute(f"create or replace table hours as {hours.of_events(_events(joined(hours.GROUPS)))}")
    connection.execute(f"create or replace view sums as select '' part, * from ({hours.sums_of('hours')})")
    _load_names(connection, scratch)
    if settled:
        connection.execute("create table settled as from held")
        connection.execute("create or replace view held as from settled; drop table rows; drop table repeated")
    connection.execute(f"create or replace view kept as select * from held where {IS_EVENT}")
    connection.execute(f"create or replace view acts_kept as select * from kept where not {IS_PLAIN_VIEW}")
    connection.execute(f"create or replace view others as select * from held where {IS_EVENT} is not true")
    connection.execute("create or replace view problems as select * from others where problem is not null")
    connection.execute('create or replace table objects ("name" VARCHAR, sha256 VARCHAR)')


def _events(rows: str) -> str:
    return f"(select * from {rows} where {IS_EVENT})"


def _load_names(connection: DuckDBPyConnection, scratch: Path) -> None:
    seen = names.seen({field: _events(joined(("what", field), _together(field))) for field in names.GROUPS})
    connection.execute(f"create or replace table seen as {seen}")
    connection.execute(f"create or replace table folds as {names.FOLDS}")
    into = _into("folds", "*", {"value": "VARCHAR", "folded": "VARCHAR"})
    with _transaction(connection):
        for part in _parts((1, row) for row in names.folded_rows(connection)):
            _load(connection, into, [line for _, line in part], len(part), scratch)
    columns = ", ".join(f'"{name}"' for name in names.COLUMNS)
    connection.execute(f'create or replace table names as select {columns} from seen join folds using ("value")')
    connection.execute("drop table seen; drop table folds; create or replace view sightings as select * from names")


def _together(field: str) -> str:
    """Return rows with the same number as one: names are those of what they share."""
    return f"""(select what_, {field}_, min("@timestamp") "first", max("@timestamp") "last", count(*) events
      from rows where {field}_ is not null group by all)"""


def _table(name: str, select: str, types: Mapping[str, str]) -> str:
    """Return how an empty table is made, of what is selected of JSON."""
    columns = ", ".join(f'null::{kind} as "{one}"' for one, kind in types.items())
    return f"create table {name} as select {select} from (select {columns}) limit 0"


def _into(table: str, select: str, types: Mapping[str, str]) -> str:
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    source = f"read_json(?, format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = ?)"
    return f"insert into {table} select {select} from {source}"


_INTO_ROWS = _into("rows", _ROWS, {name: f"{kind}[]" for name, kind in _ROW_TYPES.items()})
_INTO_REPEATED = _into("repeated", _REPEATED, _REPEATED_TYPES)


def _load(connection: DuckDBPyConnection, into: str, lines: list[bytes], count: int, scratch: Path) -> None:
    """Add what lines of JSON hold to a table. Raises NotWhole when not all of it arrives."""
    if not lines:
        return
    file = scratch / "rows.ndjson"
    try:
        file.write_bytes(b"\n".join(lines) + b"\n")
    except OSError as error:
        fix = "Make room there; for temporary files, TMPDIR names another folder."
        raise Held(f"{scratch} cannot be written: {error.strerror}.", fix=fix, kind="other") from error
    try:
        [(done,)] = connection.execute(into, [str(file), max(_LINE, max(map(len, lines)) + 1)]).fetchall()
    finally:
        file.unlink()
    if done != count:
        raise NotWhole(
            f"Of {count} rows, {done} arrived in the table.",
            fix="Report it with the version of DuckDB.",
            kind="other",
        )


def _blocks(rows: Iterable[Row], progress: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """Yield how many rows a line of JSON has, and it."""
    encode, astuple = msgspec.json.Encoder().encode, msgspec.structs.astuple
    coming, count = iter(rows), 0
    while block := list(map(astuple, itertools.islice(coming, BLOCK))):
        yield len(block), encode(dict(zip(_KEYS, zip(*block, strict=True), strict=True)))
        count += len(block)
        if not count % _SAID:
            progress(count)


def _parts(blocks: Iterable[tuple[int, bytes]], repeated: Repeated | None = None) -> Iterator[list[tuple[int, bytes]]]:
    """Yield blocks as lists that are a file each, before they or what they share is more."""
    part: list[tuple[int, bytes]] = []
    size = 0
    for block in blocks:
        part.append(block)
        size += len(block[1])
        if size >= FILE or (repeated is not None and repeated.size >= FILE):
            yield part
            part, size = [], 0
    yield part


@contextlib.contextmanager
def _transaction(connection: DuckDBPyConnection) -> Iterator[None]:
    """Do all of it, or nothing: with a transaction for each file, DuckDB takes half as long again."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
