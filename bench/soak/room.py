"""What the ids take in the file of a spool that no daemon holds, page by page.

A running daemon holds its file alone (`PRAGMA locking_mode = EXCLUSIVE`), so this is known only after its end.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

OF_IDS = ("ids", "ids_by_minute")


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that the ids count for, and bytes of the pages that they and SQLite's map of those pages take."""

    counted: int
    taken: int

    @property
    def more(self) -> float:
        """What each counted byte takes beside itself."""
        return (self.taken - self.counted) / self.counted if self.counted else 0.0


def room_of_ids(spool: Path) -> Room | None:
    """Return what the ids take; None where SQLite was built without `dbstat` (sqlite.org/dbstat.html).

    It is what the pages in use hold beside every other table, so it is the ids' share of the daemon's own figure.
    """
    with closing(sqlite3.connect(spool)) as con:
        page, pages, free = (
            con.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        try:
            sizes = dict(con.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"))
        except sqlite3.OperationalError:
            return None
        counted = con.execute("SELECT value FROM meta WHERE name = 'id_bytes'").fetchone()[0]
    return Room(counted, (pages - free) * page - sum(size for name, size in sizes.items() if name not in OF_IDS))
