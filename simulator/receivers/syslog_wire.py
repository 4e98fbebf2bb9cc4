"""Reads syslog by the letter: RFC 5424 and 3164 messages, frames of RFC 6587, and frames of RELP.

Everything a lenient receiver would let pass is `Malformed` here: a control character, a leading zero, a second space,
an escape that RFC 5424 does not know, a time zone in lower case. It shares no code with the sink.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime


class Malformed(Exception):
    """What came is not what the standard says; the message says where."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, taken apart. `-` is None; `content` is what follows the structured data, or all of a 3164 body."""

    facility: int
    severity: int
    time: datetime | None
    hostname: str | None
    app_name: str | None
    procid: str | None
    msgid: str | None
    structured: dict[str, dict[str, str]]
    content: bytes
    size: int
    raw: bytes = field(repr=False, default=b"")


_HEADER = re.compile(
    rb"<(0|[1-9]\d{0,2})>1 (?P<time>\S{1,40}) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) "
    rb"(?P<procid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_SD_NAME = rb"[!#-<>-\\^-~]{1,32}"
_SD_ELEMENT = re.compile(rb"\[(" + _SD_NAME + rb")((?: " + _SD_NAME + rb'="(?:[^"\\\]]|\\["\\\]])*")*)\]')
_SD_PARAM = re.compile(rb" (" + _SD_NAME + rb')="((?:[^"\\\]]|\\["\\\]])*)"')
_OLD = re.compile(
    rb"<(0|[1-9]\d{0,2})>(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<host>[A-Za-z0-9._:-]+) "
    rb"(?P<app>[A-Za-z0-9._/-]{1,32})(?:\[(?P<procid>[A-Za-z0-9._/-]{1,32})\])?: "
)
_BOM = b"\xef\xbb\xbf"


def read_5424(raw: bytes) -> Message:
    """Take a message of RFC 5424 apart. Raises Malformed."""
    head = _HEADER.match(raw)
    if head is None:
        raise Malformed(f"no header of RFC 5424: {raw[:60]!r}")
    facility, severity = _priority(head[1])
    structured, end = _structured(raw, head.end())
    if end < len(raw) and raw[end : end + 1] != b" ":
        raise Malformed(f"no space after the structured data: {raw[end : end + 20]!r}")
    content = raw[end + 1 :]
    _check(content.removeprefix(_BOM), "message", utf8=content.startswith(_BOM))
    host, app, procid, msgid = (_nil(head[name]) for name in ("host", "app", "procid", "msgid"))
    moment = _time(_nil(head["time"]))
    return Message(facility, severity, moment, host, app, procid, msgid, structured, content, len(raw), raw)


def read_3164(raw: bytes, year: int = 2026) -> Message:
    """Take a message in the manner of RFC 3164 apart; its time gets `year` and UTC. Raises Malformed."""
    head = _OLD.match(raw)
    if head is None:
        raise Malformed(f"no header of RFC 3164: {raw[:60]!r}")
    facility, severity = _priority(head[1])
    content = raw[head.end() :]
    _check(content, "message")
    moment = datetime.strptime(f"{year} {head['time'].decode()}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
    procid = head["procid"].decode() if head["procid"] else None
    return Message(
        facility,
        severity,
        moment,
        head["host"].decode(),
        head["app"].decode(),
        procid,
        None,
        {},
        content,
        len(raw),
        raw,
    )


def _priority(text: bytes) -> tuple[int, int]:
    if int(text) > 191:
        raise Malformed(f"priority {int(text)} is above 191")
    return divmod(int(text), 8)


def _nil(text: bytes) -> str | None:
    return None if text == b"-" else text.decode("ascii")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise Malformed(f"no timestamp of RFC 5424: {text!r}")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"no timestamp: {text!r}") from error


def _structured(raw: bytes, at: int) -> tuple[dict[str, dict[str, str]], int]:
    if raw[at : at + 1] == b"-":
        return {}, at + 1
    found: dict[str, dict[str, str]] = {}
    while (element := _SD_ELEMENT.match(raw, at)) is not None:
        name = element[1].decode("ascii")
        if name in found:
            raise Malformed(f"structured data {name} comes twice")
        found[name] = {}
        for param in _SD_PARAM.finditer(element[2]):
            _check(param[2], f"parameter {param[1]!r}", utf8=True)
            value = re.sub(r'\\(["\\\]])', r"\1", param[2].decode("utf-8"))
            found[name][param[1].decode("ascii")] = value
        at = element.end()
    if not found:
        raise Malformed(f"no structured data: {raw[at : at + 40]!r}")
    return found, at


def _check(content: bytes, where: str, *, utf8: bool = False) -> None:
    """Refuse control characters, those that are two bytes in UTF-8 too; with `utf8`, whatever is no UTF-8."""
    try:
        text = content.decode("utf-8", "strict" if utf8 else "replace")
    except UnicodeDecodeError as error:
        raise Malformed(f"the {where} is no UTF-8") from error
    control = next((char for char in text if ord(char) < 32 or 127 <= ord(char) < 160), None)
    if control is not None:
        raise Malformed(f"a control character in the {where}: {control!r}")


# --------------------------------------------------------------------------------------------------------------- frames


class Lines:
    """Frames that end with a line feed (RFC 6587 3.4.2). `rest` is the begun one."""

    def __init__(self, most: int) -> None:
        self.rest = b""
        self._most = most

    def feed(self, arrived: bytes) -> Iterator[bytes]:
        """Yield the frames that are whole now. Raises Malformed."""
        *whole, self.rest = (self.rest + arrived).split(b"\n")
        if len(self.rest) > self._most:
            raise Malformed("a line is too long")
        for line in whole:
            if len(line) > self._most:
                raise Malformed("a line is too long")
            yield line


class Counted:
    """Frames that begin with their length (RFC 6587 3.4.1). `rest` is the begun one."""

    def __init__(self, most: int) -> None:
        self.rest = b""
        self._most = most

    def feed(self, arrived: bytes) -> Iterator[bytes]:
        """Yield the frames that are whole now. Raises Malformed."""
        self.rest += arrived
        while self.rest:
            digits, space, _ = self.rest[:10].partition(b" ")
            if not re.fullmatch(rb"[1-9]\d*", digits) or (not space and len(self.rest) >= 10):
                raise Malformed(f"no length of a frame: {self.rest[:12]!r}")
            if not space:
                return
            start, length = len(digits) + 1, int(digits)
            if length > self._most:
                raise Malformed(f"a frame of {length} bytes is too long")
            if len(self.rest) < start + length:
                return
            frame, self.rest = self.rest[start : start + length], self.rest[start + length :]
            yield frame


@dataclass(frozen=True, slots=True)
class RelpFrame:
    """One frame of RELP."""

    number: int
    command: str
    content: bytes


class RelpFrames:
    """Frames of RELP. `rest` is the begun one."""

    def __init__(self, most: int) -> None:
        self.rest = b""
        self._most = most

    def feed(self, arrived: bytes) -> Iterator[RelpFrame]:
        """Yield the frames that are whole now. Raises Malformed."""
        self.rest += arrived
        while b"\n" in self.rest or len(self.rest) > 60:
            head = re.match(rb"(0|[1-9]\d{0,8}) ([a-zA-Z]{1,32}) (0|[1-9]\d{0,8})(?P<after>[ \n])", self.rest)
            if head is None:
                raise Malformed(f"no frame of RELP: {self.rest[:40]!r}")
            length = int(head[3])
            if length > self._most:
                raise Malformed(f"{length} bytes are too long for a frame")
            if (length == 0) != (head["after"] == b"\n"):
                raise Malformed(f"length and line end of a frame do not fit: {self.rest[:40]!r}")
            start = head.end()
            if length == 0:
                self.rest = self.rest[start:]
                yield RelpFrame(int(head[1]), head[2].decode(), b"")
                continue
            if len(self.rest) <= start + length:
                return
            if self.rest[start + length : start + length + 1] != b"\n":
                raise Malformed("a frame does not end where it says")
            content, self.rest = self.rest[start : start + length], self.rest[start + length + 1 :]
            yield RelpFrame(int(head[1]), head[2].decode(), content)
