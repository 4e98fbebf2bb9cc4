"""Events as Log Event Extended Format 2.0 of IBM QRadar, `LEEF:2.0|Atlassian|Audit|1|…|^|…`: one line, UTF-8.

The event id of the header is the action, as a stable name that rules match. An absent fact is an absent attribute.
LEEF knows no escapes: what becomes of a text that would need one stands in `text`, and the record says so
(`replaced` among its marks). Only the header's id and `usrName` have a greatest length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from forwarder.formats.kit.memory import ActionFields, action_facts
from forwarder.formats.kit.rows import Dialect, RowFormat
from forwarder.formats.kit.shortening import Need, Piece
from forwarder.formats.kit.texts import is_one_line_json
from forwarder.formats.leef.attributes import (
    DELIMITER,
    LONGEST_EVENT_ID,
    MAPPING_VERSION,
    PRODUCT,
    RULES,
    TABLE,
    TIME_FORMAT,
    VENDOR,
)
from forwarder.formats.leef.text import cleaned, escaped, plain, says_ends
from forwarder.normalize.times import TimeWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.contracts import AuditEvent

NO_ACTION = "unknown"
"""Event id of an event without an action; such an event has no `action`."""

_USER = TABLE.before["actor_email"]
_LONGEST_USER = TABLE.columns[_USER].longest
_TIME = TABLE.before["time"].removeprefix(DELIMITER)


class LeefDialect(Dialect):
    """LEEF."""

    name = "LEEF"
    table = TABLE
    rules = RULES
    opens = f"{DELIMITER}{{}}="
    actor: ClassVar = (
        (TABLE.before["actor_id"], Need.ESSENTIAL, Need.ESSENTIAL),
        (_USER, Need.ACTOR, Need.WHOLE),
    )

    def __init__(self) -> None:
        super().__init__()
        self._encode = msgspec.json.Encoder().encode
        self._time = TimeWriter().write

    def facts(self, event: AuditEvent) -> list[str]:
        """Return what differs from event to event; a name stands for an address that is not there."""
        parts = self._facts.of(event)
        if event.actor is not None and event.actor.address is None and event.actor.name is not None:
            parts += _USER, event.actor.name
        return parts

    def moment(self, ms: int) -> str:
        """Return a moment as `TIME_FORMAT` has it."""
        return f"{self._time(ms)[:-1]}+0000"

    def heads(self, fields: ActionFields) -> tuple[str, ...]:
        """Return the header up to the time."""
        ident = plain(fields.action)[:LONGEST_EVENT_ID].rstrip() or NO_ACTION
        return (f"LEEF:2.0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|{ident}|{DELIMITER}|{_TIME}",)

    def action_facts(self, fields: ActionFields) -> Mapping[str, str | None]:
        """Return the facts of an action, and how times are written; LEEF has no severity for unknown."""
        severity = str(fields.severity) if fields.severity else None
        return {**action_facts(fields), "severity": severity, "time_format": TIME_FORMAT}

    def is_plain(self, parts: Sequence[str], json: str) -> bool:
        """Say whether nothing has to be replaced or cut."""
        joined = f" {' '.join(parts[1::2])} "
        return not (
            "  " in joined  # within a value, or around one
            or says_ends(joined)
            or not self._has_no_controls(joined)
            or (len(joined) > _LONGEST_USER and _is_long(parts))
            or says_ends(json)
            or not is_one_line_json(json)
        )

    def _has_no_controls(self, text: str) -> bool:
        """Say whether a text surely holds no control character."""
        if text.isascii() and len(self._encode(text)) == len(text) + 2:  # a quarter of what any search costs
            return "\x7f" not in text
        return text.isprintable()

    def carries(self, ident: str) -> bool:
        """Say whether an id needs no replacement."""
        return ident == plain(ident)

    def cleaned(self, parts: Sequence[str], *, json: bool = False) -> tuple[list[Piece], set[str]]:
        """Return pieces with blanks for what would end a value."""
        return cleaned(parts, json=json)

    def plain(self, text: str) -> str:
        """Return a text that a value can hold."""
        return plain(text)

    def escaped(self, text: str) -> str:
        """Return JSON as it stands in a record; a plain text stays what it is."""
        return escaped(text)


class LeefFormat(RowFormat):
    """Renders LEEF. Not for use by several threads at once.

    Args:
        template: What a sink changes in every record.
    """

    dialect = LeefDialect


def _is_long(parts: Sequence[str]) -> bool:
    return _USER in parts and len(parts[parts.index(_USER) + 1]) > _LONGEST_USER
