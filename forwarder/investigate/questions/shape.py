"""What a question is made of: data, of which one runner makes the answer (`forwarder.investigate.questions.answer`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from forwarder.investigate.result import Column, Kind

if TYPE_CHECKING:
    from forwarder.investigate.asking import Asking
    from forwarder.investigate.findings import Rule
    from forwarder.investigate.result import Subject


class Table(msgspec.Struct, frozen=True):
    """One part of an answer.

    Attributes:
        name: Of the part in JSON and CSV, and of its query.
        title: Heading.
        columns: In the order of the part; the query gives each by its name.
        sql: The query; it may use `asked`, the views `e` and `people`, and the values of the question.
        none: What is said where it has no rows: what was looked for and is not there.
        note: How it is counted.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    sql: str
    none: str
    note: str = ""


class Shape(msgspec.Struct, frozen=True):
    """One question.

    Attributes:
        kind: The word of the command.
        entities: Whose names the subject is looked up in: entities of the view `people`; `content` for all that is
            none of the others; empty when what was typed is taken as it is.
        what: What was typed, in words, for messages.
        events: The select of the subject's events, for the table `asked`, with `{columns}` for what is read of them.
        first: A statement that lays out a table for `events` and the queries, with `{columns}`, too; empty for none.
        choose: Leaves in `lifetime` the events of one thing, where several have the id; lists them where they do.
        things: What `choose` asks of `lifetime`.
        before: Statements that lay out further tables, by name.
        tables: The parts.
        rules: What stands out.
        is_day: The subject is a day, and the day is the window.
        normal: Makes of what was typed what the log writes, where `entities` is empty. Raises ConfigError.
        searched: Returns what is looked for, of what was typed, in words; default: `what`.
    """

    kind: str
    what: str
    events: str
    tables: tuple[Table, ...]
    first: str = ""
    choose: Callable[[Asking, Subject, str], Subject] = lambda _asking, subject, _typed: subject
    things: str = ""
    before: tuple[tuple[str, str], ...] = ()
    entities: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    is_day: bool = False
    normal: Callable[[str], str] = str
    searched: Callable[[str], str] | None = None

    @property
    def statements(self) -> str:
        """Return every statement that asks `asked`, or `lifetime`, of which that is made."""
        every = (
            self.things,
            *(sql for _, sql in self.before),
            *(one.sql for one in self.tables),
            *(one.sql for one in self.rules),
        )
        return " ".join(sql for sql in every if "asked" in sql or "lifetime" in sql)


def columns(*described: str) -> tuple[Column, ...]:
    """Return columns from `name`, `name:kind` or `name:kind:title`; a title is the name with blanks."""
    found = []
    for text in described:
        name, kind, title = [*text.split(":"), "", ""][:3]
        found.append(Column(name, title or name.replace("_", " "), _KINDS[kind or "text"]))
    return tuple(found)


_KINDS: dict[str, Kind] = {"text": "text", "time": "time", "number": "number", "texts": "texts", "ids": "ids"}
