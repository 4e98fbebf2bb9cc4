"""Events of the organization audit log to `AuditEvent`.

One strict typed decode reads only what meaning needs; an event it refuses is read again leniently, alone, so one odd
event costs time but neither its neighbours nor its meaning. Every record gives exactly one result; nothing is raised.
Empty text is an absent fact.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Actor, AuditEvent, Authentication, UnexpectedPayload
from forwarder.normalize.addresses import valid_ip, valid_mail
from forwarder.normalize.catalogue import Catalogue, load_catalogue
from forwarder.normalize.lenient import Shaper, Tree, Unreadable, read_tree
from forwarder.normalize.things import NOTHING, PartReader
from forwarder.normalize.times import TimeReader, names_zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.contracts import Record

REMEMBERED = 4096
LONGEST_REMEMBERED = 512
SYSTEM_ADDRESS = "Atlassian app"
"""What the API puts where a person's address would be when a product acts by itself."""


class _Auth(msgspec.Struct, gc=False):
    authType: str | None = None  # noqa: N815 - the API's own names, here and below
    tokenId: str | None = None  # noqa: N815
    tokenLabel: str | None = None  # noqa: N815


class _Person(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    email: str | None = None


class _App(msgspec.Struct, gc=False):
    id: str | None = None


class _Actor(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    email: str | None = None
    auth: _Auth | None = None
    onBehalfOf: _Person | None = None  # noqa: N815
    app: _App | None = None


class _Location(msgspec.Struct, gc=False):
    ip: str | None = None
    geo: str | None = None
    countryName: str | None = None  # noqa: N815
    regionName: str | None = None  # noqa: N815
    city: str | None = None


class _Attributes(msgspec.Struct, gc=False):
    time: str | None = None
    processedAt: str | None = None  # noqa: N815
    action: str | None = None
    actor: _Actor | None = None
    context: msgspec.Raw = msgspec.Raw()
    container: msgspec.Raw = msgspec.Raw()
    location: _Location | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None


class _Event(msgspec.Struct, gc=False):
    id: str | None = None
    attributes: _Attributes | None = None
    message: _Message | None = None
    processedAt: str | None = None  # noqa: N815 - older copies have it beside `attributes`


_NOWHERE = _Location()


class OrganizationNormalizer:
    """Gives events of the organization feed their meaning. Not for use by several threads at once.

    Args:
        catalogue: What actions mean; default: the catalogue of the package.
    """

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._meaning = (catalogue or load_catalogue()).meaning
        self._decode = msgspec.json.Decoder(_Event).decode
        self._times = TimeReader()
        self._parts = PartReader()
        self._actor = lru_cache(maxsize=REMEMBERED)(_actor)
        self._is_ip = lru_cache(maxsize=REMEMBERED)(valid_ip)

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order."""
        return [self._one(record) for record in records]

    def _one(self, record: Record) -> AuditEvent | UnexpectedPayload:
        try:
            decoded = self._decode(record.raw)
            if decoded.attributes is not None:
                return self._event(record, decoded, decoded.attributes, record.marks)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # the slow path finds out what is wrong, and says it
        return self._leniently(record)

    def _leniently(self, record: Record) -> AuditEvent | UnexpectedPayload:
        try:
            tree, repaired = read_tree(record.raw)
            decoded, odd = _shape(tree)
            if decoded.attributes is None:
                return UnexpectedPayload("the event has no attributes")
            marks = (*record.marks, *(("repaired",) if repaired else ()), *(("odd_shape",) if odd else ()))
            return self._event(record, decoded, decoded.attributes, marks)
        except Unreadable as error:
            return UnexpectedPayload(str(error))
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            return UnexpectedPayload(f"the event cannot be read: {str(error)[:120]}")

    def _event(self, record: Record, decoded: _Event, told: _Attributes, marks: tuple[str, ...]) -> AuditEvent:
        action = told.action or ""
        meaning = self._meaning(action)
        where = told.location or _NOWHERE
        context, container = self._parts.read(told.context), self._parts.read(told.container)
        time_ms = self._times.read(told.time) if told.time else None
        odd = context.odd or container.odd
        if odd or time_ms is None or not action or not decoded.id or not (told.time or "").endswith("Z"):
            marks = _marks(marks, decoded, told, time_ms, odd=odd)
        processed = told.processedAt or decoded.processedAt
        ip = where.ip or None
        event = AuditEvent(
            document_id=record.id,
            feed=record.origin.feed,
            organization=record.origin.organization,
            action=action,
            time_ms=record.read_ms if time_ms is None else time_ms,
            read_ms=record.read_ms,
            event_id=decoded.id or None,
            processed_ms=self._times.read(processed) if processed else None,
            product=meaning.product or container.product,
            action_name=meaning.name,
            act=meaning.act,
            layer=meaning.layer,
            category=meaning.category,
            types=meaning.types,
            outcome=meaning.outcome,
            severity=meaning.severity,
            message=(decoded.message.content or None) if decoded.message is not None else None,
            content=context.content or container.content,
            space=context.space or container.space,
            site=container.site or context.site,
            marks=marks,
            context=context.raw,
            container=container.raw,
        )
        if ip is not None:
            if self._is_ip(ip):
                event.ip = ip
            else:
                event.source_address = ip
        if where is not _NOWHERE:
            event.geo = where.geo or None
            event.country = where.countryName or None
            event.region = where.regionName or None
            event.city = where.city or None
        if context is not NOTHING:
            event.target_group, event.target_role, event.app = context.group, context.role, context.app
            if meaning.target == "target":
                event.target_user = context.user
            else:
                event.impersonated = context.user
        if told.actor is not None:
            self._who(event, told.actor)
        return event

    def _who(self, event: AuditEvent, actor: _Actor) -> None:
        event.actor = self._person(actor)
        app = (actor.app.id or None) if actor.app is not None else None
        auth = actor.auth
        if auth is not None:
            event.authentication = Authentication(
                auth.authType or None, auth.tokenId or None, auth.tokenLabel or None, None, app
            )
        elif app is not None:
            event.authentication = Authentication(app_id=app)
        if actor.onBehalfOf is not None:
            event.on_behalf_of = self._person(actor.onBehalfOf)

    def _person(self, person: _Actor | _Person) -> Actor | None:
        ident, name, email = person.id, person.name, person.email
        if len(ident or "") + len(name or "") + len(email or "") > LONGEST_REMEMBERED:
            return _actor(ident, name, email)
        return self._actor(ident, name, email)


def _actor(ident: str | None, name: str | None, email: str | None) -> Actor | None:
    """Return who that is, or None when nothing is said. A system actor has words where an address would be."""
    if not (ident or name or email):
        return None
    return Actor(
        id=ident or None,
        name=name or None,
        address=email if email and valid_mail(email) else None,
        kind="system" if email == SYSTEM_ADDRESS else None,
    )


def _marks(
    marks: tuple[str, ...], decoded: _Event, told: _Attributes, time_ms: int | None, *, odd: bool
) -> tuple[str, ...]:
    """Return the marks of an event that is not as documented."""
    found = {
        "derived_id": not decoded.id,
        "action_missing": not told.action,
        "time_missing": not told.time,
        "time_unreadable": bool(told.time) and time_ms is None,
        "zone_assumed": time_ms is not None and not names_zone(told.time or ""),
        "odd_shape": odd,
    }
    return (*marks, *(mark for mark, holds in found.items() if holds and mark not in marks))


def _shape(tree: Tree) -> tuple[_Event, bool]:
    """Return what can be understood of an event with unexpected types, and whether anything was odd.

    Raises Unreadable when the action is neither a text nor a number: without it, the rest could only mislead.
    """
    shape = Shaper()
    event = _Event(id=shape.text(tree, "id"), processedAt=shape.text(tree, "processedAt"))
    if (message := shape.mapping(tree, "message")) is not None:
        event.message = _Message(shape.text(message, "content"))
    told = shape.mapping(tree, "attributes")
    if told is None:
        return event, shape.odd
    action = shape.text(told, "action")
    if action is None and told.get("action") is not None:
        msg = f"the action is {_SHAPES.get(type(told['action']), 'no text')}"
        raise Unreadable(msg)
    attributes = event.attributes = _Attributes(
        time=shape.text(told, "time"),
        processedAt=shape.text(told, "processedAt"),
        action=action,
        context=shape.raw(told, "context"),
        container=shape.raw(told, "container"),
    )
    if (where := shape.mapping(told, "location")) is not None:
        attributes.location = _Location(*(shape.text(where, name) for name in _Location.__struct_fields__))
    if (actor := shape.mapping(told, "actor")) is not None:
        attributes.actor = _shape_actor(shape, actor)
    return event, shape.odd


def _shape_actor(shape: Shaper, tree: Tree) -> _Actor:
    actor = _Actor(shape.text(tree, "id"), shape.text(tree, "name"), shape.text(tree, "email"))
    if (auth := shape.mapping(tree, "auth")) is not None:
        actor.auth = _Auth(*(shape.text(auth, name) for name in _Auth.__struct_fields__))
    if (other := shape.mapping(tree, "onBehalfOf")) is not None:
        actor.onBehalfOf = _Person(*(shape.text(other, name) for name in _Person.__struct_fields__))
    if (app := shape.mapping(tree, "app")) is not None:
        actor.app = _App(shape.text(app, "id"))
    return actor


_SHAPES: dict[type, str] = {list: "an array", dict: "an object", bool: "a truth value", float: "a fraction"}
