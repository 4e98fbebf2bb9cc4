"""The digest of one hour: which objects were stored in it, and the SHA-256 of each and of the digest before.

A digest is one line of canonical JSON: members sorted, no spaces, UTF-8, a line feed at its end. So anybody gets the
same bytes from the same facts, and `sha256sum` of a digest is what the next one has as `previous` (ADR 88).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
HOUR = timedelta(hours=1)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"size": "bytes"}):
    """One object of evidence, as a digest names it.

    Attributes:
        name: Below the archive's prefix.
        size: In bytes (`bytes` in JSON).
        sha256: Of its bytes, 64 hexadecimal digits.
        events: How many lines are in it.
        first_seq, last_seq: Of its events in the spool.
    """

    name: str
    size: int
    sha256: str
    events: int
    first_seq: int
    last_seq: int

    @classmethod
    def of(cls, name: str, data: bytes, events: int, first_seq: int, last_seq: int) -> Entry:
        """Make the entry of an object that was stored."""
        return cls(name, len(data), sha256(data), events, first_seq, last_seq)


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """What was stored in one hour.

    Attributes:
        v: Version of this shape.
        seq: Its number; the first has 1, and none is left out.
        since, until: The hour, ISO 8601 in UTC (`from` and `to` in JSON).
        writer: Which spool's daemon wrote it.
        key: Id of the key that signs it; empty in an archive without one.
        next_key: Id of the key that signs from the next one on, where it changes.
        previous: SHA-256 of the digest before; empty in the first.
        objects: Stored since the digest before, sorted by name.
        events: Sum over them.
        recovered: Names of those of them that were found after a restart, and not noted as they were stored.
        numbers_go_back: Sources of which an object has a number that is not above all that were before it.
    """

    v: int
    seq: int
    since: str
    until: str
    writer: str
    key: str
    next_key: str
    previous: str
    objects: tuple[Entry, ...]
    events: int
    recovered: tuple[str, ...]
    numbers_go_back: tuple[str, ...]

    @property
    def hour(self) -> datetime:
        """Return the beginning of its hour."""
        return parse_hour(self.since)


class Head(NamedTuple):
    """The newest digest: what someone who keeps it elsewhere can ask for later."""

    seq: int
    sha256: str
    until: str


def canonical(value: msgspec.Struct) -> bytes:
    """Return the bytes of a digest, or of another record of the archive."""
    return msgspec.json.encode(value, order="sorted") + b"\n"


def read_digest(data: bytes) -> Digest:
    """Return a digest. Raises ValueError for bytes that no writer of ours makes."""
    found = msgspec.json.decode(data, type=Digest)
    if found.v != VERSION:
        raise ValueError(f"version {found.v} is not known here")
    if canonical(found) != data:
        raise ValueError("not in canonical form")
    parse_hour(found.since), parse_hour(found.until)
    return found


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hour_of(moment: float) -> datetime:
    """Return the hour in which a moment lies, given in seconds since the epoch."""
    return datetime.fromtimestamp(moment // 3600 * 3600, UTC)


def iso_hour(hour: datetime) -> str:
    """Return an hour as it stands in digests."""
    return hour.strftime("%Y-%m-%dT%H:00:00Z")


def parse_hour(text: str) -> datetime:
    """Return the hour of a text. Raises ValueError when it is not one."""
    return datetime.strptime(text, "%Y-%m-%dT%H:00:00Z").replace(tzinfo=UTC)


class Numbers:
    """Tells whose numbers go back: an archive got a new spool, or late events, or the same events twice.

    What is above all numbers before it cannot be there twice; so a digest that names no source proves that for all.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    def going_back(self, objects: Iterable[tuple[str, Entry]]) -> tuple[str, ...]:
        """Take in the objects of one digest, sorted by name, with their sources; return those that go back, sorted."""
        back = set()
        for source, entry in objects:
            highest = self._highest.get(source, 0)
            if entry.first_seq <= highest:
                back.add(source)
            self._highest[source] = max(highest, entry.last_seq)
        return tuple(sorted(back))
