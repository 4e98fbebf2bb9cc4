"""The tables that questions are asked of, whatever they were made from; every question is one SQL for all of them.

::

    events   the columns of `forwarder.investigate.columns`, and `touched`
    acts     those of them that are not views of a page or issue that they name: a quarter
    names    every name of somebody or something, with first and last sight (`forwarder.investigate.names`)
    sightings
             the same, with several rows of one name: each part of an index has its own
    people   those of people: account, kind, value, folded, feed, first, last, events
    touches  events once more for each of whom and what they touch, which is `touched_kind`, `touched` (its id, else its
             key or name) and `touched_name`; to search here is a hundred times as fast as in the lists of `events`
    hours    what every account did in each hour, in numbers (`forwarder.investigate.hours`)
    sums     what the hours of each part of an index add up to
    objects  SHA-256 of the objects of evidence that an index was made of
    problems lines that are no event
    heartbeats
             what the forwarder said of itself, which is no event of an audit log

Addresses of content stand in `names` only.

Names of columns hold dots, so they are quoted: `select "user.id" from events`. `touched` lists whom and what an event
names, as (kind, id, key, name): whom it was done to, groups, roles, content, where it lies, apps, and everything
besides the first of each kind.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from copy import copy
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.investigate import duck

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from duckdb import DuckDBPyConnection

    from forwarder.investigate.duck import Answer


def _named(kind: str, ident: str, key: str, name: str) -> str:
    return (
        f"if(coalesce({ident}, {key}, {name}) is null, [], "
        f"[struct_pack(kind := {kind}, id := {ident}, key := {key}, name := {name})])"
    )


def _columns(prefix: str) -> tuple[str, str, str, str]:
    return f'"{prefix}.kind"', f'"{prefix}.id"', f'"{prefix}.key"', f'"{prefix}.name"'


_NOTHING = "null::varchar"
_TOUCHED = " || ".join(
    (
        _named("'user'", '"user.target.id"', '"user.target.email"', '"user.target.full_name"'),
        _named("'group'", '"group.id"', _NOTHING, '"group.name"'),
        _named(*_columns("atlassian.audit.content")),
        _named(*_columns("atlassian.audit.space")),
        _named("'app'", '"atlassian.audit.app.id"', _NOTHING, '"atlassian.audit.app.name"'),
        f"""list_transform(coalesce("atlassian.audit.roles", []),
        lambda one: struct_pack(kind := 'role', id := {_NOTHING}, key := {_NOTHING}, name := one))""",
        "coalesce(also, [])",
    )
)

_EVENTS = f"""select * exclude ("url.full"), {_TOUCHED} touched from"""

VIEWS = {
    "events": f"{_EVENTS} kept",
    "acts": f"{_EVENTS} acts_kept",
    "heartbeats": f"""select * from others where "event.provider" = '{HEARTBEAT}' and problem is null""",
    "touches": """select 'user' touched_kind, target touched, "user.target.full_name" touched_name, * exclude (touched)
      from events where target is not null
    union all select 'group', coalesce("group.id", "group.name"), "group.name", * exclude (touched)
      from events where coalesce("group.id", "group.name") is not null
    union all select "atlassian.audit.content.kind",
      coalesce("atlassian.audit.content.id", "atlassian.audit.content.key", "atlassian.audit.content.name"),
      "atlassian.audit.content.name", * exclude (touched) from events where "atlassian.audit.content.kind" is not null
    union all select o.kind, coalesce(o.id, o.key, o.name), o.name, * exclude (o, touched)
      from (select unnest(also) o, * from events where also is not null)""",
    "people": """select id account, kind, "value", folded, feed, "first", "last", events from sightings
      where entity = 'person'""",
}
"""Each is made when a statement first reads it: an answer reads two or three of them, and to plan one takes as long as
many a statement runs."""

_READ = re.compile(rf"\b(?:from|join)\s+({'|'.join(VIEWS)})\b", re.IGNORECASE)


class MadeOf(msgspec.Struct, frozen=True):
    """What tables were made of, for a report.

    Attributes:
        parts: Names of the parts of the index.
        days: Days of storage that the index does not hold, of which the evidence was read.
        objects: How many objects of evidence were read for these.
        damaged: Parts of the index that are not as they were written: they are not asked.
    """

    parts: tuple[str, ...] = ()
    days: tuple[date, ...] = ()
    objects: int = 0
    damaged: tuple[str, ...] = ()


class _Views:
    """Makes the views that a statement reads, once, whichever thread asks first."""

    def __init__(self) -> None:
        self._made: set[str] = set()
        self._lock = Lock()

    def make(self, connection: DuckDBPyConnection, statement: str) -> None:
        if wanted := _READ.findall(statement):
            with self._lock:
                self._make(connection, wanted)

    def _make(self, connection: DuckDBPyConnection, wanted: Iterable[str]) -> None:
        for view in wanted:
            if (name := view.lower()) not in self._made:
                self._make(connection, _READ.findall(VIEWS[name]))
                connection.execute(f"create or replace view {name} as {VIEWS[name]}")
                self._made.add(name)


class Tables:
    """An open, locked database with these tables. Use it in a `with` statement, or close it.

    Args:
        connection: With the tables or views `kept`, `acts_kept`, `others`, `names`, `sightings`,
            `hours`, `sums`, `objects` and `problems`, not locked yet.
        readable: The files that its views read.
        made_of: What they were made of.
        opened: What is closed with them.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        readable: Sequence[Path] = (),
        made_of: MadeOf | None = None,
        opened: ExitStack | None = None,
    ) -> None:
        self.connection = connection
        self.made_of = made_of or MadeOf()
        self._opened = opened or ExitStack()
        self._views = _Views()
        duck.lock(connection, readable)
        self._others: list[DuckDBPyConnection] = []

    def beside(self) -> Tables:
        """Return the same tables for another thread: interrupted and closed with these."""
        other = copy(self)
        other.connection = self.connection.cursor()
        self._others.append(other.connection)
        return other

    def ask(self, statement: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Answer:
        """Run one statement, values as parameters, and return all it gives. Raises duckdb.InterruptException."""
        self._views.make(self.connection, statement)
        return duck.ask(self.connection, statement, parameters)

    def interrupt(self) -> None:
        """End the statements that run in other threads."""
        for connection in (self.connection, *self._others):
            connection.interrupt()

    def progress(self) -> float:
        """Return how far the running statement is, percent; -1 when that is not known."""
        return self.connection.query_progress()

    def close(self) -> None:
        """Let go of memory and files. Safe to call twice."""
        for connection in (*self._others, self.connection):
            connection.close()
        self._opened.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
