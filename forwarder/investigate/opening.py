"""Tables over an archive: the index answers for the days it holds, and of all others the evidence is read.

So answers are whole without an index, with half of one, and with one that is a day old; it only saves time. What cannot
be read is a row of `problems`.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from forwarder.investigate import duck, hours, names
from forwarder.investigate.columns import IS_PLAIN_VIEW, RESTORED, Place
from forwarder.investigate.loading import IS_EVENT, NotWhole, derive, load_rows
from forwarder.investigate.parts import ACTS, FILES, HOURS, NAMES, OBJECTS, OTHERS, VIEWS
from forwarder.investigate.tables import MadeOf, Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from forwarder.archive.evidence import EvidenceObject
    from forwarder.catalogue import Catalogue
    from forwarder.investigate.columns import Row
    from forwarder.investigate.parts import Index, Part
    from forwarder.investigate.reading import ArchiveReader
    from forwarder.investigate.rows import RowReader

BEFORE = timedelta(days=1)
"""How much earlier than they happened events may have been stored: by clocks that are wrong."""


def open_tables(
    reader: ArchiveReader,
    index: Index | None = None,
    *,
    since: datetime | None = None,
    memory: str = duck.MEMORY,
    catalogue: Catalogue | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Tables:
    """Return tables of an archive.

    Args:
        reader: Of the archive; used until this returns.
        index: Of it, if there is one.
        since: Evidence that was stored before is not read: no event that happened from then on is in it. There is no
            such bound at the end, for events come late. What the index holds is in the tables anyway.
        memory: Of DuckDB.
        catalogue: What actions mean; default: the catalogue of the package.
        progress: Is given the number of rows that were made of evidence so far.

    Raises ConfigError without DuckDB, Held for a damaged index, Held and Retryable when the archive cannot be reached.
    """
    with contextlib.ExitStack() as stack:
        if index is not None:
            stack.enter_context(index.reading())
        days = reader.days()
        parts = {name: part for name, part in (index.parts() if index else {}).items() if _fits(part, days)}
        damaged = index.damaged(parts) if index else []
        parts = {name: part for name, part in parts.items() if name not in damaged}
        indexed = {day for part in parts.values() for day in part.days}
        earliest = (since - BEFORE).astimezone(UTC).date() if since is not None else date.min
        rest = {day: sources for day, sources in days.items() if day not in indexed and day >= earliest}
        objects = [one for day, sources in rest.items() for source in sources for one in reader.objects(source, day)]
        scratch = stack.enter_context(duck.scratch())
        connection = stack.enter_context(duck.connect(scratch, memory=memory))
        with duck.explained(with_index=bool(parts)):
            if objects or not parts:
                from forwarder.investigate.rows import RowReader  # noqa: PLC0415 -- normalisers, which an index needs not

                rows = RowReader(catalogue)
                load_rows(connection, _rows(reader, objects, rows), rows.repeated, scratch, progress)
                derive(connection, scratch)
            files = _unite(connection, index, parts, with_rest=bool(objects)) if parts and index else []
        made_of = MadeOf(tuple(parts), tuple(rest), len(objects), tuple(damaged))
        return Tables(connection, files, made_of, stack.pop_all())


def _fits(part: Part, days: Mapping[date, list[str]]) -> bool:
    """Tell whether a part is of days and sources that are still there; whether of all their objects, `update` looks."""
    return all(set(days.get(day, ())) == set(sources) for day, sources in part.days.items())


def _rows(reader: ArchiveReader, objects: list[EvidenceObject], rows: RowReader) -> Iterator[Row]:
    for found in reader.in_turn(objects):
        try:
            yield from reader.rows(rows, found)
        except NotWhole as error:
            stored = int(found.said.hour.timestamp() * 1000)
            place = Place(found.said.source, found.name)
            yield rows.problem(error.reason, place, stored)


def _unite(connection: DuckDBPyConnection, index: Index, parts: Mapping[str, Part], *, with_rest: bool) -> list[Path]:
    """Make every table of the parts and, if there is a rest, of what was read; return the files that they read."""
    if with_rest:
        connection.execute("drop view acts_kept; drop view kept; drop view problems; drop view others")
        connection.execute("drop view sightings; drop view held")
        connection.execute("alter table settled rename to rest; alter table names rename to rest_names")
        connection.execute("drop view sums; alter table hours rename to rest_hours; drop table objects")
    connection.execute("set parquet_metadata_cache = true")  # a question reads each file dozens of times
    opened = {file: index.files(parts, file) for file in FILES}
    faulty = [name for name, part in parts.items() if part.problems] or list(parts)[:1]
    for view, files in (
        ("stored_kept", opened[VIEWS] + opened[ACTS]),
        ("stored_problems", index.files(faulty, OTHERS)),
        *((f"stored_{file.partition('.')[0]}", opened[file]) for file in (ACTS, OTHERS, NAMES, HOURS, OBJECTS)),
    ):
        paths = [str(path) for path in files]
        connection.read_parquet(paths, filename=view == "stored_hours").create_view(view)
    for view, columns, stored, rest in (
        ("kept", RESTORED, "stored_kept", f"rest where {IS_EVENT}"),
        ("acts_kept", RESTORED, "stored_acts", f"rest where {IS_EVENT} and not {IS_PLAIN_VIEW}"),
        ("others", RESTORED, "stored_others", f"rest where {IS_EVENT} is not true"),
        ("problems", RESTORED, "stored_problems where problem is not null", "rest where problem is not null"),
        ("sightings", names.RESTORED, "stored_names", "rest_names"),
        ("hours", hours.RESTORED, "stored_hours", "rest_hours"),
    ):
        more = f" union all by name select * from {rest}" if with_rest else ""
        connection.execute(f"create view {view} as select {columns} from {stored}{more}")
    columns = ", ".join(f'unnest(?)::bigint "{name}"' for name in hours.Sums._fields)
    sums = zip(*(part.sums for part in parts.values()), strict=True)
    connection.execute(f"create table stored_sums as select unnest(?) part, {columns}", [list(parts), *map(list, sums)])
    rest = f" union all select '', * from ({hours.sums_of('rest_hours')})" if with_rest else ""
    connection.execute(f"create view sums as select * from stored_sums{rest}")
    connection.execute("create view held as select * from kept union all by name select * from others")
    connection.execute(f"create view names as select {names.MERGED} from sightings group by all")
    connection.execute("create view objects as select * from stored_objects")
    return [path for paths in opened.values() for path in paths]
