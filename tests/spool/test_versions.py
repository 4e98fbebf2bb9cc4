"""A spool of every version there was opens, goes on where it was, and delivers what waits; a newer one is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite.restore import restore
from forwarder.spool.sqlite.schema import MIGRATIONS, migrate
from tests.daemon.engine import engine, file_sink, lines_of
from tests.spool.spools import body_of, names, opened

FOLDER = Path(__file__).parent
VERSIONS = range(1, len(MIGRATIONS) + 1)

WAITS = {
    1: [body_of("a1"), body_of("a2"), body_of("a1", "revised"), body_of("b0")],
    2: [body_of("a1")],  # a dead letter on its way again
    3: [body_of("a1"), body_of("a3"), body_of("a1", "revised"), body_of("b0")],
}
"""What waits for `elastic` in the spool of each version."""


def old_spool(path: Path, version: int) -> Path:
    """Write a spool as a program of that version left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("PRAGMA auto_vacuum = INCREMENTAL")
        con.executescript((FOLDER / f"spool_version_{version}.sql").read_text())
        con.execute("PRAGMA journal_mode = WAL")
    return path


def tables(con: sqlite3.Connection) -> dict[str, list[tuple[str, str, int]]]:
    """Return the columns of every table and index: name, type, whether it may be null."""
    found = con.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name").fetchall()
    return {name: [row[1:4] for row in con.execute(f"SELECT * FROM pragma_table_xinfo('{name}')")] for (name,) in found}


def test_there_is_one_of_each_version() -> None:
    kept = sorted(path.name for path in FOLDER.glob("spool_version_*.sql"))
    assert kept == [f"spool_version_{version}.sql" for version in VERSIONS], "keep a spool of the new version"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_that_was_written_is_never_edited(tmp_path: Path, version: int) -> None:
    path = old_spool(tmp_path / "spool.db", version)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        migrate(new, path, MIGRATIONS[:version])
        assert tables(new).items() <= tables(old).items()  # what is made when it is needed has no version


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_knows_its_ids_its_cursor_and_its_books(tmp_path: Path, version: int) -> None:
    old_spool(tmp_path / "spool.db", version)
    async with opened(tmp_path) as harness:
        before = await harness.spool.status()
        if version != 2:  # of that one no cursor was kept
            assert harness.source.cursors["tail"].state == {"next": "cursor-1"}
        assert (await harness.put(*names("a", 3))).repeats == 3
        assert (await harness.put("never-seen-before")).new == 1
        assert set((await harness.balances()).values()) == {0}
        assert (await harness.spool.status()).last_seq == before.last_seq + 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_daemon_delivers_what_waits_in_it(tmp_path: Path, version: int) -> None:
    old_spool(tmp_path / "spool.db", version)
    out = tmp_path / "out"
    away = {
        "type": "organization",
        "org_id": "org-1",
        "api_key": "planted-secret-value",
        "base_url": "http://127.0.0.1:9",
    }
    async with engine(tmp_path, {"acme": away}, {"elastic": file_sink(out, start="continue")}) as e:
        await e.until(lambda: len(lines_of(out)) >= len(WAITS[version]))
        await e.until_settled("elastic")
        assert sorted(lines_of(out)) == sorted(WAITS[version])
        assert all(line.balance == 0 for line in (await e.daemon.report()).books)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_backup_of_it_can_be_restored(tmp_path: Path, version: int) -> None:
    old_spool(tmp_path / "old.db", version)
    restore(tmp_path / "old.db", SpoolConfig(path=tmp_path / "spool.db"), replace=False)
    async with opened(tmp_path) as harness:
        assert [gap.cause for gap in (await harness.spool.status()).gaps if gap.cause == "restored"]
        assert (await harness.put(*names("a", 3))).repeats == 3


async def test_a_newer_one_is_refused_in_words_and_left_as_it_is(tmp_path: Path) -> None:
    path = old_spool(tmp_path / "spool.db", VERSIONS[-1])
    with closing(sqlite3.connect(path)) as con:
        con.execute("PRAGMA user_version = 99")
        con.execute("PRAGMA journal_mode = DELETE")
    before = path.read_bytes()
    with pytest.raises(SpoolError, match=r"version 99.*newer version of the program"):
        async with opened(tmp_path):
            pass
    with closing(sqlite3.connect(path)) as con:
        assert con.execute("PRAGMA user_version").fetchone() == (99,)
    assert len(before) == path.stat().st_size
