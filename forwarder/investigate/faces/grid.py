"""A part of an answer as people read it: columns that belong together in one, moments in the zone of the question.

The terminal and the page show the same grid. A cell keeps its text apart from what it is, so that a page can isolate
what events wrote.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from forwarder.investigate.faces.words import said
from forwarder.investigate.moments import DASH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from forwarder.investigate.moments import Clock
    from forwarder.investigate.result import Candidate, Cell, Part

NOTHING = DASH
_EMPTY = frozenset({NOTHING, ""})


class Title(NamedTuple):
    """A column for people: its title, and whether it holds numbers."""

    text: str
    number: bool = False


class Grid(NamedTuple):
    """Titles, and as many texts a row."""

    titles: list[Title]
    rows: list[list[str]]


def grid(
    part: Part, clock: Clock, *, subject: Collection[str] = (), ids: bool = False, most: int | None = None
) -> Grid:
    """Return a part for people; columns in which no row of the part has anything are left out.

    Args:
        part: Of a result.
        clock: Writes its moments.
        subject: Accounts that the question is about: one is not repeated in each row.
        ids: Whether the ids of events are shown.
        most: How many rows are written, from the first on; default: all.
    """
    names = {column.name for column in part.columns}
    writers: list[tuple[Title, Callable[[Mapping[str, Cell]], str]]] = []
    for column in part.columns:
        name, title = column.name, column.title
        if (name in _SWALLOWED and _SWALLOWED[name] & names) or (column.kind == "ids" and not ids):
            continue
        if name == "start" and "end" in names:
            writers.append((Title(_SPANS.get(title, title)), lambda row: _span(row, clock)))
        elif name == "act" and "outcome" in names:
            writers.append((Title("what"), lambda row: said(_text(row["act"]), _text(row["outcome"]))))
        elif name == "name" and "account" in names:
            writers.append((Title("who"), lambda row: _who(row, subject)))
        elif name == "ip" and "country" in names:
            writers.append((Title("from"), _place))
        else:
            writers.append((Title(title, column.kind == "number"), _writer(name, column.kind, clock)))
    rows = (dict(zip((column.name for column in part.columns), row, strict=True)) for row in part.rows)
    shown = [[write(row) for _, write in writers] for row in islice(rows, most)]
    empty = {
        at for at, (title, _) in enumerate(writers) if not title.number and all(row[at] in _EMPTY for row in shown)
    }
    for row in rows:
        if not empty:
            break
        empty = {at for at in empty if writers[at][1](row) in _EMPTY}
    kept = [at for at in range(len(writers)) if at not in empty]
    return Grid([writers[at][0] for at in kept], [[row[at] for at in kept] for row in shown])


_SPANS = {"start": "when", "first": "first and last"}
_SWALLOWED = {
    "end": {"start"},
    "outcome": {"act"},
    "account": {"name"},
    "country": {"ip"},
    "city": {"ip"},
}
"""Columns that stand in the cell of another one, where that is there."""


def _writer(name: str, kind: str, clock: Clock) -> Callable[[Mapping[str, Cell]], str]:
    def write(row: Mapping[str, Cell]) -> str:
        value = row[name]
        if value is None or value in (0, []):
            return NOTHING
        if kind == "time" and isinstance(value, int):
            return clock.full(value)
        if isinstance(value, list):
            return ", ".join(value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    return write


def _text(value: Cell) -> str | None:
    return value if isinstance(value, str) else None


def _span(row: Mapping[str, Cell], clock: Clock) -> str:
    start, end = row["start"], row["end"]
    if not isinstance(start, int) or not isinstance(end, int):
        return NOTHING
    return clock.span(start, end)


def _who(row: Mapping[str, Cell], subject: Collection[str]) -> str:
    name, account = row["name"], row["account"]
    if account in subject and len(subject) == 1:
        return NOTHING
    if name is None or name == account:
        return str(account) if account is not None else "no one named"
    return f"{name} ({account})"


def _place(row: Mapping[str, Cell]) -> str:
    found = [str(row[name]) for name in ("ip", "city", "country") if row.get(name) is not None]
    return ", ".join(found) or NOTHING


def candidate_row(one: Candidate, clock: Clock) -> list[str]:
    """Return what is shown of one of several, on a page and on a terminal."""
    first, last = (NOTHING if ms is None else clock.day(ms) for ms in (one.first_ms, one.last_ms))
    return [one.name or NOTHING, one.address or NOTHING, one.id, first, last, str(one.events)]
