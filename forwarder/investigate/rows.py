"""Lines of evidence to rows: each line gives exactly one, whatever stands in it, understood by its source's normaliser.

No line stops another one: what cannot be read, or what a normaliser stumbles over, is a row that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.catalogue import load_catalogue
from forwarder.contracts import AuditEvent, Held, Origin, Record, UnexpectedPayload
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.contracts.identity import KEY_BYTES, EventKeys
from forwarder.investigate.columns import Line
from forwarder.investigate.ecs_lines import EcsLines, Original
from forwarder.investigate.of_events import row_of, row_of_problem
from forwarder.investigate.repeated import Repeated
from forwarder.net.json_size import TOO_MUCH, UNREADABLE, is_beyond_reading
from forwarder.normalize.lenient import Unreadable, read_tree
from forwarder.records.normalizers import Normalizers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forwarder.catalogue import Catalogue
    from forwarder.investigate.columns import Place, Row

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

    Attributes:
        repeated: What rows have the numbers of.
    """

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._normalizers = Normalizers(catalogue or load_catalogue())
        self._ecs = EcsLines()
        self.repeated = Repeated()
        self._keys: dict[Origin, EventKeys] = {}

    def read(self, lines: Iterable[Line], place: Place, origin: Origin | None = None) -> Iterator[Row]:
        """Yield a row for each line, in order.

        Args:
            lines: They.
            place: Where they stand.
            origin: Whose events they are; None: each line tells by its shape, and ECS by what it says.
        """
        instance = _instance(origin)
        for group in _groups(lines):
            number = self.repeated.place(place)
            events = map(self._alone, group) if origin is None else self._understood(group, origin)
            for line, event in zip(group, events, strict=True):
                yield self._row(event, line, number, origin, instance)

    def problem(self, reason: str, place: Place, time: int) -> Row:
        """Return the row of an object that cannot be read."""
        return row_of_problem(reason, self.repeated, self.repeated.place(place), 0, feed=None, time=time)

    def _row(
        self, event: AuditEvent | UnexpectedPayload, line: Line, place: int, origin: Origin | None, instance: str
    ) -> Row:
        if isinstance(event, AuditEvent):
            try:
                return row_of(event, self.repeated, place, line.number, _keys(event, line.body), instance)
            except ValueError as error:  # half a character, which is no UTF-8
                event = UnexpectedPayload(f"it cannot be written: {error}")
        reason = event.reason.encode("utf-8", "replace").decode()
        feed = origin.feed if origin is not None else None
        return row_of_problem(reason, self.repeated, place, line.number, feed=feed, time=line.read_ms or None)

    def _alone(self, line: Line) -> AuditEvent | UnexpectedPayload:
        """Understand a line of which nothing is known but what stands in it."""
        event = self._ecs.read(line.body)
        if isinstance(event, AuditEvent):
            return event
        if isinstance(event, Original):
            return self._understood([Line(line.number, event.body, event.read_ms, line.ident)], event.origin)[0]
        try:
            feed = feed_of(line.body)
        except Unreadable as error:
            return UnexpectedPayload(str(error))
        return self._understood([line], Origin("", feed, ""))[0]

    def _understood(self, lines: Sequence[Line], origin: Origin) -> list[AuditEvent | UnexpectedPayload]:
        try:
            normalizer = self._normalizers(origin.feed)
        except Held as error:
            return [UnexpectedPayload(error.reason)] * len(lines)
        records = [
            Record(0, origin, line.ident, line.body, read_ms=line.read_ms, marks=_marks(line.ident)) for line in lines
        ]
        events = normalizer.normalize(records)
        for event, line in zip(events, lines, strict=True):
            if isinstance(event, AuditEvent) and not (event.event_id or event.document_id):
                event.document_id = self._derived(origin, line.body)
        return events

    def _derived(self, origin: Origin, line: bytes) -> str:
        keys = self._keys.get(origin)
        if keys is None:
            keys = self._keys[origin] = EventKeys(origin.feed, origin.scope)
        return keys.derived(line).hex()


class _Author(msgspec.Struct, gc=False):
    userKey: str | None = None  # noqa: N815 - the products' own names, here and below
    username: str | None = None


class _Keys(msgspec.Struct, gc=False):
    """What records of products call their author besides the account."""

    authorKey: str | None = None  # noqa: N815
    author: _Author | None = None


_PRODUCTS = {"jira", "confluence"}
_decode_keys = msgspec.json.Decoder(_Keys).decode


def _keys(event: AuditEvent, body: bytes) -> tuple[str, ...]:
    """Return what an event of a product calls its author besides the id; nothing of one that is odd."""
    if event.feed not in _PRODUCTS or event.actor is None:
        return ()
    try:
        found = _decode_keys(body)
    except UNREADABLE:
        return ()
    author = found.author or _Author()
    named = (found.authorKey, author.userKey, author.username)
    return tuple(dict.fromkeys(one for one in named if one and one != event.actor.id))


def _instance(origin: Origin | None) -> str:
    """Return the host of a Data Center: two of them count their accounts each by itself."""
    return origin.site or "" if origin is not None and origin.feed.endswith("_datacenter") else ""


def _marks(ident: str) -> tuple[str, ...]:
    """Return what the document id of an event says of it that its body does not."""
    if not ident:
        return ()
    return ("revision",) if len(ident) > 2 * KEY_BYTES else ("derived_id",)


def _groups(lines: Iterable[Line]) -> Iterator[list[Line]]:
    group: list[Line] = []
    size = 0
    for line in lines:
        group.append(line)
        size += len(line.body)
        if len(group) == AT_ONCE or size >= HEAVY:
            yield group
            group, size = [], 0
    if group:
        yield group
