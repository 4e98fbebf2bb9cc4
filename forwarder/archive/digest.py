"""The digest of one hour: which objects were stored in it, and the SHA-256 of each and of the digest before.

A digest is one line of canonical JSON: members sorted, no spaces, UTF-8, a line feed at its end. So anybody gets the
same bytes from the same facts, and `sha256sum` of a digest is what the next one has as `previous` (ADR 88).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T", bound=msgspec.Struct)

VERSION = 1
HOUR = timedelta(hours=1)
_LAST_YEAR = 9000
_KEY = re.compile("(?:[0-9a-f]{32})?")


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
        writer: Whose spool the events came from; numbers are of this spool.
        writer_since: The hour from which on that one stores, as `since`.
        key: Id of the key that signs it; empty in an archive without one.
        next_key: Id of the key that signs from the next one on, where it changes.
        previous: SHA-256 of the digest before; empty in the first.
        objects: Stored since the digest before, sorted by name.
        events: Sum over them.
        recovered: Names of those of them that were found after a restart, and not noted as they were stored.
        newest_seq: The newest number of each source that has evidence; see `count_on`.
        numbers_go_back: Sources that have a number here which is not above those before it.
    """

    v: int
    seq: int
    since: str
    until: str
    writer: str
    writer_since: str
    key: str
    next_key: str
    previous: str
    objects: tuple[Entry, ...]
    events: int
    recovered: tuple[str, ...]
    newest_seq: Mapping[str, int]
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


def decoded(data: bytes, shape: type[T]) -> T:
    """Return a record of the archive. Raises ValueError for anything else."""
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, RecursionError) as error:  # the first is a ValueError in newer releases only
        raise ValueError(str(error)) from None


def read_digest(data: bytes) -> Digest:
    """Return a digest. Raises ValueError for bytes that no writer of ours makes."""
    found = decoded(data, Digest)
    if found.v != VERSION:
        raise ValueError(f"version {found.v} is not known here")
    if canonical(found) != data:
        raise ValueError("not in canonical form")
    if parse_hour(found.since).year >= _LAST_YEAR or parse_hour(found.until).year > _LAST_YEAR:
        raise ValueError("its hour is beyond all calendars")
    if not (is_key(found.key) and is_key(found.next_key)):
        raise ValueError("it names a key by something that is not an id")
    return found


def is_key(text: str) -> bool:
    """Tell whether a text is an id of a key, or empty; ids become parts of names."""
    return _KEY.fullmatch(text) is not None


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def iso_hour(hour: datetime) -> str:
    """Return an hour as it stands in digests."""
    return hour.strftime("%Y-%m-%dT%H:00:00Z")


def parse_hour(text: str) -> datetime:
    """Return the hour of a text. Raises ValueError when it is not one."""
    return datetime.strptime(text, "%Y-%m-%dT%H:00:00Z").replace(tzinfo=UTC)


def count_on(
    before: Mapping[str, int], objects: Iterable[tuple[str, Entry]]
) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Return the newest numbers after a digest, and the sources of which one goes back, sorted.

    Numbers go back where an archive got a new spool, where events came late, and where they were stored twice. As
    long as none does, no event is there twice.

    Args:
        before: The newest number of each source, as the digest before has it.
        objects: Of this digest, in its order, each with its source as it stands in names.
    """
    newest: dict[str, int] = {}
    back = set()
    for source, entry in objects:
        if entry.first_seq <= newest.get(source, before.get(source, 0)):
            back.add(source)
        newest[source] = max(newest.get(source, 0), entry.last_seq)
    return {**before, **newest}, tuple(sorted(back))
