"""Rows as JSON into a table of DuckDB, a file at a time, counted on both sides."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from forwarder.contracts import Held
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.investigate import names
from forwarder.investigate.columns import COLUMNS, IS_PLAIN_VIEW
from forwarder.investigate.hours import make_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

FILE = 16 * 2**20
"""Bytes of JSON that are handed over at once."""

_LINE = 16 * 2**20
"""Bytes of a line that DuckDB takes unless it is told more; its buffers are a multiple of that."""

_HELD = ", ".join(f'"{column.name}" {column.type}' for column in COLUMNS)
_FROM_JSON = ", ".join(
    f'make_timestamptz("{column.key}" * 1000)' if column.type == "TIMESTAMPTZ" else f'"{column.key}"'
    for column in COLUMNS
)


class NotWhole(Held):
    """A row would be missing, or one too many: evidence is not what it should be, or not every line became a row."""


def load_rows(
    connection: DuckDBPyConnection,
    lines: Iterable[bytes],
    scratch: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Make the table `held` of rows as JSON; return how many they are. Raises NotWhole when it has not as many.

    Args:
        connection: Not locked.
        lines: Rows.
        scratch: A folder for one file at a time.
        progress: Is given the number of rows so far.
    """
    connection.execute(f"create or replace table held ({_HELD})")
    types = {column.key: column.json for column in COLUMNS}
    return _load(connection, "held", f"select {_FROM_JSON}", types, lines, scratch / "rows.ndjson", progress)


IS_EVENT = f"(problem is null and \"event.provider\" <> '{HEARTBEAT}')"
"""Of a row of `held`: it is an event of an audit log, neither a line that is none nor a heartbeat of ours."""


def derive(connection: DuckDBPyConnection, scratch: Path) -> None:
    """Make of the table `held` its events, `kept` (some are `acts_kept`), all else, `others`, and `names` and `hours`.

    The table `objects` is made empty: of evidence that no index holds, hashes are found when they are needed.
    """
    connection.execute(f"create or replace view kept as select * from held where {IS_EVENT}")
    connection.execute(f"create or replace view acts_kept as select * from kept where not {IS_PLAIN_VIEW}")
    connection.execute(f"create or replace view others as select * from held where {IS_EVENT} is not true")
    connection.execute('create or replace table objects ("name" VARCHAR, sha256 VARCHAR)')
    make_hours(connection)
    _load_names(connection, scratch)


def _load_names(connection: DuckDBPyConnection, scratch: Path) -> None:
    connection.execute(f"create or replace table seen as {names.SEEN}")
    connection.execute(f"create or replace table folds as {names.FOLDS}")
    types = {"value": "VARCHAR", "folded": "VARCHAR"}
    rows = names.folded_rows(connection)
    _load(connection, "folds", "select *", types, rows, scratch / "names.ndjson", lambda _: None)
    columns = ", ".join(f'"{name}"' for name in names.COLUMNS)
    connection.execute(f'create or replace table names as select {columns} from seen join folds using ("value")')
    connection.execute("drop table seen; drop table folds; create or replace view sightings as select * from names")


def _load(
    connection: DuckDBPyConnection,
    table: str,
    select: str,
    types: Mapping[str, str],
    lines: Iterable[bytes],
    file: Path,
    progress: Callable[[int], None],
) -> int:
    statement = (
        f"insert into {table} {select} from read_json(?, format = 'newline_delimited', columns = $columns, "
        "maximum_object_size = ?)"
    )
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    statement = statement.replace("$columns", f"{{{columns}}}")
    written = 0

    def hand_over(part: list[bytes]) -> None:
        if not part:
            return
        file.write_bytes(b"\n".join(part) + b"\n")
        try:
            longest = max(map(len, part)) + 1
            [(done,)] = connection.execute(statement, [str(file), max(_LINE, longest)]).fetchall()
        finally:
            file.unlink()
        if done != len(part):
            raise NotWhole(
                f"Of {len(part)} rows, {done} arrived in the table.",
                fix="Report it with the version of DuckDB.",
                kind="other",
            )

    part: list[bytes] = []
    size = 0
    with _transaction(connection):
        for line in lines:
            part.append(line)
            size += len(line) + 1
            if size >= FILE:
                hand_over(part)
                written += len(part)
                part, size = [], 0
                progress(written)
        hand_over(part)
    return written + len(part)


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
