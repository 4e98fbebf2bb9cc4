"""Makes the index of an archive's closed days: its rows are as many as the events of the evidence, or it is not made.

A day is closed an hour after its end: the archive stores in the hour in which it stores, never in an earlier one. When
a month is closed and all its days are there, they become one part, sorted by account anew: a question opens twelve
files a year instead of 365. A closed month of which nothing is there, and which is not large, is made at once. What no
longer fits the evidence, or was made by another version, is made anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from forwarder.archive import layout
from forwarder.investigate import duck, hours, names
from forwarder.investigate.columns import AS_STORED, IS_PLAIN_VIEW, STORED
from forwarder.investigate.intact import AGAIN
from forwarder.investigate.loading import NotWhole, derive, joined, load_rows, sort_rows
from forwarder.investigate.parts import (
    ACTS,
    FILES,
    HOURS,
    NAMES,
    OBJECTS,
    OTHERS,
    VIEWS,
    Days,
    Index,
    Part,
    day_name,
    month_name,
    new_part,
)
from forwarder.investigate.reading import VERIFY, ArchiveReader, listed
from forwarder.investigate.rows import RowReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from forwarder.archive.digest import Entry
    from forwarder.archive.evidence import EvidenceObject
    from forwarder.catalogue import Catalogue
    from forwarder.investigate.columns import Row

GRACE = timedelta(hours=1)
"""After the end of a day, until nothing can be stored in it any more."""

MONTH = 16 * 2**20
"""Bytes of the objects of a month that is made at once, about 130 000 events: their rows fit into the memory."""

FEW = 10_000
"""Rows that are joined with what they share once, into a table: of few, a statement with all joins costs more than
its rows."""

ROW_GROUPS = {NAMES: 8_000}
ROW_GROUP = 60_000
"""Rows that are skipped together when their accounts and times, or kinds of names, do not fit a question."""


def written(file: str) -> str:
    """Return how a file is written.

    Bloom filters, of the columns that have a dictionary, are a byte an event in small months, and skip nothing of an
    account or page that is in every group of rows.
    """
    rows = ROW_GROUPS.get(file, ROW_GROUP)
    return f"format parquet, compression zstd, compression_level 6, row_group_size {rows}, write_bloom_filter false"


_ORDER = 'order by who, "@timestamp", "evidence.object", "evidence.line"'
_ORDERS = {
    VIEWS: _ORDER,
    ACTS: _ORDER,
    OTHERS: _ORDER,
    NAMES: 'order by entity, folded, id, kind, "value", feed',
    OBJECTS: 'order by "name"',
    HOURS: "order by user_id, hour, ip, country, token_id, app_id",
}


Evidence = Mapping[date, Mapping[str, "list[EvidenceObject]"]]
"""The objects of each source, by the day on which they were stored."""


class Built(msgspec.Struct):
    """What was done.

    Attributes:
        made: Parts, by name, and the rows of each.
        removed: Parts that no longer fitted.
        damaged: Parts that were not as they had been written; they are removed, but under a question.
        failed: Parts that could not be made, and why; questions read the evidence of their days.
        rows: In all parts, now.
    """

    made: dict[str, int] = {}
    removed: list[str] = []
    damaged: list[str] = []
    failed: dict[str, str] = {}
    rows: int = 0


class Builder:
    """Brings an index up to date.

    Args:
        reader: Of the archive.
        index: Where.
        memory: Of DuckDB, such as `400MB`.
        catalogue: What actions mean; default: the catalogue of the package.
        progress: Is given the name of the part that is being made and the number of its rows so far.
    """

    def __init__(
        self,
        reader: ArchiveReader,
        index: Index,
        *,
        memory: str = duck.MEMORY,
        catalogue: Catalogue | None = None,
        progress: Callable[[str, int], None] = lambda _name, _rows: None,
    ) -> None:
        self._reader = reader
        self._index = index
        self._memory = memory
        self._rows = RowReader(catalogue)
        self._progress = progress

    def update(self, now: datetime | None = None) -> Built:
        """Make what is missing. Raises Held while another process writes, ConfigError without DuckDB, Retryable."""
        now = now or datetime.now(UTC)
        built = Built()
        with (
            self._index.writing() as unfinished,
            duck.connect(unfinished, memory=self._memory, threads=1) as connection,
        ):
            objects = {
                day: {source: self._reader.objects(source, day) for source in sources}
                for day, sources in self._reader.days().items()
                if is_closed(day, now)
            }
            held = self._keep_what_fits(_said(objects), built)
            making = _Making(self._reader, self._index, self._rows, self._progress, connection, unfinished)
            for name, month in itertools.groupby(objects, key=month_name):
                found = {day: objects[day] for day in month}
                closed = is_closed(_last_of(min(found)), now)
                if closed and held.isdisjoint(found) and _size(found) <= MONTH:
                    _try(name, built, partial(making.of_evidence, name, found))
                    if built.failed.pop(name, None) is None:
                        continue
                for day, sources in found.items():
                    if day not in held:
                        _try(day_name(day), built, partial(making.of_evidence, day_name(day), {day: sources}))
                if closed:
                    self._join(name, list(found), built, making)
            built.rows = sum(part.rows for part in self._index.parts().values())
        return built

    def _keep_what_fits(self, days: Days, built: Built) -> set[date]:
        """Remove parts that the evidence does not agree with any more; return the days of the others."""
        held: set[date] = set()
        parts, outdated = self._index.parts(), []
        built.damaged += self._index.damaged(parts, older_than=AGAIN)
        for path in sorted(self._index.folder.glob("*=*/")):
            part = parts.get(path.name)
            is_whole = part is not None and path.name not in built.damaged and part.is_current
            if part is None or not is_whole or any(days.get(day) != said for day, said in part.days.items()):
                outdated.append(path.name)
            else:
                held.update(part.days)
        built.removed += self._index.remove(outdated)
        if outdated and not built.removed:
            built.failed |= dict.fromkeys(
                outdated, "It is out of date or damaged, and a question reads it; build it again later."
            )
            held.update(day for name in outdated if name in parts for day in parts[name].days)
        return held

    def _join(self, name: str, month: list[date], built: Built, making: _Making) -> None:
        """Make one part of the days of a month that is closed, when all of them are there."""
        parts = self._index.parts()
        days = [day_name(day) for day in month]
        if all(one in parts for one in days):
            _try(name, built, partial(making.of_days, name, {one: parts[one] for one in days}))
            if name in built.made:
                self._index.remove(days)


def _try(name: str, built: Built, make: Callable[[], Part]) -> None:
    from duckdb import Error  # noqa: PLC0415 - an extra

    try:
        built.made[name] = make().rows
    except NotWhole as error:
        built.failed[name] = str(error)
    except Error as error:  # too little memory, a full disk
        built.failed[name] = f"DuckDB cannot make it: {duck.why(error)}"
    except OSError as error:
        built.failed[name] = f"It cannot be written: {error.strerror}; make room, or name another folder with --index."


@dataclass(frozen=True)
class _Making:
    """What parts are made with."""

    reader: ArchiveReader
    index: Index
    rows: RowReader
    progress: Callable[[str, int], None]
    connection: DuckDBPyConnection
    unfinished: Path

    def of_evidence(self, name: str, days: Evidence) -> Part:
        """Make the part of a day, or of some. Raises NotWhole."""
        connection = self.connection
        objects = [one for sources in days.values() for found in sources.values() for one in found]
        there = {one.name for one in objects}
        entries: dict[str, Entry] = {}
        for day in days:
            entries |= self.reader.digested(day)
        missing = [entry for entry in entries if entry not in there and _day_of(entry) in days]
        if missing:
            raise NotWhole(f"{len(missing)} objects that digests name are missing, as {missing[0]}.", fix=VERIFY)

        def rows() -> Iterator[Row]:
            for one in self.reader.in_turn(objects):
                yield from self.reader.rows(self.rows, one, entries.get(one.name))

        count = load_rows(
            connection, rows(), self.rows.repeated, self.unfinished, lambda done: self.progress(name, done)
        )
        sort_rows(connection)
        [(problems,)] = connection.execute(f"select count(problem) from {joined(['what'])}").fetchall()
        derive(connection, self.unfinished, settled=count < FEW)
        hashes = {one: entries[one].sha256 for one in there if one in entries}
        values = [list(hashes), list(hashes.values())]
        connection.execute("insert into objects select unnest(?), unnest(?)", values)
        part = new_part(_said(days), count, problems, self._sums("hours"))
        tables = {
            VIEWS: f"select {STORED} from kept where {IS_PLAIN_VIEW}",  # these three are sorted, as all rows are
            ACTS: f"select {STORED} from acts_kept",
            OTHERS: f"select {STORED} from others",
            NAMES: f"select {names.STORED} from names {_ORDERS[NAMES]}",
            HOURS: f"select {hours.STORED} from hours {_ORDERS[HOURS]}",
            OBJECTS: f"select * from objects {_ORDERS[OBJECTS]}",
        }
        self._write(name, part, tables)
        return part

    def of_days(self, name: str, parts: Mapping[str, Part]) -> Part:
        """Make the part of a month of those of its days. Raises NotWhole."""
        self.progress(name, 0)
        days: Days = {}
        for one in parts.values():
            days |= one.days
        tables = {}
        for file in FILES:
            view = f"stored_{file.partition('.')[0]}"
            self.connection.read_parquet([str(path) for path in self.index.files(parts, file)]).create_view(
                view, replace=True
            )
            tables[file] = f"{_MERGED.get(file, f'select * replace ({AS_STORED}) from {view}')} {_ORDERS[file]}"
        rows, problems = sum(one.rows for one in parts.values()), sum(one.problems for one in parts.values())
        part = new_part(days, rows, problems, self._sums("stored_hours"))
        self._write(name, part, tables)
        return part

    def _sums(self, table: str) -> hours.Sums:
        [found] = self.connection.execute(hours.sums_of(table)).fetchall()
        return hours.Sums(*found)

    def _write(self, name: str, part: Part, tables: Mapping[str, str]) -> None:
        """Write the files of a part, of a select each. Raises NotWhole when there is another number of rows in it."""
        made = self.unfinished / name
        made.mkdir()
        for file, statement in tables.items():
            self.connection.execute(f"copy ({statement}) to ? ({written(file)})", [str(made / file)])
        asked = "select sum(num_rows)::bigint from parquet_file_metadata(?)"
        [(found,)] = self.connection.execute(asked, [[str(made / file) for file in (VIEWS, ACTS, OTHERS)]]).fetchall()
        if found != part.rows:
            raise NotWhole(f"{name} has {found} rows instead of {part.rows}.", fix="Build it again.")
        self.index.publish(made, name, part)


_MERGED = {
    NAMES: f"select {names.STORED} from (select {names.MERGED} from stored_names group by all)",
    HOURS: hours.OF_PARTS,
    OBJECTS: "select * from stored_objects",
}


def is_closed(day: date, now: datetime) -> bool:
    """Tell whether nothing is stored in a day any more."""
    return now >= datetime.combine(day + timedelta(days=1), time(), UTC) + GRACE


def _said(days: Evidence) -> Days:
    return {day: {source: listed(found) for source, found in sources.items()} for day, sources in days.items()}


def _size(days: Evidence) -> int:
    return sum(one.size for sources in days.values() for found in sources.values() for one in found)


def _last_of(day: date) -> date:
    """Return the last day of a day's month."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _day_of(name: str) -> date | None:
    said = layout.parse_evidence(name)
    return said.hour.date() if said is not None else None
