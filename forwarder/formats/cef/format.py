r"""Events as ArcSight Common Event Format, `CEF:0|Atlassian|Audit|…`: one line, UTF-8. The keys are in `keys`.

An absent fact is an absent key. Escaped are `|` and `\` in the header, `=` and `\` and line ends in a value (CEF
standard, revision 27); any other control character and the line ends of Unicode become a blank, and no value begins or
ends with one. What is longer than its key allows is cut between characters, and the record marked `truncated`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

import msgspec

from forwarder.formats.cef.keys import (
    LONGEST_CLASS,
    LONGEST_NAME,
    MAPPING_VERSION,
    PRODUCT,
    RULES,
    TABLE,
    VENDOR,
)
from forwarder.formats.cef.text import carries, cleaned, escaped, header, plain
from forwarder.formats.kit.memory import ActionFields, Memory, action_facts
from forwarder.formats.kit.rows import Dialect, RowFormat
from forwarder.formats.kit.shortening import Need, Piece
from forwarder.formats.kit.texts import is_one_line_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.contracts import AuditEvent

LONGEST_ID = 40
LONGEST_ACT = 63
LONGEST_HOST = 100
SHORT_NAME = 32
LONGEST_JSON = 4000
SAFE_LENGTH = 1023
"""No value in so many joined characters can be too long for its key: the shorter keys are looked at alone."""

NO_ACTION = "unknown"
"""Event class id of an event without an action; such an event has no `act`."""

_ID, _SITE_HOST = TABLE.before["id"], TABLE.before["site_host"]


class CefDialect(Dialect):
    """CEF."""

    name = "CEF"
    table = TABLE
    rules = RULES
    opens = " {}="
    actor: ClassVar = (
        (TABLE.before["actor_id"], Need.ESSENTIAL, Need.ESSENTIAL),
        (TABLE.before["actor_user"], Need.ACTOR, Need.WHOLE),
    )

    def __init__(self) -> None:
        super().__init__()
        self._encode = msgspec.json.Encoder().encode
        self._hosts = Memory(_host)

    def facts(self, event: AuditEvent) -> list[str]:
        """Return what differs from event to event, the host of the site last."""
        parts = self._facts.of(event)
        if event.site is not None and event.site.url is not None and (host := self._hosts[event.site.url]):
            parts += _SITE_HOST, host
        return parts

    def moment(self, ms: int) -> str:
        """Return epoch milliseconds."""
        return str(ms)

    def heads(self, fields: ActionFields) -> tuple[str, ...]:
        """Return the header up to the time, with the whole name and with the beginning of it."""
        ident = header(fields.action, LONGEST_CLASS)[0] or NO_ACTION
        name = fields.action_name or fields.action.replace("_", " ")
        start = f"CEF:0|{VENDOR}|{PRODUCT}|{MAPPING_VERSION}|{ident}"
        return tuple(
            f"{start}|{header(name, most)[0] or NO_ACTION}|{fields.severity}|rt=" for most in (LONGEST_NAME, SHORT_NAME)
        )

    def marks_of_heads(self, fields: ActionFields) -> frozenset[str]:
        """Return whether the action was cut in the header."""
        return frozenset({"truncated"}) if header(fields.action, LONGEST_CLASS)[1] else frozenset()

    def action_facts(self, fields: ActionFields) -> Mapping[str, str | None]:
        """Return the facts of an action; as a value it is cut, since it is whole in the header."""
        return {**action_facts(fields), "action": plain(fields.action)[:LONGEST_ACT]}

    def is_plain(self, parts: Sequence[str], json: str) -> bool:
        """Say whether nothing has to be cut, and nothing but the JSON escaped."""
        joined = f" {' '.join(parts[1::2])} "
        return (
            len(joined) <= SAFE_LENGTH
            and len(parts[1]) <= LONGEST_ID
            and (parts[-2] != _SITE_HOST or len(parts[-1]) <= LONGEST_HOST)
            and "  " not in joined  # within a value, or around one
            and "=" not in joined
            and self._has_no_escapes(joined)
            and len(json) <= LONGEST_JSON
            and is_one_line_json(json)
        )

    def _has_no_escapes(self, text: str) -> bool:
        """Say whether a text surely holds no control character and no backslash."""
        if text.isascii():  # the encoder makes both longer, and tells so at a quarter of what any search costs
            return len(self._encode(text)) == len(text) + 2 and "\x7f" not in text
        return text.isprintable() and "\\" not in text

    def carries(self, ident: str) -> bool:
        """Say whether an id is short and plain enough."""
        return carries(_ID, ident)

    def cleaned(self, parts: Sequence[str], *, json: bool = False) -> tuple[list[Piece], set[str]]:
        """Return pieces that keep to the lengths of their keys."""
        return cleaned(parts, json=json)

    def plain(self, text: str) -> str:
        """Return a text that a value can hold; line ends are escaped."""
        return plain(text)

    def escaped(self, text: str) -> str:
        """Return a value as it stands in a record."""
        return escaped(text)

    def escape_json(self, large: list[str]) -> None:
        """Escape what needs it."""
        for place in range(1, len(large), 2):
            if "=" in large[place] or "\\" in large[place]:
                large[place] = escaped(large[place])


class CefFormat(RowFormat):
    """Renders CEF. Not for use by several threads at once.

    Args:
        template: What a sink changes in every record.
    """

    dialect = CefDialect


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
