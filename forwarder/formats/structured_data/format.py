r"""Events as structured data of syslog (RFC 5424, section 6.3): one element, `[atlassian@32473 time="…" action="…" …]`.

An absent fact is an absent parameter. In a value `"`, `\` and `]` are escaped (section 6.3.3); control characters and
the line ends of Unicode become blanks, half of a surrogate pair U+FFFD. Nothing is cut unless a sink has no room.

Most values need none of that: all of an event are joined and searched at once, and only a hit makes the format look at
each of them (`_carefully`). What is the same from event to event is kept as it was written before: a `_Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import msgspec

from forwarder.contracts import AuditEvent, FieldsConfig, Format, Record, UnexpectedPayload
from forwarder.formats.kit.fields import Pieces
from forwarder.formats.kit.memory import FEW, Actions, Memory, Said
from forwarder.formats.kit.named_facts import NamedFacts
from forwarder.formats.kit.shortening import Need, Piece, shorten
from forwarder.formats.kit.texts import is_one_line_json, one_line, truncated, without_line_ends
from forwarder.formats.structured_data.names import BEFORE, BY_BEFORE, END, RULES, START
from forwarder.normalize.times import TimeWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKS, _ACTOR_ID, _ACTOR_NAME, _ACTOR_EMAIL = (
    BEFORE[name] for name in ("marks", "actor_id", "actor_name", "actor_email")
)
_ACTION = [BEFORE[name] for name in (
    "action", "outcome", "reason", "severity", "category", "type", "product", "act", "object", "layer", "feed",
    "action_name",
)]  # fmt: skip
_PAGE = [BEFORE["organization"], BEFORE["read_at"]]
_PLACE = [BEFORE["country"], BEFORE["region"], BEFORE["city"], BEFORE["geo"]]


class _Run(NamedTuple):
    """Names and values that were written before."""

    text: str
    pieces: tuple[Piece, ...]


_NOTHING = _Run("", ())


class StructuredDataFormat:
    """Renders structured data. Not for use by several threads at once.

    Args:
        template: What a sink changes in every element.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "structured_data"
    needs_event: ClassVar[bool] = True

    def __init__(self, template: Pieces | None = None) -> None:
        self._template = template
        self._encode = msgspec.json.Encoder().encode
        self._write = TimeWriter().write
        self._facts = NamedFacts(BEFORE, self._write)
        self._actions = Actions(_known)
        self._places = Memory(_place)
        self._pages = Memory(self._page, most=FEW)

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one element per record, in order."""
        element = self._element if self._template is None else self._carefully
        return [
            element(record.event).encode()
            if record.event is not None
            else UnexpectedPayload("the event has no meaning")
            for record in records
        ]

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Render at most `limit` bytes: the JSON of the API is cut first, then texts; then ids and times are left out.

        Action, time, id and who acted always stay; a limit that cannot hold them is refused.
        """
        if record.event is None:
            return UnexpectedPayload("the event has no meaning")
        pieces = _with_one_actor(self._pieces(record.event, ",".join(truncated(record.event.marks))))
        params = shorten(self._changed(pieces), limit - len(END), _escaped)
        if params is None:
            return UnexpectedPayload(
                f"what must be said of this event takes more than {limit} bytes of structured data"
            )
        return f"{params}{END}".encode()

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return this format with a sink's changes to what it writes. Raises ConfigError."""
        return StructuredDataFormat(Pieces(changes, RULES, BEFORE, '" {}="'.format, one_line))

    # ------------------------------------------------------------------------------------------------- of one event

    def _element(self, event: AuditEvent) -> str:
        """Return the element, put together from what needs no care; else with care."""
        known, page, place = self._runs_of(event)
        parts, large = self._facts.of(event), self._facts.json_of(event)
        values = parts[1::2]
        joined = "".join(values)
        if "]" in joined or not self._is_plain(joined) or not all(values) or not is_one_line_json("".join(large[1::2])):
            return self._carefully(event)
        if large:
            large[1::2] = [self._escaped_at_once(text) for text in large[1::2]]
        marks = f"{_MARKS}{','.join(event.marks)}" if event.marks else ""
        start = f"{START}{self._write(event.time_ms)}{known.text}"
        return "".join([start, *parts, page.text, place.text, marks, *large, END])

    def _changed(self, pieces: list[Piece]) -> list[Piece]:
        return pieces if self._template is None else self._template.apply(pieces)

    def _escaped_at_once(self, text: str) -> str:
        """Escape a text without control characters: JSON does it alike, but for brackets."""
        return self._encode(text)[1:-1].decode().replace("]", "\\]")

    def _is_plain(self, text: str) -> bool:
        """Say whether a text surely holds no control character, no quote and no backslash."""
        if text.isascii():  # the encoder makes all three longer, and tells so at a quarter of what any search costs
            return len(self._encode(text)) == len(text) + 2 and "\x7f" not in text
        return text.isprintable() and "\\" not in text and '"' not in text

    def _carefully(self, event: AuditEvent) -> str:
        pieces = self._changed(self._pieces(event, ",".join(event.marks)))
        return "".join([*(before + _escaped(text) for before, text, _ in pieces), END])

    def _pieces(self, event: AuditEvent, marks: str) -> list[Piece]:
        """Return every name with its value, fit but for escaping, in the order of the element."""
        known, page, place = self._runs_of(event)
        parts, large = _cleaned(self._facts.of(event)), _cleaned(self._facts.json_of(event), json=True)
        time = Piece(START, self._write(event.time_ms), Need.ESSENTIAL)
        end = _cleaned([_MARKS, marks])
        return [time, *known.pieces, *parts, *page.pieces, *place.pieces, *end, *large]

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


def _known(said: Said) -> _Run:
    outcome = said.outcome if said.outcome != "unknown" else None
    what = [said.action, outcome, said.reason, str(said.severity), ",".join(said.category), ",".join(said.types)]
    return _run(_ACTION, [*what, said.product, said.act, said.object, said.layer, said.feed, said.action_name])


def _place(key: tuple[str | None, str | None, str | None, str | None]) -> _Run:
    return _run(_PLACE, key)


def _run(before: Sequence[str], values: Sequence[str | None]) -> _Run:
    pieces = _cleaned([part for one, value in zip(before, values, strict=True) for part in (one, value or "")])
    return _Run("".join([one + _escaped(text) for one, text, _ in pieces]), tuple(pieces))


def _cleaned(parts: Sequence[str], *, json: bool = False) -> list[Piece]:
    """Return names and values in turns as pieces, fit but for escaping; what is empty is left out."""
    found = zip(parts[0::2], parts[1::2], strict=True)
    plain = [(before, one_line(without_line_ends(value) if json else value)) for before, value in found]
    return [Piece(before, text, BY_BEFORE[before].need) for before, text in plain if text]


def _with_one_actor(pieces: Sequence[Piece]) -> list[Piece]:
    """Let the strongest of id, address and name stand for who acted; the others may be left out."""
    there = {piece.before for piece in pieces}
    if _ACTOR_ID in there:
        return [piece._replace(need=Need.TEXT) if piece.before == _ACTOR_NAME else piece for piece in pieces]
    if _ACTOR_EMAIL in there:
        needs = {_ACTOR_EMAIL: Need.ACTOR, _ACTOR_NAME: Need.TEXT}
        return [piece._replace(need=needs.get(piece.before, piece.need)) for piece in pieces]
    return list(pieces)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
