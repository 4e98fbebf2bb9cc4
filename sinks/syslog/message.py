"""One event as one syslog message: header (RFC 5424 or 3164), clean body, framing. Pure, no I/O.

Invariant: whatever an event or a setting contains, a message has one header, ours, and holds no control character; so
it can end neither a line, nor a frame, nor a terminal's patience. Sizes are bytes on the wire.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from forwarder.contracts import Late, Record

Protocol = Literal["rfc5424", "rfc3164"]

SEVERITIES = (6, 6, 6, 6, 5, 5, 5, 4, 4, 3, 3)
"""Syslog severity (RFC 5424 6.2.1) of an event's severity 0 (unknown) to 10: info, notice, warning, error."""

WORDS: dict[str, Callable[[Record], str]] = {
    "action": lambda record: record.event.action if record.event else "",
    "product": lambda record: (record.event.product if record.event else None) or "",
    "organization": lambda record: record.origin.organization,
    "site": lambda record: record.origin.site,
}
"""What may stand in braces in a header setting."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_MOST_HEADERS = 4096
"""Rendered headers that are remembered; actions come from outside, so there must be an end."""
_LONGEST_KEY = 512
"""Characters of what such a header is made of; a longer one is rendered each time."""

# C0 and DEL become spaces: in JSON they can only stand between tokens, where a space means the same. The C1 block is
# two bytes in UTF-8, and terminals obey it as they obey ESC.
_PLAIN = bytes(32 if byte < 32 or byte == 127 else byte for byte in range(256))
_C1 = re.compile(rb"\xc2[\x80-\x9f]")

BOM = b"\xef\xbb\xbf"


class Field(NamedTuple):
    """One field of a header: what is left in it, and how long it may be."""

    name: str
    limit: int
    unfit: re.Pattern[str]


_PRINTABLE = re.compile(r"[^!-~]")
_TAG = re.compile(r"[^A-Za-z0-9._/-]")  # ':' and '[' end a tag
_HOST = re.compile(r"[^A-Za-z0-9._:-]")

FIELDS: dict[Protocol, tuple[Field, ...]] = {
    "rfc5424": (  # 6.2.4 to 6.2.7
        Field("hostname", 255, _PRINTABLE),
        Field("app_name", 48, _PRINTABLE),
        Field("procid", 128, _PRINTABLE),
        Field("msgid", 32, _PRINTABLE),
    ),
    "rfc3164": (Field("hostname", 255, _HOST), Field("app_name", 32, _TAG), Field("procid", 32, _TAG)),
}
_UNFIT = re.compile(r"[^A-Za-z0-9_.:/-]")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def unknown_words(template: str) -> list[str]:
    """Return what stands in braces and is no word of ours."""
    return [word for word in _BRACES.findall(template) if word not in WORDS]


def clean_field(text: str, field: Field) -> str:
    """Return `text` as a field can carry it: every other character becomes `_`; nothing becomes `-`."""
    return field.unfit.sub("_", text[: field.limit]) or "-"


def clean_body(body: bytes) -> bytes:
    """Return a body in which every control character is one space."""
    body = body.translate(_PLAIN)
    return _C1.sub(b" ", body) if b"\xc2" in body else body


class Composer:
    """Makes messages for one sink.

    Args:
        protocol: Which RFC.
        facility: 0 to 23.
        settings: Text of each header field by name; words in braces are taken from the event.
        structured: The body is STRUCTURED-DATA, and there is no other message.
        bom: Put a byte order mark before the message (RFC 5424 6.4).
        longest: Bytes that a message may have.
    """

    def __init__(
        self,
        protocol: Protocol,
        facility: int,
        settings: dict[str, str],
        *,
        structured: bool = False,
        bom: bool = False,
        longest: int = 0,
    ) -> None:
        self._facility = facility
        self._fields = [(field, _BRACES.split(settings[field.name])) for field in FIELDS[protocol]]
        self._words = tuple(sorted({word for _, parts in self._fields for word in parts[1::2]}))
        self._old = protocol == "rfc3164"
        self._time = _old_time if self._old else _new_time
        self._before_body = b"" if structured or self._old else b"- " + (BOM if bom else b"")
        self._longest = 0 if structured or self._old else longest
        self._headers: dict[tuple[int | str, ...], tuple[bytes, bytes]] = {}

    @property
    def most(self) -> int:
        """Longest header in bytes, with all that comes before the body."""
        fixed = sum(
            field.limit if len(parts) > 1 else len(clean_field(parts[0], field)) for field, parts in self._fields
        )
        signs = "<191>Jan 31 10:00:00  []: " if self._old else "<191>1 2026-01-31T10:00:00.000Z     "
        return len(signs) + fixed + len(self._before_body)

    def compose(self, record: Record) -> bytes:
        """Return the whole message of a record, unframed."""
        event = record.event
        severity = SEVERITIES[min(max(event.severity, 0), 10)] if event is not None else 6
        key: tuple[int | str, ...] = (
            (severity, *[WORDS[word](record) for word in self._words]) if self._words else (severity,)
        )
        header = self._headers.get(key)
        if header is None:
            header = self._remember(key)
        message = b"".join((
            header[0],
            self._time(event.time_ms if event is not None else record.read_ms),
            header[1],
            body := clean_body(record.body),
        ))  # fmt: skip
        return message if record.late is None else self._with_late(message, len(body), record.late)

    def _with_late(self, message: bytes, body: int, late: Late) -> bytes:
        """Return a message that says so beside the body, if there is room: the body may be what cannot say it."""
        element = _late_element(late)
        if len(message) + len(element) - 1 > self._longest:
            return message
        at = len(message) - body - len(self._before_body)
        return message[:at] + element + message[at + 1 :]  # in place of the `-` that stands for no element

    def _remember(self, key: tuple[int | str, ...]) -> tuple[bytes, bytes]:
        known = dict(zip(self._words, map(str, key[1:]), strict=True))
        texts = [
            clean_field("".join(known[part] if n % 2 else part for n, part in enumerate(parts)), field)
            for field, parts in self._fields
        ]
        pri = f"<{self._facility * 8 + int(key[0])}>"
        if self._old:
            host, tag, number = texts
            first, rest = pri, f" {host} {tag}{'' if number == '-' else f'[{number}]'}: "
        else:
            first, rest = f"{pri}1 ", f" {' '.join(texts)} "
        found = first.encode("ascii"), rest.encode("ascii") + self._before_body
        if sum(map(len, known.values())) <= _LONGEST_KEY:
            if len(self._headers) >= _MOST_HEADERS:
                self._headers.clear()
            self._headers[key] = found
        return found


def _late_element(late: Late) -> bytes:
    """Return an element of structured data (RFC 5424 6.3), by the names that the format `rfc5424_sd` has as well."""
    facts = {"marks": late.kind, "late_seconds": late.seconds, "late_reader": _UNFIT.sub("_", late.reader)[:64]}
    values = "".join(f' {name}="{value}"' for name, value in facts.items() if value not in {None, ""})
    return f"[atlassian@32473{values}]".encode("ascii")


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    """Return the timestamp up to its whole second; `-` beyond the years that RFC 3339 can write."""
    moment = time.gmtime(seconds) if 0 <= seconds < 253_402_300_800 else None
    return time.strftime("%Y-%m-%dT%H:%M:%S", moment).encode("ascii") if moment else b""


def _new_time(milliseconds: int) -> bytes:
    second = _second(milliseconds // 1000)
    return b"%b.%03dZ" % (second, milliseconds % 1000) if second else b"-"


@lru_cache(maxsize=4096)
def _old_second(seconds: int) -> bytes:
    moment = time.gmtime(seconds if 0 <= seconds < 253_402_300_800 else 0)
    clock = time.strftime("%H:%M:%S", moment)
    return f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2} {clock}".encode("ascii")


def _old_time(milliseconds: int) -> bytes:
    return _old_second(milliseconds // 1000)


def octet_counted(messages: Sequence[bytes]) -> bytes:
    """Frame by length, `MSG-LEN SP MSG` (RFC 6587 3.4.1, RFC 5425 4.3)."""
    return b"".join([b"%d %b" % (len(message), message) for message in messages])


def newline_ended(messages: Sequence[bytes]) -> bytes:
    """Frame by a line end after each (RFC 6587 3.4.2); no message holds one."""
    return b"".join([b"%b\n" % message for message in messages])


FRAMINGS: dict[str, Callable[[Sequence[bytes]], bytes]] = {
    "octet-counting": octet_counted,
    "newline": newline_ended,
}
