r"""Events as structured data of syslog (RFC 5424, section 6.3): one element, `[atlassian@32473 time="…" action="…" …]`.

An absent fact is an absent parameter. In a value `"`, `\` and `]` are escaped (section 6.3.3); control characters and
the line ends of Unicode become blanks, half of a surrogate pair U+FFFD. Nothing is cut unless a sink has no room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from forwarder.formats.kit.rows import Dialect, RowFormat
from forwarder.formats.kit.shortening import Need, Piece
from forwarder.formats.kit.texts import is_one_line_json, one_line, without_line_ends
from forwarder.formats.structured_data.names import END, RULES, START, TABLE
from forwarder.normalize.times import TimeWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.formats.kit.memory import ActionFields


class StructuredDataDialect(Dialect):
    """Structured data."""

    name = "structured data"
    table = TABLE
    rules = RULES
    opens = '" {}="'
    end = END
    actor: ClassVar = (
        (TABLE.before["actor_id"], Need.ESSENTIAL, Need.ESSENTIAL),
        (TABLE.before["actor_email"], Need.ACTOR, Need.WHOLE),
        (TABLE.before["actor_name"], Need.ACTOR, Need.TEXT),
    )

    def __init__(self) -> None:
        self.moment = TimeWriter().write  # type: ignore[method-assign]  # no call more than it takes
        super().__init__()
        self._encode = msgspec.json.Encoder().encode

    def heads(self, fields: ActionFields) -> tuple[str, ...]:
        """Return what the element begins with."""
        del fields
        return (START,)

    def is_plain(self, parts: Sequence[str], json: str) -> bool:
        """Say whether nothing but the JSON has to be escaped."""
        values = parts[1::2]
        joined = "".join(values)
        return "]" not in joined and self._has_no_escapes(joined) and all(values) and is_one_line_json(json)

    def _has_no_escapes(self, text: str) -> bool:
        """Say whether a text surely holds no control character, no quote and no backslash."""
        if text.isascii():  # the encoder makes all three longer, and tells so at a quarter of what any search costs
            return len(self._encode(text)) == len(text) + 2 and "\x7f" not in text
        return text.isprintable() and "\\" not in text and '"' not in text

    def cleaned(self, parts: Sequence[str], *, json: bool = False) -> tuple[list[Piece], set[str]]:
        """Return pieces, each on one line."""
        found = zip(parts[0::2], parts[1::2], strict=True)
        plain = [(before, one_line(without_line_ends(value) if json else value)) for before, value in found]
        return [Piece(before, text, TABLE.columns[before].need) for before, text in plain if text], set()

    def plain(self, text: str) -> str:
        """Return a text on one line."""
        return one_line(text)

    def escaped(self, text: str) -> str:
        """Return a value as it stands in an element."""
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")

    def escape_json(self, large: list[str]) -> None:
        """Escape texts without control characters: JSON does it alike, but for brackets."""
        large[1::2] = [self._encode(text)[1:-1].decode().replace("]", "\\]") for text in large[1::2]]


class StructuredDataFormat(RowFormat):
    """Renders structured data. Not for use by several threads at once.

    Args:
        template: What a sink changes in every element.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "structured_data"
    dialect = StructuredDataDialect
