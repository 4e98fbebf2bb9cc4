"""Tables of the spool, by version. A version that was released is never edited: the next one is appended.

Invariants: `pages` and `bodies` share `last_seq`; `pages` rows are small, so that scans over them are cheap. The ids
that a page brought are the rows of `ids` numbered first_seq..last_seq, so their order is the order of writing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.spool.contract import SpoolError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION_ID = 0x41_55_46_53
"""Bytes 68..71 of the file; says whose it is."""

VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('next_seq', 1), ('id_bytes', 0), ('uuid', lower(hex(randomblob(16))));
CREATE TABLE sources (
  number INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, name TEXT NOT NULL, feed TEXT NOT NULL,
  organization TEXT NOT NULL, site TEXT NOT NULL, epoch INTEGER NOT NULL, moves INTEGER NOT NULL DEFAULT 0,
  repeats INTEGER NOT NULL DEFAULT 0, revisions INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE spooled (
  source INTEGER NOT NULL, audience TEXT NOT NULL, events INTEGER NOT NULL, PRIMARY KEY (source, audience)
) STRICT, WITHOUT ROWID;
CREATE TABLE cursors (
  source INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE pages (
  last_seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, source INTEGER NOT NULL, audience TEXT NOT NULL,
  bytes INTEGER NOT NULL, committed_ms INTEGER NOT NULL, oldest_minute TEXT NOT NULL, newest_ms INTEGER,
  checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE bodies (
  last_seq INTEGER PRIMARY KEY, keys BLOB NOT NULL, marks BLOB NOT NULL, packed BLOB NOT NULL
) STRICT;
CREATE TABLE ids (
  number INTEGER PRIMARY KEY, source INTEGER NOT NULL, audience TEXT NOT NULL, minute TEXT NOT NULL,
  written_ms INTEGER NOT NULL, entries BLOB NOT NULL
) STRICT;
CREATE INDEX ids_by_minute ON ids (source, audience, minute);
CREATE TABLE lanes (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, target TEXT NOT NULL, position INTEGER NOT NULL,
  head INTEGER NOT NULL, on_full TEXT NOT NULL, seen_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE lane_books (
  lane INTEGER NOT NULL, source INTEGER NOT NULL, spooled_before INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0, filtered INTEGER NOT NULL DEFAULT 0,
  detached INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lane, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE settled (
  lane INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (lane, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE overtaken (
  lane INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, source INTEGER NOT NULL,
  PRIMARY KEY (lane, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE doubts (
  number INTEGER PRIMARY KEY, lane INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  cause TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX doubts_by_lane ON doubts (lane, first);
CREATE TABLE dead_letters (
  number INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, seq INTEGER NOT NULL, source INTEGER NOT NULL,
  document_id TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, at_ms INTEGER NOT NULL, raw BLOB NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_lane ON dead_letters (lane);
CREATE TABLE gaps (
  number INTEGER PRIMARY KEY AUTOINCREMENT, cause TEXT NOT NULL, detail TEXT NOT NULL, source INTEGER, lane TEXT,
  from_ms INTEGER, to_ms INTEGER, first_seq INTEGER, last_seq INTEGER, events INTEGER,
  opened_ms INTEGER NOT NULL, closed_ms INTEGER
) STRICT;
CREATE TABLE horizons (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;
"""

VERSION_2 = """
ALTER TABLE lane_books ADD COLUMN discarded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters RENAME TO dead_letters_1;
DROP INDEX dead_letters_by_lane;
CREATE TABLE dead_letters (
  number INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, seq INTEGER NOT NULL, source INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 0, former INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 1,
  read_ms INTEGER NOT NULL DEFAULT 0, derived INTEGER NOT NULL DEFAULT 0, document_id TEXT NOT NULL,
  reason TEXT NOT NULL, detail TEXT NOT NULL, at_ms INTEGER NOT NULL, raw BLOB NOT NULL
) STRICT;
INSERT INTO dead_letters (number, lane, seq, source, document_id, reason, detail, at_ms, raw, read_ms, former)
  SELECT d.number, d.lane, d.seq, d.source, d.document_id, d.reason, d.detail, d.at_ms, d.raw,
    coalesce((SELECT CASE WHEN first_seq <= d.seq THEN committed_ms END FROM pages WHERE last_seq >= d.seq
      ORDER BY last_seq LIMIT 1), 0),
    row_number() OVER (PARTITION BY d.lane, d.source ORDER BY d.number DESC) > coalesce(b.rejected, 0)
  FROM dead_letters_1 d LEFT JOIN lane_books b ON b.lane = d.lane AND b.source = d.source ORDER BY d.number;
DELETE FROM sqlite_sequence WHERE name = 'dead_letters';
UPDATE sqlite_sequence SET name = 'dead_letters' WHERE name = 'dead_letters_1';
DROP TABLE dead_letters_1;
CREATE INDEX dead_letters_by_lane ON dead_letters (lane);
CREATE INDEX dead_letters_retried ON dead_letters (lane, state, seq) WHERE state > 0;
CREATE TABLE discards (
  number INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
  chosen TEXT NOT NULL, events INTEGER NOT NULL, letters BLOB NOT NULL
) STRICT;
"""
"""Dead letters can be retried and discarded. `raw` comes last, so that a scan reads no event. Letters beyond the books'
count of rejected ones are of a time when the lane had another target (`former`): its books began anew then."""

VERSION_3 = """
ALTER TABLE pages ADD COLUMN reader TEXT NOT NULL DEFAULT '';
ALTER TABLE pages ADD COLUMN days TEXT NOT NULL DEFAULT '';
ALTER TABLE lanes ADD COLUMN paused TEXT NOT NULL DEFAULT '';
ALTER TABLE lanes ADD COLUMN forgotten_ms INTEGER;
ALTER TABLE overtaken ADD COLUMN day TEXT NOT NULL DEFAULT '';
ALTER TABLE gaps ADD COLUMN fetching_ms INTEGER;
ALTER TABLE gaps ADD COLUMN closed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE gaps ADD COLUMN lost_ms INTEGER;
ALTER TABLE gaps ADD COLUMN why TEXT NOT NULL DEFAULT '';
INSERT INTO meta VALUES ('ids_gone_ms', 0);
ALTER TABLE spooled RENAME TO spooled_2;
CREATE TABLE spooled (
  source INTEGER NOT NULL, audience TEXT NOT NULL, day TEXT NOT NULL, events INTEGER NOT NULL,
  recovered INTEGER NOT NULL DEFAULT 0, compared INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (source, audience, day)
) STRICT, WITHOUT ROWID;
INSERT INTO spooled (source, audience, day, events) SELECT source, audience, '', events FROM spooled_2;
DROP TABLE spooled_2;
ALTER TABLE lane_books RENAME TO lane_books_2;
CREATE TABLE lane_books (
  lane INTEGER NOT NULL, source INTEGER NOT NULL, day TEXT NOT NULL, spooled_before INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0, filtered INTEGER NOT NULL DEFAULT 0,
  detached INTEGER NOT NULL DEFAULT 0, discarded INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lane, source, day)
) STRICT, WITHOUT ROWID;
INSERT INTO lane_books (lane, source, day, spooled_before, accepted, rejected, filtered, detached, discarded)
  SELECT lane, source, '', spooled_before, accepted, rejected, filtered, detached, discarded FROM lane_books_2;
DROP TABLE lane_books_2;
ALTER TABLE dead_letters RENAME TO dead_letters_2;
DROP INDEX dead_letters_by_lane;
DROP INDEX dead_letters_retried;
CREATE TABLE dead_letters (
  number INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, seq INTEGER NOT NULL, source INTEGER NOT NULL,
  day TEXT NOT NULL DEFAULT '', reader TEXT NOT NULL DEFAULT '',
  state INTEGER NOT NULL DEFAULT 0, former INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 1,
  read_ms INTEGER NOT NULL DEFAULT 0, derived INTEGER NOT NULL DEFAULT 0, document_id TEXT NOT NULL,
  reason TEXT NOT NULL, detail TEXT NOT NULL, at_ms INTEGER NOT NULL, raw BLOB NOT NULL
) STRICT;
INSERT INTO dead_letters (number, lane, seq, source, state, former, tries, read_ms, derived, document_id, reason,
    detail, at_ms, raw)
  SELECT number, lane, seq, source, state, former, tries, read_ms, derived, document_id, reason, detail, at_ms, raw
  FROM dead_letters_2 ORDER BY number;
DELETE FROM sqlite_sequence WHERE name = 'dead_letters';
UPDATE sqlite_sequence SET name = 'dead_letters' WHERE name = 'dead_letters_2';
DROP TABLE dead_letters_2;
CREATE INDEX dead_letters_by_lane ON dead_letters (lane);
CREATE INDEX dead_letters_retried ON dead_letters (lane, state, seq) WHERE state > 0;
CREATE TABLE replays (
  number INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL UNIQUE, first INTEGER NOT NULL,
  last INTEGER NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, chosen TEXT NOT NULL,
  who TEXT NOT NULL, whole_since_ms INTEGER, opened_ms INTEGER NOT NULL, closed_ms INTEGER,
  ended_by TEXT NOT NULL DEFAULT ''
) STRICT;
ALTER TABLE sources ADD COLUMN classified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN user_activity INTEGER NOT NULL DEFAULT 0;
CREATE TABLE hours (
  source INTEGER NOT NULL, hour INTEGER NOT NULL, events INTEGER NOT NULL, PRIMARY KEY (source, hour)
) STRICT, WITHOUT ROWID;
"""
"""The books are kept by day, and a page names its reader. What was counted before has the empty day."""

MIGRATIONS: tuple[str, ...] = (VERSION_1, VERSION_2, VERSION_3)
"""Entry n brings version n to n + 1; a new file runs them all. `user_version` is the number of entries that ran."""


def version_of(con: sqlite3.Connection) -> int:
    """Return the version of the tables."""
    return int(con.execute("PRAGMA user_version").fetchone()[0])


def migrate(con: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the tables to the newest version, each step in a transaction of its own.

    Raises SpoolError when the file comes from a newer version of the program.
    """
    version = version_of(con)
    if version > len(migrations):
        raise SpoolError(
            f"The spool {path} has version {version}, this program knows up to {len(migrations)}. "
            "Run the newer version of the program, or name another spool.path."
        )
    for number, step in enumerate(migrations[version:], start=version + 1):
        # executescript would commit what is open, so the transaction is part of the script
        con.executescript(
            f"BEGIN IMMEDIATE;\n{step}\nPRAGMA application_id = {APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )
