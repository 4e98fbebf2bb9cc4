"""How parts were by the hour: kept over restarts, two days of it, in a file that an earlier program still opens."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from forwarder.spool.config import SpoolConfig
from forwarder.spool.hours import KEPT, PartHour
from forwarder.spool.sqlite import schema
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 497_222


def row(hour: int = HOUR, state: str = "held", lag: float = 7.5, name: str = "splunk") -> PartHour:
    return PartHour("sink", name, hour, state, lag)


@contextlib.asynccontextmanager
async def opened(path: Path):
    spool = SqliteSpool(SpoolConfig(path=path), FakeClock())
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


async def test_they_are_there_after_a_restart_and_a_later_row_takes_the_place_of_its_hour(tmp_path: Path) -> None:
    async with opened(tmp_path / "spool.db") as spool:
        await spool.hours.keep([row(HOUR - 1), row(), row(name="elastic")])
        await spool.hours.keep([row(state="retrying", lag=9.0)])
    async with opened(tmp_path / "spool.db") as spool:
        assert await spool.hours.all() == [row(HOUR - 1), row(name="elastic"), row(state="retrying", lag=9.0)]


async def test_two_days_are_kept_and_hours_of_a_clock_that_ran_ahead_are_not(tmp_path: Path) -> None:
    async with opened(tmp_path / "spool.db") as spool:
        for hour in (HOUR + 1000, *range(HOUR - 60, HOUR + 1)):
            await spool.hours.keep([row(hour)])
        assert [each.hour for each in await spool.hours.all()] == list(range(HOUR - KEPT + 1, HOUR + 1))
        await spool.hours.keep([])


async def test_a_spool_without_the_table_gets_it_and_its_version_stays_one_that_an_earlier_program_knows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "spool.db"
    async with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as con:  # as the released program left it
        con.execute("DROP TABLE part_hours")
        assert schema.version_of(con) == len(schema.MIGRATIONS) == 3
        con.commit()
    async with opened(path) as spool:
        assert await spool.hours.all() == []
        await spool.hours.keep([row()])
        assert await spool.hours.all() == [row()]
    with contextlib.closing(sqlite3.connect(path)) as con:
        assert schema.version_of(con) == 3
