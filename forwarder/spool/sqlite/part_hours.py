"""The table `part_hours`: how every source and sink was in each of the last 48 hours, a row for each.

It was added without a new version of the tables: an earlier program opens the spool all the same and leaves it alone.
What is lost with it is only what the page shows of the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from forwarder.spool.hours import KEPT, PartHour

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forwarder.spool.sqlite.database import Database

T = TypeVar("T")

_TABLE = """
CREATE TABLE IF NOT EXISTS part_hours (
  kind TEXT NOT NULL, name TEXT NOT NULL, hour INTEGER NOT NULL, state TEXT NOT NULL, lag_seconds REAL NOT NULL,
  PRIMARY KEY (kind, name, hour)
) STRICT, WITHOUT ROWID
"""


class PartHours:
    """Keeps the hours. Runs inside its caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._con = database.con

    def prepare(self) -> None:
        """Make the table in a spool that has none."""
        self._con.execute(_TABLE)

    def keep(self, rows: Sequence[PartHour]) -> None:
        """Write rows, each in place of the one before; what is older than two days goes."""
        self._con.executemany(
            "INSERT OR REPLACE INTO part_hours VALUES (?, ?, ?, ?, ?)",
            [(row.kind, row.name, row.hour, row.state, row.lag_seconds) for row in rows],
        )
        if rows:
            newest = max(row.hour for row in rows)
            self._con.execute("DELETE FROM part_hours WHERE hour <= ? OR hour > ?", (newest - KEPT, newest))

    def all(self) -> list[PartHour]:
        """Return every row, oldest first."""
        found = self._con.execute("SELECT kind, name, hour, state, lag_seconds FROM part_hours ORDER BY hour")
        return [PartHour(*row) for row in found]


class Transaction(Protocol):
    """Runs work in a transaction of the open spool."""

    async def __call__(self, work: Callable[[PartHours], T], /) -> T:
        """Return what the work returns."""


class SqliteHours:
    """The `Hours` contract on SQLite."""

    def __init__(self, run: Transaction) -> None:
        self._run = run

    async def keep(self, rows: Sequence[PartHour]) -> None:
        """Keep rows, each in place of the one before."""
        await self._run(lambda hours: hours.keep(rows))

    async def all(self) -> list[PartHour]:
        """Return every row, oldest first."""
        return await self._run(lambda hours: hours.all())
