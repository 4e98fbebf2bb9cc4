"""DuckDB, as it is used here: little memory, no network, no file but ours, and no way to change that by a statement.

Values reach it as parameters only. Names of files are made by us, and still never become part of a statement: they are
parameters as well.
"""

from __future__ import annotations

import contextlib
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forwarder.contracts import ConfigError, Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

MEMORY = "256MB"
"""With what Python takes, a question over 10 million events stays below 400 MB."""

THREADS = 2

_LONGEST_REASON = 300


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder of our own for what does not fit into memory, until the end."""
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-investigate-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def connect(folder: Path, *, memory: str = MEMORY, threads: int = THREADS) -> DuckDBPyConnection:
    """Return a connection to a database in memory that spills into a folder. Raises ConfigError without DuckDB.

    Moments are shown in UTC, which is what they are read in; a question that wants another zone says so.
    """
    if find_spec("duckdb") is None:
        raise ConfigError(
            "DuckDB is not installed, which answers questions over the archive; "
            "pip install 'audit-forwarder[investigate]'"
        )
    try:
        import duckdb  # noqa: PLC0415 - an extra, and 60 MB of memory where nobody asks
    except ImportError as error:
        raise ConfigError(
            f"DuckDB cannot be loaded: {error}; give the process more memory, or install it again"
        ) from error
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(folder),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        },
    )
    connection.execute("set TimeZone = 'UTC'")
    return connection


def lock(connection: DuckDBPyConnection, readable: Iterable[Path] = ()) -> None:
    """Let statements reach these files and nothing else from now on, and let none of them change that."""
    connection.execute("set allowed_paths = ?", [[str(path) for path in readable]])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def why(error: BaseException) -> str:
    """Return what an error of DuckDB says, in one line that is not long: it may quote what events hold."""
    return " ".join(str(error).split())[:_LONGEST_REASON]


@contextlib.contextmanager
def explained(*, with_index: bool) -> Iterator[None]:
    """Make Held, which says what to do, of errors for lack of memory or disk, or of a damaged index that is read."""
    import duckdb  # noqa: PLC0415 - an extra

    try:
        yield
    except duckdb.Error as error:
        if with_index and is_damage(error):
            raise Held(
                f"the index cannot be read: {why(error)}.",
                fix="Delete its folder (index/v1 of the archive, or --index DIR) and make it anew with `audit-forwarder"
                " investigate index`; until then the evidence answers. If it fails without an index, too, report it.",
                kind="other",
            ) from error
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
            raise Held(
                f"the question needs more memory or disk than there is: {why(error)}.",
                fix="Ask about less time (--from, --to), or make room in the folder for temporary files (TMPDIR).",
            ) from error
        raise


def is_damage(error: BaseException) -> bool:
    """Tell whether an error of DuckDB is one that a damaged file of an index gives."""
    import duckdb  # noqa: PLC0415 - an extra

    if isinstance(error, duckdb.IOException):
        return ".parquet" in str(error)
    return isinstance(error, duckdb.InvalidInputException) or type(error) is duckdb.Error


class Answer:
    """What a statement gave: names of columns, and rows.

    Attributes:
        columns: Names.
        rows: Tuples, in the order of the statement.
    """

    def __init__(self, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        self.columns = tuple(columns)
        self.rows = rows

    def dicts(self) -> list[dict[str, Any]]:
        """Return the rows by name of the column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def ask(connection: DuckDBPyConnection, statement: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Answer:
    """Run one statement and return all it gives. Tables have moments of UTC, without a zone; values have one."""
    found = connection.execute(statement, _bound(parameters))
    return Answer([column[0] for column in found.description or ()], found.fetchall())


def _bound(parameters: Sequence[Any] | dict[str, Any]) -> Sequence[Any] | dict[str, Any]:
    if isinstance(parameters, dict):
        return {name: _in_utc(value) for name, value in parameters.items()}
    return parameters


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value
