r"""Events as ArcSight Common Event Format, `CEF:0|Atlassian|Audit|…`: one line, UTF-8. The keys are in `cef_keys`.

An absent fact is an absent key. Escaped are `|` and `\` in the header, `=` and `\` and line ends in a value (CEF
standard, revision 27); any other control character and the line ends of Unicode become a blank, and no value begins or
ends with one. What is longer than its key allows is cut between characters, and the record marked `truncated`.

Most values need none of that. So all of an event are joined and searched at once, and only a hit makes the format look
at each of them (`_carefully`). What is the same from event to event is kept as it was written before: a `_Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from forwarder.contracts import AuditEvent, FieldsConfig, Format, Record, UnexpectedPayload
from forwarder.formats.cef.facts import ID, JSON, SUID, SUSER, facts
from forwarder.formats.cef.keys import (
    BEFORE,
    LONGEST_CLASS,
    LONGEST_NAME,
    MAPPING_VERSION,
    PRODUCT,
    RULES,
    VENDOR,
)
from forwarder.formats.cef.text import carries, cleaned, escaped, header, plain
from forwarder.formats.kit.fields import Pieces
from forwarder.formats.kit.memory import FEW, Actions, Memory, Said
from forwarder.formats.kit.named_facts import HASH, json_facts
from forwarder.formats.kit.shortening import Need, Piece, shorten
from forwarder.formats.kit.texts import is_one_line_json, truncated

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_ID = 40
LONGEST_ACT = 63
SHORT_NAME = 32
LONGEST_JSON = 4000
SAFE_LENGTH = 1023
"""No value in so many joined characters can be too long for its key: the shorter keys are looked at alone."""

NO_ACTION = "unknown"
"""Event class id of an event without an action; such an event has no `act`."""

_MARKS = BEFORE["flexString2"]
_ACTION = [BEFORE[name] for name in (
    "act", "outcome", "reason", "cat", "destinationServiceName", "deviceFacility", "AtlassianAuditAct",
    "AtlassianAuditObject", "AtlassianAuditLayer",
)]  # fmt: skip
_PAGE = [BEFORE["deviceExternalId"], BEFORE["deviceCustomDate2"]]
_PLACE = [
    BEFORE["AtlassianAuditCountry"],
    BEFORE["AtlassianAuditRegion"],
    BEFORE["AtlassianAuditCity"],
    BEFORE["AtlassianAuditGeo"],
]


class _Run(NamedTuple):
    """Keys and values that were written before; `cut` when one of them was too long for its key."""

    text: str
    pieces: tuple[Piece, ...]
    cut: bool


class _Known(NamedTuple):
    """What an action looks like; a head ends where the time begins."""

    head: str
    short_head: str
    run: _Run


class CefFormat:
    """Renders CEF. Not for use by several threads at once.

    Args:
        template: What a sink changes in every record.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "line"
    needs_event: ClassVar[bool] = True

    def __init__(self, template: Pieces | None = None) -> None:
        self._template = template
        self._encode = msgspec.json.Encoder().encode
        self._actions = Actions(_known)
        self._places = Memory(_place)
        self._sites = Memory(_site)
        self._pages = Memory(_page, most=FEW)

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
        pieces = self._changed(self._pieces(record.event, cut=True))
        line = shorten(pieces, limit, escaped)
        if line is None:  # a name is for people: all of it, or the beginning
            known = self._runs_of(record.event)[0]
            line = shorten([pieces[0]._replace(before=known.short_head), *pieces[1:]], limit, escaped)
        if line is None:
            return UnexpectedPayload(f"what must be said of this event takes more than {limit} bytes of CEF")
        return line.encode()

    def with_fields(self, changes: FieldsConfig) -> Format:
        """Return this format with a sink's changes to what it writes. Raises ConfigError."""
        return CefFormat(Pieces(changes, RULES, BEFORE, " {}=".format, plain))

    # ------------------------------------------------------------------------------------------------- of one event

    def _line(self, event: AuditEvent) -> str:
        """Return the record, put together from what needs no care; else with care."""
        known, site, page, place = self._runs_of(event)
        parts, large = facts(event), json_facts(event, JSON)
        if len(parts[1]) > LONGEST_ID:
            parts[1] = event.document_id[:HASH]
        joined = f" {' '.join(parts[1::2])} "
        json = "".join(large[1::2])
        if (
            len(joined) > SAFE_LENGTH
            or known.run.cut
            or site.cut
            or page.cut
            or place.cut
            or "  " in joined  # within a value, or around one
            or "=" in joined
            or not self._is_plain(joined)
            or len(json) > LONGEST_JSON
            or not is_one_line_json(json)
        ):
            return self._carefully(event)
        if "=" in json or "\\" in json:
            large[1::2] = [escaped(text) for text in large[1::2]]
        marks = f"{_MARKS}{','.join(event.marks)}" if event.marks else ""
        start = f"{known.head}{event.time_ms}{known.run.text}"
        return "".join([start, *parts, site.text, page.text, place.text, marks, *large])

    def _changed(self, pieces: list[Piece]) -> list[Piece]:
        return pieces if self._template is None else self._template.apply(pieces)

    def _is_plain(self, text: str) -> bool:
        """Say whether a text surely holds no control character and no backslash."""
        if text.isascii():  # the encoder makes both longer, and tells so at a quarter of what any search costs
            return len(self._encode(text)) == len(text) + 2 and "\x7f" not in text
        return text.isprintable() and "\\" not in text

    def _carefully(self, event: AuditEvent) -> str:
        return "".join([f"{before}{escaped(text)}" for before, text, _ in self._changed(self._pieces(event))])

    def _pieces(self, event: AuditEvent, *, cut: bool = False) -> list[Piece]:
        """Return every key with its value, fit but for escaping, in the order of the record.

        Args:
            event: What to write.
            cut: The record is going to be cut, whatever becomes of its values here.
        """
        known, site, page, place = self._runs_of(event)
        told = facts(event)
        if not carries(ID, told[1]):
            told[1] = event.document_id[:HASH]
        parts, parts_cut = cleaned(told)
        if any(piece.before == SUID for piece in parts):
            parts = [piece._replace(need=Need.WHOLE) if piece.before == SUSER else piece for piece in parts]
        large, large_cut = cleaned(json_facts(event, JSON), json=True)
        cut_somewhere = cut or parts_cut or large_cut or any(run.cut for run in (known.run, site, page, place))
        marks, _ = cleaned([_MARKS, ",".join(truncated(event.marks) if cut_somewhere else event.marks)])
        runs = (*site.pieces, *page.pieces, *place.pieces)
        start = Piece(known.head, str(event.time_ms), Need.ESSENTIAL)
        return [start, *known.run.pieces, *parts, *runs, *marks, *large]

    def _runs_of(self, event: AuditEvent) -> tuple[_Known, _Run, _Run, _Run]:
        """Return what the action, the site, the page and the place look like."""
        url = event.site.url if event.site is not None else None
        return (
            self._actions.of(event),
            self._sites[url] if url is not None else _NOTHING,
            self._pages[event.organization, event.read_ms],
            self._places[event.country, event.region, event.city, event.geo]
            if event.country or event.region or event.city or event.geo
            else _NOTHING,
        )


_NOTHING = _Run("", (), cut=False)


def _known(said: Said) -> _Known:
    ident, cut = header(said.action, LONGEST_CLASS)
    name = said.action_name or said.action.replace("_", " ")
    outcome = said.outcome if said.outcome != "unknown" else ""
    told = [plain(said.action)[:LONGEST_ACT], outcome, said.reason, ",".join(said.category), said.product]
    run = _run(_ACTION, [*told, said.feed, said.act, said.object, said.layer])
    return _Known(
        _head(ident, header(name, LONGEST_NAME)[0], said.severity),
        _head(ident, header(name, SHORT_NAME)[0], said.severity),
        run._replace(cut=run.cut or cut),
    )


def _page(key: tuple[str, int]) -> _Run:
    return _run(_PAGE, [key[0], str(key[1])])


def _site(url: str) -> _Run:
    return _run([BEFORE["dvchost"]], [_host(url)])


def _place(key: tuple[str | None, str | None, str | None, str | None]) -> _Run:
    return _run(_PLACE, key)


def _head(ident: str, name: str, severity: int) -> str:
    return f"CEF:0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|{ident or NO_ACTION}|{name or NO_ACTION}|{severity}|rt="


def _run(before: Sequence[str], values: Sequence[str | None]) -> _Run:
    pieces, cut = cleaned([part for one, value in zip(before, values, strict=True) for part in (one, value or "")])
    return _Run("".join(f"{before}{escaped(text)}" for before, text, _ in pieces), tuple(pieces), cut)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
