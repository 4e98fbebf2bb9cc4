"""`import` of a table that people exported: what came by the API is recognised, the rest becomes events.

Rows have no ids. A row is an event that came when time, actor and action agree, one event for one row. Where that
cannot be told, because an action is put in other words or what came has left the spool, the row is left out and named.
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.exports import Asked, Came, source_of
from forwarder.admin.imports import Begun, Part
from forwarder.cli.commands.event_import import EventImport, say
from forwarder.cli.commands.exported_columns import Columns, HowToRead, Unreadable
from forwarder.cli.commands.exported_table import Table, read_table
from forwarder.cli.daemon_client import connect, sources_of
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.export import ExportedRow, SeenEvent
from forwarder.contracts.moments import utc

if TYPE_CHECKING:
    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings
    from forwarder.exit_codes import ExitCode

MOST_ROWS = 20_000
"""An export has 10 000 at most; more would be too many minutes for one question to the daemon."""


@dataclass(frozen=True)
class ExportChoice:
    """What the options said.

    Attributes:
        again: Also rows of which it cannot be told whether they came.
    """

    file: Path
    source: str
    how: HowToRead
    again: bool = False


def import_export(invocation: Invocation, choice: ExportChoice) -> ExitCode:
    """Import a table. Returns UNEXPECTED when rows were left out."""

    async def run(settings: Settings) -> ExitCode:
        source = source_of(sources_of(settings), choice.source)
        table = _table(choice.file)
        columns = Columns(table.header, choice.how)
        say(f"columns: {columns}")
        say("see that this is so: the names of the columns of this export are documented nowhere")
        async with connect(settings) as found:
            await found.ask("import.begin", Part(choice.source), Begun)  # is anything taken for it?
            done = EventImport(found, choice.source, "", 0)
            rows = _rows(table, columns, choice.file.name, done)
            came = await _came(found, choice.source, rows)
            new = came.sort_out(rows, done, again=choice.again)
            _warn_of_the_api(new, came, getattr(source, "retention_ms", None))
            for row in new:
                await done.add(f"line {row.line}", source.event_of(row), lambda: 0)
            await done.hand_in()
        return done.finish()

    return asyncio.run(run(invocation.settings()))


def _table(file: Path) -> Table:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    try:
        return read_table(data)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _rows(table: Table, columns: Columns, file: str, done: EventImport) -> list[ExportedRow]:
    """Return what can be read, in the order of time; equal rows are numbered."""
    if len(table.rows) > MOST_ROWS:
        raise ConfigError(f"{file}: {len(table.rows)} rows; an export has 10 000 at most: divide it into files")
    rows, reasons = [], Counter[str]()
    copies: Counter[tuple[tuple[str, str], ...]] = Counter()
    latest = (time.time() + 86_400) * 1000
    for line, cells in table.rows:
        try:
            row = columns.read(cells, file, line, latest)
        except Unreadable as error:
            done.leave_out(f"line {line}", str(error))
            reasons[str(error)] += 1
            continue
        copies[row.cells] += 1
        rows.append(msgspec.structs.replace(row, copy=copies[row.cells]))
    if not rows and reasons:
        raise ConfigError(f"{file}: no row can be read; most often: {reasons.most_common(1)[0][0]}")
    return sorted(rows, key=lambda row: (row.time_ms, row.line))


class CameByApi:
    """What came, and which rows are among it.

    Args:
        events: That happened in the minutes of the rows.
        held: How many events of each day were looked at. spooled: How many ever came.
    """

    def __init__(self, events: list[SeenEvent], held: dict[str, int], spooled: dict[str, int]) -> None:
        self.spooled = spooled
        self._gone = {day for day, count in spooled.items() if count > held.get(day, 0)}
        self._events = sorted(events, key=lambda event: event.time_ms)
        self._times = [event.time_ms for event in self._events]
        self._taken: set[int] = set()

    def sort_out(self, rows: list[ExportedRow], done: EventImport, *, again: bool) -> list[ExportedRow]:
        """Count the rows that came, name those of which it cannot be told, and return the others."""
        left: list[ExportedRow] = []
        for row in rows:
            near = [at for at in self._near(row) if at not in self._taken and agree(row, self._events[at])]
            if near:
                self._taken.add(min(near, key=lambda at: abs(self._times[at] - row.time_ms)))
                done.known += 1
            else:
                left.append(row)
        if again:
            return left
        new: list[ExportedRow] = []
        for row in left:
            if reason := self._doubt(row):
                done.leave_out(f"line {row.line}", reason)
            else:
                new.append(row)
        return new

    def _doubt(self, row: ExportedRow) -> str:
        """Return why it cannot be told whether a row came, or nothing."""
        day = day_of(row)
        if day in self._gone:
            return f"events of {day} came by the API and have left the spool: it cannot be told whether this is one"
        for at in self._near(row):
            if at not in self._taken and agree(row, self._events[at]) is None:
                action = self._events[at].actions[0]
                return f"{action[:60]!r} came of that moment, and it cannot be told whether this is the same"
        return ""

    def _near(self, row: ExportedRow) -> range:
        begin = bisect_left(self._times, row.time_ms - row.step_ms + 1)
        return range(begin, bisect_left(self._times, row.time_ms + row.step_ms, lo=begin))


def agree(row: ExportedRow, event: SeenEvent) -> bool | None:
    """Tell whether a row and an event of its moment are the same; None when that cannot be told."""
    who, what = _same_actor(row.actor, event.actor), _same_action(row, event)
    if who is False or what is False:
        return False
    return True if who and what else None


def _same_actor(said: tuple[str, str, str], came: tuple[str, str, str]) -> bool | None:
    same = [
        one.casefold() == other.casefold() if one and other else None for one, other in zip(said, came, strict=True)
    ]
    ident, name, email = same
    if True in same or not (any(said) or any(came)):
        return True
    del name  # people change theirs, and a product has several: another one proves nothing
    return False if False in (ident, email) else None


def _same_action(row: ExportedRow, event: SeenEvent) -> bool | None:
    ident, *words = event.actions
    said = [text for text in (row.action, row.message) if text]
    if any(_plain(one) == _plain(other) for one in said for other in (ident, *words) if other):
        return True
    # an id is written with low lines; words may be other words for the same
    return False if "_" in row.action and " " not in row.action else None


def _plain(text: str) -> str:
    return "".join(letter for letter in text[:300].casefold() if letter.isalnum())


def day_of(row: ExportedRow) -> str:
    """Return the day of a row, UTC."""
    moment = utc(row.time_ms / 1000)
    return "" if moment is None else moment.date().isoformat()


async def _came(found: VerbClient, source: str, rows: list[ExportedRow]) -> CameByApi:
    """Ask what came in the minutes of the rows."""
    steps = ((row.time_ms, step) for row in rows for step in (-row.step_ms, 0, row.step_ms))
    minutes = sorted({(time_ms + step) // 60_000 for time_ms, step in steps})
    events: list[SeenEvent] = []
    held: defaultdict[str, int] = defaultdict(int)
    spooled: dict[str, int] = {}
    after: int | None = 0
    while after is not None:
        part = await found.ask("import.came", Asked(source, minutes, after), Came)
        events += part.events
        spooled |= part.spooled
        for day, count in part.held.items():
            held[day] += count
        after = part.after
    return CameByApi(events, held, spooled)


def _warn_of_the_api(new: list[ExportedRow], came: CameByApi, retention_ms: int | None) -> None:
    if retention_ms is None:
        return
    since = time.time() * 1000 - retention_ms
    days = sorted({day_of(row) for row in new if row.time_ms > since and not came.spooled.get(day_of(row))})
    if days:
        say(
            f"of {days[0]} to {days[-1]} nothing has come by the API, which still keeps these days: whoever reads them "
            "later, by `audit-forwarder backfill`, gets these events a second time. Better is a backfill before this"
        )
