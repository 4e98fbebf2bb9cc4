"""Lines of evidence to rows: each line gives exactly one, whatever stands in it, understood by its source's normaliser.

No line stops another one: what cannot be read, or what a normaliser stumbles over, is a row that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.catalogue import load_catalogue
from forwarder.contracts import AuditEvent, Held, Origin, Record, UnexpectedPayload
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.contracts.identity import EventKeys
from forwarder.investigate.columns import SMALL, Place, Row, cut, row_of, row_of_problem
from forwarder.investigate.ecs_lines import EcsLines, Original
from forwarder.net.json_size import TOO_MUCH, UNREADABLE, is_beyond_reading
from forwarder.normalize.lenient import Unreadable, read_tree
from forwarder.records.normalizers import Normalizers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forwarder.catalogue import Catalogue

AT_ONCE = 64
"""Lines that are understood together."""

HEAVY = 4 * 2**20
"""Bytes of lines that end such a group early."""

_UNKNOWN = "this is no event of an audit log that is known here"


class _Shape(msgspec.Struct, gc=False):
    """Members that only one kind of log has at this place."""

    attributes: msgspec.Raw = msgspec.Raw()
    creationDate: msgspec.Raw = msgspec.Raw()  # noqa: N815 - the products' own names, here and below
    alertId: msgspec.Raw = msgspec.Raw()  # noqa: N815
    audit_source: msgspec.Raw = msgspec.Raw()
    created: msgspec.Raw = msgspec.Raw()
    timestamp: msgspec.Raw = msgspec.Raw()


_FEEDS = {
    "attributes": "organization",
    "creationDate": "confluence",
    "alertId": "guard_detect",
    "audit_source": HEARTBEAT,
    "created": "jira",
    "timestamp": "jira_datacenter",
}
_DATA_CENTER = ("confluence", "bitbucket")

_shape = msgspec.json.Decoder(_Shape).decode


def feed_of(line: bytes) -> str:
    """Return the kind of log that an event is of, by its shape. Raises Unreadable when it has none that is known."""
    if is_beyond_reading(line):
        raise Unreadable(TOO_MUCH)
    try:
        shape = _shape(line)
        members = {name for name in _FEEDS if bytes(getattr(shape, name))}
    except UNREADABLE:
        members = set(read_tree(line)[0])
    feed = next((feed for name, feed in _FEEDS.items() if name in members), None)
    if feed is None:
        raise Unreadable(_UNKNOWN)
    if feed == _FEEDS["timestamp"]:  # keys of actions begin with the product
        product = next((one for one in _DATA_CENTER if f'I18nKey":"{one}.'.encode() in line), None)
        return f"{product}_datacenter" if product else feed
    return feed


class RowReader:
    """Makes the rows of lines. Not for use by several threads at once.

    Args:
        catalogue: What actions mean; default: the catalogue of the package.
    """

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._normalizers = Normalizers(catalogue or load_catalogue())
        self._ecs = EcsLines()
        self._encode = msgspec.json.Encoder().encode
        self._keys: dict[Origin, EventKeys] = {}

    def encoded(
        self, lines: Iterable[tuple[int, bytes]], place: Place, origin: Origin | None = None, read_ms: int = 0
    ) -> Iterator[bytes]:
        """Yield a row as JSON for each line, in order.

        Args:
            lines: Their numbers, and what they hold.
            place: Where they stand.
            origin: Whose events they are; None: each line tells by its shape, and ECS by what it says.
            read_ms: When they were stored, epoch milliseconds: the time of what has none of its own.
        """
        for group in _groups(lines):
            if origin is None:
                events = [self._alone(line, read_ms) for _, line in group]
            else:
                events = self._understood([line for _, line in group], origin, read_ms)
            for (number, _), event in zip(group, events, strict=True):
                yield self._row(event, place, number, origin, read_ms)

    def _row(
        self, event: AuditEvent | UnexpectedPayload, place: Place, number: int, origin: Origin | None, read_ms: int
    ) -> bytes:
        if isinstance(event, AuditEvent):
            try:
                row = row_of(event, place, number)
                line = self._encode(row)
            except ValueError as error:  # half a character, which is no UTF-8
                event = UnexpectedPayload(f"it cannot be written: {error}")
            else:
                return line if len(line) < SMALL else self._encode(cut(row))
        return self._encode(_problem(event, place, number, origin, read_ms))

    def _alone(self, line: bytes, read_ms: int) -> AuditEvent | UnexpectedPayload:
        """Understand a line of which nothing is known but what stands in it."""
        event = self._ecs.read(line)
        if isinstance(event, AuditEvent):
            return event
        if isinstance(event, Original):
            return self._understood([event.body], event.origin, event.read_ms)[0]
        try:
            feed = feed_of(line)
        except Unreadable as error:
            return UnexpectedPayload(str(error))
        return self._understood([line], Origin("", feed, ""), read_ms)[0]

    def _understood(self, lines: list[bytes], origin: Origin, read_ms: int) -> list[AuditEvent | UnexpectedPayload]:
        try:
            normalizer = self._normalizers(origin.feed)
        except Held as error:
            return [UnexpectedPayload(error.reason)] * len(lines)
        records = [Record(0, origin, "", line, read_ms=read_ms) for line in lines]
        events = normalizer.normalize(records)
        for event, line in zip(events, lines, strict=True):
            if isinstance(event, AuditEvent) and not event.event_id:
                event.document_id = self._derived(origin, line)
        return events

    def _derived(self, origin: Origin, line: bytes) -> str:
        keys = self._keys.get(origin)
        if keys is None:
            keys = self._keys[origin] = EventKeys(origin.feed, origin.scope)
        return keys.derived(line).hex()


def _problem(
    event: AuditEvent | UnexpectedPayload, place: Place, number: int, origin: Origin | None, read_ms: int
) -> Row:
    reason = event.reason if isinstance(event, UnexpectedPayload) else ""
    text = reason.encode("utf-8", "replace").decode()
    return row_of_problem(text, place, number, feed=origin.feed if origin else None, time=read_ms or None)


def _groups(lines: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    group: list[tuple[int, bytes]] = []
    size = 0
    for entry in lines:
        group.append(entry)
        size += len(entry[1])
        if len(group) == AT_ONCE or size >= HEAVY:
            yield group
            group, size = [], 0
    if group:
        yield group
