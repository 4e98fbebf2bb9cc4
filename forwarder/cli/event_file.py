"""One event out of a file or standard input: as the API sends it, alone, in a page of the API, or as lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from forwarder.contracts import ConfigError
from forwarder.net.json_size import UNREADABLE

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 16 * 2**20
"""Bytes of a file that is read."""

_BOM = b"\xef\xbb\xbf"
_LISTS = ("data", "records", "results", "entities")
"""What the APIs call the list of events of a page."""

_OF_EVENT = "attributes"
"""A member that an event with a member `data` has, and no page."""


class FoundEvent(NamedTuple):
    """An event, byte for byte, and how many there are beside it in the file."""

    body: bytes
    others: int = 0


def read_event(path: Path) -> FoundEvent:
    """Read the first event of a file; `-` is standard input. Raises ConfigError."""
    try:
        if str(path) == "-":
            body = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with path.open("rb") as file:
                body = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(body) > LARGEST:
        raise ConfigError(f"{path} is longer than {LARGEST} bytes; give a file with one event")
    body = body.removeprefix(_BOM).strip()
    if not body:
        raise ConfigError(f"{path} is empty; give an event as JSON, as the API sends it")
    return _first(body)


def _first(body: bytes) -> FoundEvent:
    try:
        if events := _events(body):
            return FoundEvent(bytes(events[0]), len(events) - 1)
    except UNREADABLE:  # lines, each with an event; or one event that only a lenient reader understands
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) > 1 and _is_object(lines[0]):
            return FoundEvent(lines[0].strip(), len(lines) - 1)
    return FoundEvent(body)


def _events(body: bytes) -> list[msgspec.Raw]:
    """Return the events of a page or of an array; none for anything else. Raises what is not JSON."""
    if body[:1] == b"[":
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    page: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if _OF_EVENT in page:
        return []
    for name in _LISTS:
        if bytes(page.get(name, b"")).startswith(b"["):
            found = msgspec.json.decode(page[name], type=list[msgspec.Raw])
            if found and bytes(found[0]).startswith(b"{"):
                return found
    return []


def _is_object(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return False
    return True
