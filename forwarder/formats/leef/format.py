"""Events as Log Event Extended Format 2.0 of IBM QRadar, `LEEF:2.0|Atlassian|Audit|1|…|^|…`: one line, UTF-8.

The event id of the header is the action, as a stable name that rules match. An absent fact is an absent attribute.
LEEF knows no escapes: what becomes of a text that would need one stands in `leef_text`, and the record says so
(`replaced` among its marks). Only the header's id and `usrName` have a greatest length.

Most values need no care. So all of an event are joined and searched at once, and only a hit makes the format look at
each of them (`_carefully`). What is the same from event to event is kept as it was written before: a `_Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import msgspec

from forwarder.contracts import AuditEvent, FieldsConfig, Format, Record, UnexpectedPayload
from forwarder.formats.kit.fields import Pieces
from forwarder.formats.kit.memory import FEW, Actions, Memory, Said
from forwarder.formats.kit.named_facts import HASH, NamedFacts
from forwarder.formats.kit.shortening import Need, Piece, shorten
from forwarder.formats.kit.texts import is_one_line_json
from forwarder.formats.leef.attributes import (
    BEFORE,
    BEFORE_NAME,
    BY_BEFORE,
    DELIMITER,
    LONGEST_EVENT_ID,
    MAPPING_VERSION,
    PRODUCT,
    RULES,
    TIME_FORMAT,
    VENDOR,
)
from forwarder.formats.leef.text import cleaned, escaped, plain, says_ends
from forwarder.normalize.times import TimeWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_ACTION = "unknown"
"""Event id of an event without an action; such an event has no `action`."""

_ID, _ACTOR_ID, _USER, _MARKS = (BEFORE[name] for name in ("id", "actor_id", "actor_email", "marks"))
_LONGEST_USER = BY_BEFORE[_USER].longest
_ACTION = [BEFORE[name] for name in (
    "time_format", "category", "severity", "action", "outcome", "reason", "type", "product", "act", "object",
    "layer", "feed", "action_name",
)]  # fmt: skip
_PAGE = [BEFORE["organization"], BEFORE["read_at"]]
_PLACE = [BEFORE["country"], BEFORE["region"], BEFORE["city"], BEFORE["geo"]]


class _Run(NamedTuple):
    """Names and values that were written before; for an action, `head` is all that stands before the time."""

    text: str
    pieces: tuple[Piece, ...]
    marks: frozenset[str]
    head: str = ""


_NOTHING = _Run("", (), frozenset())


class LeefFormat:
    """Renders LEEF. Not for use by several threads at once.

    Args:
        template: What a sink changes in every record.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "line"
    needs_event: ClassVar[bool] = True

    def __init__(self, template: Pieces | None = None) -> None:
        self._template = template
        self._encode = msgspec.json.Encoder().encode
        self._time = TimeWriter().write
        self._facts = NamedFacts(BEFORE, self._write)
        self._actions = Actions(_known)
        self._places = Memory(_place)
        self._pages = Memory(self._page, most=FEW)

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one line per record, in order, without a line end."""
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
        line = shorten(self._changed(self._pieces(record.event, {"truncated"})), limit, escaped)
        if line is None:
            return UnexpectedPayload(f"what must be said of this event takes more than {limit} bytes of LEEF")
        return line.encode()

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return this format with a sink's changes to what it writes. Raises ConfigError."""
        return LeefFormat(Pieces(changes, RULES, BEFORE_NAME, f"{DELIMITER}{{}}=".format, plain))

    # ------------------------------------------------------------------------------------------------- of one event

    def _line(self, event: AuditEvent) -> str:
        """Return the record, put together from what needs no care; else with care."""
        known, page, place = self._runs_of(event)
        parts, large = self._facts_of(event), self._facts.json_of(event)
        joined, json = f" {' '.join(parts[1::2])} ", "".join(large[1::2])
        if (
            known.marks
            or page.marks
            or place.marks
            or "  " in joined  # within a value, or around one
            or says_ends(joined)
            or not self._is_plain(joined)
            or (len(joined) > _LONGEST_USER and self._is_long(parts))
            or says_ends(json)
            or not is_one_line_json(json)
        ):
            return self._carefully(event)
        marks = f"{_MARKS}{','.join(event.marks)}" if event.marks else ""
        start = f"{known.head}{self._write(event.time_ms)}{known.text}"
        return "".join([start, *parts, page.text, place.text, marks, *large])

    def _changed(self, pieces: list[Piece]) -> list[Piece]:
        return pieces if self._template is None else self._template.apply(pieces)

    def _is_plain(self, text: str) -> bool:
        """Say whether a text surely holds no control character."""
        if text.isascii() and len(self._encode(text)) == len(text) + 2:  # a quarter of what any search costs
            return "\x7f" not in text
        return text.isprintable()

    def _is_long(self, parts: list[str]) -> bool:
        return _USER in parts and len(parts[parts.index(_USER) + 1]) > _LONGEST_USER

    def _carefully(self, event: AuditEvent) -> str:
        return "".join([f"{before}{escaped(text)}" for before, text, _ in self._changed(self._pieces(event))])

    def _pieces(self, event: AuditEvent, marks: Iterable[str] = ()) -> list[Piece]:
        """Return every attribute, fit but for escaping, in the order of the record; `marks` are added to its own."""
        known, page, place = self._runs_of(event)
        told = self._facts_of(event)
        if told[1] != plain(told[1]):
            told[1] = event.document_id[:HASH]
        parts, of_parts = cleaned(told)
        if any(piece.before == _ACTOR_ID for piece in parts):
            parts = [piece._replace(need=Need.WHOLE) if piece.before == _USER else piece for piece in parts]
        large, _ = cleaned(self._facts.json_of(event), json=True)
        found = sorted(of_parts.union(marks, known.marks, page.marks, place.marks).difference(event.marks))
        end, _ = cleaned([_MARKS, ",".join([*event.marks, *found])])
        start = Piece(known.head, self._write(event.time_ms), Need.ESSENTIAL)
        return [start, *known.pieces, *parts, *page.pieces, *place.pieces, *end, *large]

    def _facts_of(self, event: AuditEvent) -> list[str]:
        """Return what differs from event to event; a name stands for an address that is not there."""
        parts = self._facts.of(event)
        if event.actor is not None and event.actor.address is None and event.actor.name is not None:
            parts += _USER, event.actor.name
        return parts

    def _runs_of(self, event: AuditEvent) -> tuple[_Run, _Run, _Run]:
        """Return what the action, the page and the place look like."""
        return (
            self._actions.of(event),
            self._pages[event.organization, event.read_ms],
            self._places[event.country, event.region, event.city, event.geo]
            if event.country or event.region or event.city or event.geo
            else _NOTHING,
        )

    def _page(self, key: tuple[str, int]) -> _Run:
        return _run(_PAGE, [key[0], self._write(key[1])])

    def _write(self, ms: int) -> str:
        """Return a moment as `TIME_FORMAT` has it."""
        return f"{self._time(ms)[:-1]}+0000"


def _known(said: Said) -> _Run:
    outcome = said.outcome if said.outcome != "unknown" else None
    severity = str(said.severity) if said.severity else None
    told = [TIME_FORMAT, ",".join(said.category), severity, said.action, outcome, said.reason, ",".join(said.types)]
    run = _run(_ACTION, [*told, said.product, said.act, said.object, said.layer, said.feed, said.action_name])
    ident = plain(said.action)[:LONGEST_EVENT_ID].rstrip() or NO_ACTION
    return run._replace(
        head=f"LEEF:2.0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|{ident}|{DELIMITER}|{BEFORE['time'].removeprefix('^')}"
    )


def _place(key: tuple[str | None, str | None, str | None, str | None]) -> _Run:
    return _run(_PLACE, key)


def _run(before: Sequence[str], values: Sequence[str | None]) -> _Run:
    pieces, marks = cleaned([part for one, value in zip(before, values, strict=True) for part in (one, value or "")])
    return _Run("".join(f"{one}{escaped(text)}" for one, text, _ in pieces), tuple(pieces), frozenset(marks))
