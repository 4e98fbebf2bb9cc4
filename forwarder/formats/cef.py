r"""Events as ArcSight Common Event Format, `CEF:0|Atlassian|Audit|…`: one line, UTF-8. The keys are in `cef_keys`.

An absent fact is an absent key. Escaped are `|` and `\` in the header, `=` and `\` and line ends in a value (CEF
standard, revision 27); any other control character and the line ends of Unicode become a blank, and no value begins or
ends with one. What is longer than its key allows is cut between characters, and the record marked `truncated`.

Most values need none of that. So all of an event are joined and searched at once, and only a hit makes the format look
at each of them (`_carefully`). What is the same from event to event is kept as it was written before: a `_Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import urlsplit

import msgspec

from forwarder.contracts import AuditEvent, Record, UnexpectedPayload
from forwarder.formats.cef_facts import HASH, ID, SUID, SUSER, facts, json_facts
from forwarder.formats.cef_keys import (
    BEFORE,
    LONGEST_CLASS,
    LONGEST_NAME,
    MAPPING_VERSION,
    PRODUCT,
    VENDOR,
)
from forwarder.formats.cef_text import carries, cleaned, escaped, header, plain
from forwarder.formats.memory import remember
from forwarder.formats.shortening import Need, Piece, shorten
from forwarder.formats.texts import is_one_line_json

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
    "act", "outcome", "cat", "destinationServiceName", "deviceFacility", "AtlassianAuditAct", "AtlassianAuditObject",
    "AtlassianAuditLayer",
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
    """What an action was when it was met last, and what it looks like; a head ends where the time begins."""

    category: tuple[str, ...]
    outcome: str
    severity: int
    feed: str
    layer: str
    act: str | None
    object: str | None
    action_name: str | None
    head: str
    short_head: str
    run: _Run


class CefFormat:
    """Renders CEF. Not for use by several threads at once."""

    needs_event: ClassVar[bool] = True

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], _Known] = {}
        self._places: dict[tuple[str | None, str | None, str | None, str | None], _Run] = {}
        self._sites: dict[str, _Run] = {}
        self._encode = msgspec.json.Encoder().encode
        self._page: tuple[str, int | None, _Run] = ("", None, _NOTHING)  # a page has one organization and one moment

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one line per record, in order, without a line end."""
        line = self._line
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
        pieces = self._pieces(record.event, cut=True)
        line = shorten(pieces, limit, escaped)
        if line is None:  # a name is for people: all of it, or the beginning
            known = self._runs_of(record.event)[0]
            line = shorten([pieces[0]._replace(before=known.short_head), *pieces[1:]], limit, escaped)
        if line is None:
            return UnexpectedPayload(f"what must be said of this event takes more than {limit} bytes of CEF")
        return line.encode()

    # ------------------------------------------------------------------------------------------------- of one event

    def _line(self, event: AuditEvent) -> str:
        """Return the record, put together from what needs no care; else with care."""
        known, site, page, place = self._runs_of(event)
        parts, large = facts(event), json_facts(event)
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

    def _is_plain(self, text: str) -> bool:
        """Say whether a text surely holds no control character and no backslash."""
        if text.isascii():  # the encoder makes both longer, and tells so at a quarter of what any search costs
            return len(self._encode(text)) == len(text) + 2 and "\x7f" not in text
        return text.isprintable() and "\\" not in text

    def _carefully(self, event: AuditEvent) -> str:
        return "".join([f"{before}{escaped(text)}" for before, text, _ in self._pieces(event)])

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
        large, large_cut = cleaned(json_facts(event), json=True)
        truncated = cut or parts_cut or large_cut or any(run.cut for run in (known.run, site, page, place))
        marks, _ = cleaned([_MARKS, ",".join([*event.marks, "truncated"] if truncated else event.marks)])
        runs = (*site.pieces, *page.pieces, *place.pieces)
        start = Piece(known.head, str(event.time_ms), Need.ESSENTIAL)
        return [start, *known.run.pieces, *parts, *runs, *marks, *large]

    # ------------------------------------------------------------------------------------------- what is remembered

    def _runs_of(self, event: AuditEvent) -> tuple[_Known, _Run, _Run, _Run]:
        """Return what the action, the site, the page and the place look like."""
        known = self._known.get((event.action, event.product))
        if (  # the catalogue gives the very same objects every time
            known is None
            or known.category is not event.category
            or known.outcome is not event.outcome
            or known.severity != event.severity
            or known.layer is not event.layer
            or known.act is not event.act
            or known.object is not event.object
            or known.action_name is not event.action_name
            or known.feed != event.feed
        ):
            known = self._meet(event)
        organization, read_ms, page = self._page
        if organization != event.organization or read_ms != event.read_ms:
            page = _run(_PAGE, [event.organization, str(event.read_ms)])
            self._page = (event.organization, event.read_ms, page)
        url = event.site.url if event.site is not None else None
        site = self._site(url) if url is not None else _NOTHING
        if event.country or event.region or event.city or event.geo:
            return known, site, page, self._place(event)
        return known, site, page, _NOTHING

    def _meet(self, event: AuditEvent) -> _Known:
        ident, cut = header(event.action, LONGEST_CLASS)
        name = event.action_name or event.action.replace("_", " ")
        outcome = event.outcome if event.outcome != "unknown" else ""
        said = [plain(event.action)[:LONGEST_ACT], outcome, ",".join(event.category), event.product, event.feed]
        run = _run(_ACTION, [*said, event.act, event.object, event.layer])
        known = _Known(
            event.category,
            event.outcome,
            event.severity,
            event.feed,
            event.layer,
            event.act,
            event.object,
            event.action_name,
            _head(ident, header(name, LONGEST_NAME)[0], event.severity),
            _head(ident, header(name, SHORT_NAME)[0], event.severity),
            run._replace(cut=run.cut or cut),
        )
        size = max(len(event.action), len(known.head) + len(run.text))
        remember(self._known, (event.action, event.product), known, size)
        return known

    def _site(self, url: str) -> _Run:
        run = self._sites.get(url)
        if run is None:
            run = _run([BEFORE["dvchost"]], [_host(url)])
            remember(self._sites, url, run, len(url))
        return run

    def _place(self, event: AuditEvent) -> _Run:
        key = (event.country, event.region, event.city, event.geo)
        run = self._places.get(key)
        if run is None:
            run = _run(_PLACE, key)
            remember(self._places, key, run, sum(len(name) for name in key if name))
        return run


_NOTHING = _Run("", (), cut=False)


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
