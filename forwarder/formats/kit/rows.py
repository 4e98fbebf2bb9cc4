"""Records of names and values in a row, in the dialect of a format: CEF, LEEF, structured data.

Most values need no care. So all of an event are joined and searched at once, and only a hit makes the format look at
each of them (`_carefully`). What is the same from event to event is kept as it was written before: a `Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from forwarder.contracts import AuditEvent, FieldsConfig, Format, Record, UnexpectedPayload
from forwarder.formats.kit.fields import Pieces
from forwarder.formats.kit.memory import FEW, ActionFields, Actions, Memory, action_facts
from forwarder.formats.kit.named_facts import HASH, NamedFacts
from forwarder.formats.kit.shortening import Need, Piece, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from forwarder.formats.kit.columns import Table
    from forwarder.formats.kit.fields import Rules

_PLACE = ("country", "region", "city", "geo")


class Dialect:
    """How a format writes names and values. Not for use by several threads at once.

    Attributes:
        name: Of the format, for people.
        table: Its columns.
        rules: What a template may do.
        opens: Makes what stands in front of the value of a new name.
        end: What closes a record.
        actor: Who acted, the strongest first: what stands in front of the value, what happens to it in a record that is
            too long where it is the strongest that there is, and where it is not.
    """

    name: ClassVar[str]
    table: ClassVar[Table]
    rules: ClassVar[Rules]
    opens: ClassVar[str]
    end: ClassVar[str] = ""
    actor: ClassVar[tuple[tuple[str, Need, Need], ...]]

    def __init__(self) -> None:
        self._facts = NamedFacts(self.table.before, self.moment)
        self.json_facts = self._facts.json_of

    def facts(self, event: AuditEvent) -> list[str]:
        """Return what differs from event to event, names and values in turns; the id of the event comes first."""
        return self._facts.of(event)

    def moment(self, ms: int) -> str:
        """Return a moment, given in epoch milliseconds."""
        raise NotImplementedError

    def heads(self, fields: ActionFields) -> tuple[str, ...]:
        """Return all that stands before the time; a shorter one for records that are too long may follow."""
        raise NotImplementedError

    def marks_of_heads(self, fields: ActionFields) -> frozenset[str]:
        """Return the marks that a record of this action takes for what stands before the time."""
        del fields
        return frozenset()

    def action_facts(self, fields: ActionFields) -> Mapping[str, str | None]:
        """Return the facts of an action by name."""
        return action_facts(fields)

    def is_plain(self, parts: Sequence[str], json: str) -> bool:
        """Say whether names and values in turns, and all the JSON beside them, surely stand as they are or escaped."""
        raise NotImplementedError

    def carries(self, ident: str) -> bool:
        """Say whether a record can hold this very id of an event."""
        del ident
        return True

    def cleaned(self, parts: Sequence[str], *, json: bool = False) -> tuple[list[Piece], set[str]]:
        """Return names and values in turns as pieces, fit but for escaping, and the marks that this takes.

        What is empty by then is left out. White space between the tokens of JSON says nothing.
        """
        raise NotImplementedError

    def plain(self, text: str) -> str:
        """Return a text with nothing in it that a value cannot hold, before any cut and escape."""
        raise NotImplementedError

    def escaped(self, text: str) -> str:
        """Return a value as it stands in a record."""
        raise NotImplementedError

    def escape_json(self, large: list[str]) -> None:
        """Write JSON that `is_plain` found nothing in, names and values in turns, as it stands in a record."""


class Run(NamedTuple):
    """Names and values that were written before, and the marks that this took; an action has `heads` as well."""

    text: str
    pieces: tuple[Piece, ...]
    marks: frozenset[str]
    heads: tuple[str, ...] = ()


_NOTHING = Run("", (), frozenset())


class RowFormat:
    """Renders rows. Not for use by several threads at once.

    Args:
        template: What a sink changes in every record.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "line"
    needs_event: ClassVar[bool] = True
    dialect: ClassVar[type[Dialect]]

    def __init__(self, template: Pieces | None = None) -> None:
        self._template = template
        self._dialect = dialect = self.dialect()
        self._facts, self._json, self._moment, self._is_plain = (
            dialect.facts, dialect.json_facts, dialect.moment, dialect.is_plain
        )  # fmt: skip
        self._escape_json, self._end = dialect.escape_json, dialect.end
        self._marks = dialect.table.before["marks"]
        self._actions = Actions(self._action)
        self._places = Memory(self._place)
        self._pages = Memory(self._page, most=FEW)

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one record each, in order, without a line end."""
        line = self._line if self._template is None else self._carefully
        return [
            line(record.event).encode() if record.event is not None else UnexpectedPayload("the event has no meaning")
            for record in records
        ]

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Render at most `limit` bytes: the JSON of the API is cut first, then texts; then ids and times are left out.

        Action, time, id and who acted always stay; a limit that cannot hold them is refused.
        """
        if record.event is None:
            return UnexpectedPayload("the event has no meaning")
        pieces = self._changed(self._with_one_actor(self._pieces(record.event, {"truncated"})))
        end = self._end
        for head in self._actions.of(record.event).heads:  # a name is for people: all of it, or the beginning
            line = shorten([pieces[0]._replace(before=head), *pieces[1:]], limit - len(end), self._dialect.escaped)
            if line is not None:
                return f"{line}{end}".encode()
        return UnexpectedPayload(
            f"what must be said of this event takes more than {limit} bytes of {self._dialect.name}"
        )

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return this format with a sink's changes to what it writes. Raises ConfigError."""
        dialect = self._dialect
        return type(self)(Pieces(changes, dialect.rules, dialect.table.by_name, dialect.opens.format, dialect.plain))

    # ------------------------------------------------------------------------------------------------- of one event

    def _line(self, event: AuditEvent) -> str:
        """Return the record, put together from what needs no care; else with care."""
        known, page, place = self._runs_of(event)
        parts, large = self._facts(event), self._json(event)
        if known.marks or page.marks or place.marks or not self._is_plain(parts, "".join(large[1::2])):
            return self._carefully(event)
        if large:
            self._escape_json(large)
        marks = f"{self._marks}{','.join(event.marks)}" if event.marks else ""
        start = f"{known.heads[0]}{self._moment(event.time_ms)}{known.text}"
        return "".join([start, *parts, page.text, place.text, marks, *large, self._end])

    def _changed(self, pieces: list[Piece]) -> list[Piece]:
        return pieces if self._template is None else self._template.apply(pieces)

    def _carefully(self, event: AuditEvent) -> str:
        escaped = self._dialect.escaped
        pieces = self._changed(self._pieces(event))
        return "".join([*(f"{before}{escaped(text)}" for before, text, _ in pieces), self._end])

    def _pieces(self, event: AuditEvent, marks: Iterable[str] = ()) -> list[Piece]:
        """Return every name with its value, fit but for escaping, in order; `marks` are added to the event's own."""
        known, page, place = self._runs_of(event)
        cleaned, facts = self._dialect.cleaned, self._facts(event)
        if not self._dialect.carries(facts[1]):
            facts[1] = event.document_id[:HASH]
        parts, of_parts = cleaned(facts)
        large, of_large = cleaned(self._json(event), json=True)
        found = of_parts.union(of_large, marks, known.marks, page.marks, place.marks).difference(event.marks)
        end, _ = cleaned([self._marks, ",".join([*event.marks, *sorted(found)])])
        start = Piece(known.heads[0], self._moment(event.time_ms), Need.ESSENTIAL)
        return [start, *known.pieces, *parts, *page.pieces, *place.pieces, *end, *large]

    def _with_one_actor(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Let the strongest of id, address and name stand for who acted; the others may be left out."""
        there = {piece.before for piece in pieces}
        present = [one for one in self._dialect.actor if one[0] in there]
        needs = {before: weaker if place else strongest for place, (before, strongest, weaker) in enumerate(present)}
        return [piece._replace(need=needs.get(piece.before, piece.need)) for piece in pieces]

    # ------------------------------------------------------------------------------------------- written once

    def _runs_of(self, event: AuditEvent) -> tuple[Run, Run, Run]:
        """Return what the action, the page and the place look like."""
        return (
            self._actions.of(event),
            self._pages[event.organization, event.read_ms],
            self._places[event.country, event.region, event.city, event.geo]
            if event.country or event.region or event.city or event.geo
            else _NOTHING,
        )

    def _action(self, fields: ActionFields) -> Run:
        run = self._run(self._dialect.action_facts(fields))
        return run._replace(marks=run.marks | self._dialect.marks_of_heads(fields), heads=self._dialect.heads(fields))

    def _page(self, key: tuple[str, int]) -> Run:
        return self._run({"organization": key[0], "read_at": self._moment(key[1])})

    def _place(self, key: tuple[str | None, str | None, str | None, str | None]) -> Run:
        return self._run(dict(zip(_PLACE, key, strict=True)))

    def _run(self, facts: Mapping[str, str | None]) -> Run:
        """Write the facts that the table has a column for, in its order."""
        columns = self._dialect.table.before.items()
        parts = [part for fact, before in columns if (value := facts.get(fact)) for part in (before, value)]
        pieces, marks = self._dialect.cleaned(parts)
        escaped = self._dialect.escaped
        text = "".join(f"{before}{escaped(text)}" for before, text, _ in pieces)
        return Run(text, tuple(pieces), frozenset(marks))
