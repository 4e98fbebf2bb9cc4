"""Events as Elastic Common Schema 9.4: one JSON object on one line.

Absent facts are absent fields. What ECS has no field for stands under `atlassian.audit`; the untouched parts of the
API are `atlassian.audit.context` and `.container`. Every text goes through the encoder; only those two parts are
copied, and their normaliser has proved them JSON.

Fields that stay the same from event to event are encoded once and kept as bytes: a *run* is the value of one field with
the fields that follow it (`"event","module":"atlassian",…`), written in the place of that one value. A run is always
the inside of an object that the encoder itself made.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

import msgspec

from forwarder import __version__
from forwarder.contracts import Actor, AuditEvent, Authentication, Change, Record, Thing, UnexpectedPayload
from forwarder.normalize.times import TimeWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

ECS_VERSION = "9.4.0"
REMEMBERED = 4096
LONGEST_REMEMBERED = 512
CHUNK = 32
"""Events encoded in one call: enough to share its cost, few enough to stay in the processor's cache."""

_ONE_LINE = bytes(32 if byte in b"\r\n" else byte for byte in range(256))
_COORDINATES = re.compile(r"(-?[0-9]{1,3}(?:\.[0-9]{1,12})?), ?(-?[0-9]{1,3}(?:\.[0-9]{1,12})?)", re.ASCII)
_REVISION_AT = 33  # a document id is 32 hex characters; a revision has `-` and its digest behind them


class _Group(msgspec.Struct, gc=False, omit_defaults=True):
    id: str | None = None
    name: str | None = None


class _User(msgspec.Struct, gc=False, omit_defaults=True):
    id: str | None = None
    full_name: str | None = None
    name: str | None = None
    email: str | None = None
    roles: tuple[str, ...] = ()
    group: _Group | None = None
    target: _User | None = None
    effective: _User | None = None


class _Kind(msgspec.Struct, gc=False):
    """The beginning of `event`, the same for a whole feed."""

    kind: str
    module: str
    dataset: str
    provider: str


class _What(msgspec.Struct, gc=False, omit_defaults=True):
    """The middle of `event`, the same for every event of an action."""

    action: str | None = None
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    outcome: str | None = None
    severity: int = 0


class _Event(msgspec.Struct, gc=False):
    """All of `event`: `kind` is a run of `_Kind`, `action` one of `_What`."""

    kind: msgspec.Raw
    id: str
    action: msgspec.Raw
    created: msgspec.Raw


class _EventWithoutAction(msgspec.Struct, gc=False, omit_defaults=True):
    kind: msgspec.Raw
    id: str
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    outcome: str | None = None
    severity: int = 0
    created: msgspec.Raw | None = None


class _Geo(msgspec.Struct, gc=False, omit_defaults=True):
    country_name: str | None = None
    region_name: str | None = None
    city_name: str | None = None
    location: msgspec.Raw | None = None
    name: str | None = None


class _Source(msgspec.Struct, gc=False, omit_defaults=True):
    ip: str | None = None
    address: str | None = None
    geo: msgspec.Raw | None = None


class _Url(msgspec.Struct, gc=False, omit_defaults=True):
    full: str
    domain: str | None = None


class _Related(msgspec.Struct, gc=False, omit_defaults=True):
    user: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()


class _UserAgent(msgspec.Struct, gc=False):
    original: str


class _Facts(msgspec.Struct, gc=False, omit_defaults=True):
    """The beginning of `atlassian.audit`, the same for every event of an action."""

    feed: str | None = None
    layer: str | None = None
    product: str | None = None
    act: str | None = None
    action_name: str | None = None


class _Audit(msgspec.Struct, gc=False, omit_defaults=True):
    """What ECS lacks: `feed` is a run of `_Facts`."""

    feed: msgspec.Raw
    actor_kind: str | None = None
    processed_at: str | None = None
    revision: str | None = None
    marks: tuple[str, ...] = ()
    authentication: Authentication | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    changes: tuple[Change, ...] = ()
    context: msgspec.Raw | None = None
    container: msgspec.Raw | None = None


class _Atlassian(msgspec.Struct, gc=False):
    audit: _Audit


class _Document(msgspec.Struct, gc=False, omit_defaults=True):
    timestamp: str | None = msgspec.field(name="@timestamp", default=None)
    ecs: msgspec.Raw | None = None
    event: _Event | _EventWithoutAction | None = None
    message: str | None = None
    organization: msgspec.Raw | None = None
    user: _User | None = None
    group: _Group | None = None
    source: _Source | None = None
    url: _Url | None = None
    user_agent: _UserAgent | None = None
    related: _Related | None = None
    observer: msgspec.Raw | None = None
    atlassian: _Atlassian | None = None


class _Known(msgspec.Struct, frozen=True, gc=False):
    """What an action was when it was met last, and the two runs that say so."""

    category: tuple[str, ...]
    types: tuple[str, ...]
    outcome: str
    severity: int
    feed: str
    layer: str
    act: str | None
    action_name: str | None
    what: msgspec.Raw
    facts: msgspec.Raw


class EcsFormat:
    """Renders ECS. Not for use by several threads at once."""

    needs_event: ClassVar[bool] = True

    def __init__(self) -> None:
        encoder = msgspec.json.Encoder()
        self._encode, self._encode_lines = encoder.encode, encoder.encode_lines
        self._write = TimeWriter().write
        self._ecs = msgspec.Raw(self._encode({"version": ECS_VERSION}))
        observer = {"product": "audit-forwarder", "type": "forwarder", "version": __version__}
        self._observer = msgspec.Raw(self._encode(observer))
        self._known: dict[tuple[str, str | None], _Known] = {}
        self._places: dict[tuple[str | None, str | None, str | None, str | None], msgspec.Raw] = {}
        self._kind = lru_cache(maxsize=REMEMBERED)(self._render_kind)
        self._organization = lru_cache(maxsize=REMEMBERED)(self._render_organization)
        self._domain = lru_cache(maxsize=REMEMBERED)(domain)
        self._read = (0, self._moment(0))  # pages are read at one moment

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one JSON object per record, in order, without a line end."""
        bodies: list[bytes | UnexpectedPayload] = []
        for start in range(0, len(records), CHUNK):
            bodies += self._together(records[start : start + CHUNK])
        return bodies

    def _together(self, records: Sequence[Record]) -> Sequence[bytes | UnexpectedPayload]:
        document = self._document
        try:
            whole = self._encode_lines([document(record.event) for record in records if record.event is not None])
        except (ValueError, OverflowError, msgspec.MsgspecError):
            whole = b""
        # One line for each, or something is not as it should be: then each by itself, so that only that one pays.
        if b"\r" not in whole and len(lines := whole.split(b"\n")) == len(records) + 1:
            return lines[:-1]
        return [self._one(record) for record in records]

    def _one(self, record: Record) -> bytes | UnexpectedPayload:
        if record.event is None:
            return UnexpectedPayload("the event has no meaning")
        try:
            body = self._encode(self._document(record.event))
        except (ValueError, OverflowError, msgspec.MsgspecError) as error:
            return UnexpectedPayload(f"the event cannot be written as ECS: {str(error)[:120]}")
        return body.translate(_ONE_LINE)  # line ends stand between tokens of a copied part: in texts they are escaped

    def _document(self, event: AuditEvent) -> _Document:
        write, actor, ip, group, content = self._write, event.actor, event.ip, event.target_group, event.content
        read_ms, created = self._read
        if event.read_ms != read_ms:
            self._read = (event.read_ms, created := self._moment(event.read_ms))
        known = self._known.get((event.action, event.product))
        if (  # the catalogue gives the very same objects every time
            known is None
            or known.category is not event.category
            or known.types is not event.types
            or known.outcome is not event.outcome
            or known.severity != event.severity
            or known.layer is not event.layer
            or known.act is not event.act
            or known.action_name is not event.action_name
            or known.feed != event.feed
        ):
            known = self._meet(event)
        user: _User | None = None
        names: tuple[str, ...] = ()
        if event.target_user or event.on_behalf_of or event.impersonated or event.target_role:
            user, names = _user_with_others(event)
        elif actor is not None:
            user, names = _User(actor.id, actor.name, actor.address, actor.address), _names_of(actor)
        ident, geo = event.event_id or event.document_id, event.geo
        place = self._place(event) if geo or event.country or event.region or event.city else None
        return _Document(
            write(event.time_ms),
            self._ecs,
            _Event(self._kind(event.feed), ident, known.what, created)
            if event.action
            else self._without_action(event, ident, created),
            event.message,
            self._organization(event.organization) if event.organization else None,
            user,
            _Group(group.id, group.name) if group is not None else None,
            _Source(ip, event.source_address, place)
            if place is not None or ip is not None or event.source_address is not None
            else None,
            self._url(content.url) if content is not None and content.url is not None else None,
            _UserAgent(event.user_agent) if event.user_agent is not None else None,
            _Related(names, (ip,) if ip is not None else ()) if names or ip is not None else None,
            self._observer,
            _Atlassian(
                _Audit(
                    known.facts,
                    actor.kind if actor is not None else None,
                    write(event.processed_ms) if event.processed_ms is not None else None,
                    event.document_id[_REVISION_AT:] or None,
                    event.marks,
                    event.authentication,
                    content,
                    event.space,
                    event.site,
                    event.app,
                    event.changes,
                    event.context,
                    event.container,
                )
            ),
        )

    def _meet(self, event: AuditEvent) -> _Known:
        what = _What(event.action, event.category, event.types, event.outcome, event.severity)
        facts = _Facts(event.feed, event.layer, event.product, event.act, event.action_name)
        known = _Known(
            event.category,
            event.types,
            event.outcome,
            event.severity,
            event.feed,
            event.layer,
            event.act,
            event.action_name,
            self._run(what),
            self._run(facts),
        )
        if len(known.what) + len(known.facts) <= LONGEST_REMEMBERED:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[event.action, event.product] = known
        return known

    def _without_action(self, event: AuditEvent, ident: str, created: msgspec.Raw) -> _EventWithoutAction:
        return _EventWithoutAction(
            self._kind(event.feed), ident, event.category, event.types, event.outcome, event.severity, created
        )

    def _place(self, event: AuditEvent) -> msgspec.Raw:
        geo = event.geo
        key = (geo, event.country, event.region, event.city)
        place = self._places.get(key)
        if place is None:
            point = coordinates(geo) if geo else None
            where = _Geo(event.country, event.region, event.city, point, geo if point is None else None)
            place = msgspec.Raw(self._encode(where))
            if len(place) <= LONGEST_REMEMBERED:
                if len(self._places) >= REMEMBERED:
                    self._places.clear()
                self._places[key] = place
        return place

    def _url(self, full: str) -> _Url:
        end = full.find("/", len("https://"))
        start = full if end < 0 else full[:end]
        return _Url(full, self._domain(start) if len(start) <= LONGEST_REMEMBERED else domain(start))

    def _run(self, fields: _Kind | _What | _Facts) -> msgspec.Raw:
        """Return the fields without the braces and the name of the first, which the encoder writes."""
        whole = self._encode(fields)
        return msgspec.Raw(whole[whole.index(b":") + 1 : -1])

    def _moment(self, ms: int) -> msgspec.Raw:
        return msgspec.Raw(self._encode(self._write(ms)))

    def _render_kind(self, feed: str) -> msgspec.Raw:
        return self._run(_Kind("event", "atlassian", "atlassian.audit", feed))

    def _render_organization(self, organization: str) -> msgspec.Raw:
        return msgspec.Raw(self._encode({"id": organization}))


def coordinates(geo: str) -> msgspec.Raw | None:
    """Return `geo` as an ECS geo point when it is `latitude,longitude`, else None."""
    found = _COORDINATES.fullmatch(geo)
    if found is None:
        return None
    latitude, longitude = float(found[1]), float(found[2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return msgspec.Raw(msgspec.json.encode({"lat": latitude, "lon": longitude}))


def domain(start: str) -> str | None:
    """Return the host of an address of the web, given at least its scheme and authority."""
    try:
        return urlsplit(start).hostname or None
    except ValueError:
        return None


def _person(actor: Actor) -> _User:
    return _User(actor.id, actor.name, actor.address, actor.address)


def _names_of(actor: Actor) -> tuple[str, ...]:
    ident, address, name = actor.id, actor.address, actor.name
    if ident and address and name and len({ident, address, name}) == 3:
        return (ident, address, name)
    return _names(actor)


def _names(*actors: Actor | None) -> tuple[str, ...]:
    """Return every identifier of these people, each once."""
    found = dict.fromkeys(name for actor in actors if actor for name in (actor.id, actor.address, actor.name) if name)
    return tuple(found)


def _user_with_others(event: AuditEvent) -> tuple[_User, tuple[str, ...]]:
    """Return `user.*` with whom it was done to, for or as, and everybody's identifiers."""
    user = _person(event.actor) if event.actor is not None else _User()
    if event.target_user is not None or event.target_role is not None:
        target = user.target = _person(event.target_user) if event.target_user is not None else _User()
        if event.target_role is not None:
            target.roles = (event.target_role,)
        if event.target_group is not None:
            target.group = _Group(event.target_group.id, event.target_group.name)
    effective = event.impersonated or event.on_behalf_of
    if effective is not None:
        user.effective = _person(effective)
    return user, _names(event.actor, event.target_user, event.impersonated, event.on_behalf_of)
