"""The columns of the index: one row an event, of what the questions ask for, under the names of ECS where it has one.

`Row` is the table: its fields are the columns, their annotations the types. A text is at most `LONGEST` characters, and
`marks` says `cut` of a row that had longer ones; what is longer is in the evidence, at `evidence.object` and
`evidence.line`. A line that could not be read as an event is a row as well, of which `problem` says why.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.contracts import Actor, AuditEvent, Thing

VERSION = 6
"""Of the columns and what they mean; an index of another version is made anew."""

LONGEST = 2000
"""Characters of a text in the index."""

CUT = "cut"

SMALL = 8 * 1024
"""Bytes of a row that is not looked at for long texts."""

Milliseconds = int
"""Of the epoch; a moment (TIMESTAMPTZ) in the table."""


class Named(msgspec.Struct, gc=False, omit_defaults=True):
    """Somebody or something that an event names; of a role the name only."""

    kind: str
    id: str | None = None
    key: str | None = None
    name: str | None = None


class Changed(msgspec.Struct, gc=False, omit_defaults=True):
    """A setting that changed."""

    field: str
    before: str | None = None
    after: str | None = None


_names: list[str] = []


def _column(name: str) -> Any:
    """Return a column; in JSON rows it has a short key, which both sides read sooner."""
    _names.append(name)
    return msgspec.field(name=f"{len(_names):x}", default=None)


class Row(msgspec.Struct, gc=False, omit_defaults=True):
    """One line of the evidence.

    Attributes:
        who: The actor's id, else e-mail address in lower case, else name: what the index is sorted by. Ids and names of
            a Data Center are of that instance only, and begin with its host: `jira.example.com/JIRAUSER10100`.
        target, on_behalf_of, impersonated: The same of whom it was done to, for and as. For and as are opposites.
        act: `event.code`, else `event.action`: never empty where an event has an action.
        user_keys: What the product calls the actor besides the id: keys of Jira and Confluence, user names.
        processed_after: Seconds from the event to its processing by Atlassian.
        message: Only where there is no id of content, or no `event.code`: else the columns say it.
        also: Whom and what the event names besides the first of each kind; the view `events` adds these (`touched`).
        roles: Every role it speaks of.
        problem: Why the line is no event; None for an event.
        source: Of the archive.
        object, line: Where in the evidence it stands, lines counted from 1.
    """

    who: str | None = _column("who")
    target: str | None = _column("target")
    on_behalf_of: str | None = _column("on_behalf_of")
    impersonated: str | None = _column("impersonated")
    time: Milliseconds | None = _column("@timestamp")
    id: str | None = _column("event.id")
    kind: str | None = _column("event.kind")
    feed: str | None = _column("event.provider")
    action: str | None = _column("event.action")
    code: str | None = _column("event.code")
    act: str | None = _column("act")
    category: tuple[str, ...] | None = _column("event.category")
    type: tuple[str, ...] | None = _column("event.type")
    outcome: str | None = _column("event.outcome")
    reason: str | None = _column("event.reason")
    severity: int | None = _column("event.severity")
    organization: str | None = _column("organization.id")
    user_id: str | None = _column("user.id")
    user_name: str | None = _column("user.full_name")
    user_email: str | None = _column("user.email")
    user_keys: tuple[str, ...] | None = _column("user.keys")
    actor_kind: str | None = _column("atlassian.audit.actor_kind")
    on_behalf_of_id: str | None = _column("on_behalf_of.id")
    on_behalf_of_name: str | None = _column("on_behalf_of.full_name")
    on_behalf_of_email: str | None = _column("on_behalf_of.email")
    impersonated_id: str | None = _column("impersonated.id")
    impersonated_name: str | None = _column("impersonated.full_name")
    impersonated_email: str | None = _column("impersonated.email")
    target_id: str | None = _column("user.target.id")
    target_name: str | None = _column("user.target.full_name")
    target_email: str | None = _column("user.target.email")
    group_id: str | None = _column("group.id")
    group_name: str | None = _column("group.name")
    roles: tuple[str, ...] | None = _column("atlassian.audit.roles")
    ip: str | None = _column("source.ip")
    address: str | None = _column("source.address")
    country: str | None = _column("source.geo.country_name")
    region: str | None = _column("source.geo.region_name")
    city: str | None = _column("source.geo.city_name")
    user_agent: str | None = _column("user_agent.original")
    authentication: str | None = _column("atlassian.audit.authentication.type")
    token_id: str | None = _column("atlassian.audit.authentication.token_id")
    token_label: str | None = _column("atlassian.audit.authentication.token_label")
    session_id: str | None = _column("atlassian.audit.authentication.session_id")
    app_id: str | None = _column("atlassian.audit.authentication.app_id")
    app_name: str | None = _column("atlassian.audit.authentication.app_name")
    content_kind: str | None = _column("atlassian.audit.content.kind")
    content_id: str | None = _column("atlassian.audit.content.id")
    content_key: str | None = _column("atlassian.audit.content.key")
    content_name: str | None = _column("atlassian.audit.content.name")
    content_url: str | None = _column("url.full")
    space_kind: str | None = _column("atlassian.audit.space.kind")
    space_id: str | None = _column("atlassian.audit.space.id")
    space_key: str | None = _column("atlassian.audit.space.key")
    space_name: str | None = _column("atlassian.audit.space.name")
    site_id: str | None = _column("atlassian.audit.site.id")
    site_name: str | None = _column("atlassian.audit.site.name")
    other_app_id: str | None = _column("atlassian.audit.app.id")
    other_app_name: str | None = _column("atlassian.audit.app.name")
    product: str | None = _column("atlassian.audit.product")
    domain: str | None = _column("atlassian.audit.domain")
    changes: tuple[Changed, ...] | None = _column("atlassian.audit.changes")
    also: tuple[Named, ...] | None = _column("also")
    marks: tuple[str, ...] | None = _column("atlassian.audit.marks")
    related: str | None = _column("atlassian.audit.related")
    processed_after: int | None = _column("processed_after")
    message: str | None = _column("message")
    problem: str | None = _column("problem")
    source: str | None = _column("source")
    object: str | None = _column("evidence.object")
    line: int | None = _column("evidence.line")


class Place(msgspec.Struct, frozen=True):
    """What a row says of the evidence it stands in."""

    source: str = ""
    object: str = ""


class Line(NamedTuple):
    """A line, as it stands in a file or an object.

    Attributes:
        number: From 1.
        body: Without a line end.
        read_ms: When it was read from its source, epoch milliseconds: the time of what has none; 0 when not known.
        ident: The document id, of an event whose id is not in it.
    """

    number: int
    body: bytes
    read_ms: int = 0
    ident: str = ""


def row_of(event: AuditEvent, place: Place, line: int, keys: tuple[str, ...] = (), instance: str = "") -> Row:
    """Return the row of an event.

    Args:
        event: It.
        place: Where it stands.
        line: On which line.
        keys: What the product calls the actor besides the id.
        instance: Where ids of people are counted, when they are not Atlassian's: the host of a Data Center.
    """
    who, target, group, how = event.actor, event.target_user, event.target_group, event.authentication
    content, space, site, app = event.content, event.space, event.site, event.app
    behalf, impersonated, also = event.on_behalf_of, event.impersonated, event.also
    code = f"{event.object}.{event.act}" if event.object and event.act and event.action else None
    processed = event.processed_ms
    row = Row(
        _who(who, instance),
        _who(target, instance),
        _who(behalf, instance),
        _who(impersonated, instance),
        event.time_ms,
        event.event_id or event.document_id or None,
        "alert" if event.is_alert else "event",
        event.feed,
        event.action or None,
        code,
        code or event.action or None,
        event.category or None,
        event.types or None,
        event.outcome,
        event.reason,
        event.severity,
        event.organization or None,
        *(_NOBODY if who is None else (who.id, who.name, who.address)),
        keys or None,
        who.kind if who is not None else None,
        *(_NOBODY if behalf is None else (behalf.id, behalf.name, behalf.address)),
        *(_NOBODY if impersonated is None else (impersonated.id, impersonated.name, impersonated.address)),
        *(_NOBODY if target is None else (target.id, target.name, target.address)),
        *((None, None) if group is None else (group.id or group.key, group.name)),
        _roles(event),
        event.ip,
        event.source_address,
        event.country,
        event.region,
        event.city,
        event.user_agent,
    )
    if how is not None:
        row.authentication, row.token_id, row.token_label = how.type, how.token_id, how.token_label
        row.session_id, row.app_id, row.app_name = how.session_id, how.app_id, how.app_name
    if content is not None:
        row.content_kind, row.content_id, row.content_key = content.kind, content.id, content.key
        row.content_name, row.content_url = content.name, content.url
    if space is not None:
        row.space_kind, row.space_id, row.space_key, row.space_name = space.kind, space.id, space.key, space.name
    if site is not None:
        row.site_id, row.site_name = site.id, site.name or site.url
    if app is not None:
        row.other_app_id, row.other_app_name = app.id or app.key, app.name
    row.product, row.domain, row.related = event.product, event.domain, event.related
    row.changes = tuple([Changed(one.field, one.before, one.after) for one in event.changes]) or None
    if also is not None:
        row.also = (*_people(also.users), *_things(also.things)) or None
    row.marks = event.marks or None
    row.processed_after = None if processed is None else (processed - event.time_ms) // 1000
    if code is None or content is None or content.id is None:
        row.message = event.message
    row.source, row.object, row.line = place.source, place.object, line
    return row


def row_of_problem(problem: str, place: Place, line: int, *, feed: str | None, time: Milliseconds | None) -> Row:
    """Return the row of a line that is no event; its time is when it was stored."""
    row = Row(time=time, feed=feed, problem=problem[:LONGEST] or "it cannot be read")
    row.source, row.object, row.line = place.source, place.object, line
    return row


def fitting(text: str) -> str:
    """Return a text as it stands in the index."""
    return text if len(text) <= LONGEST else text[:LONGEST]


def cut(row: Row) -> Row:
    """Return a row with its long texts cut, marked where there were any."""
    found: Row = _cut(row)
    if found is row:
        return row
    found.marks = (*(found.marks or ()), CUT)
    return found


def _cut(value: Any) -> Any:
    """Return a value with texts that fit; the very same when they all did."""
    if isinstance(value, str):
        return fitting(value)
    if isinstance(value, tuple):
        parts = tuple(_cut(one) for one in value)
        return value if all(map(_is, parts, value)) else parts
    if isinstance(value, msgspec.Struct):
        changed = {
            name: new for name in value.__struct_fields__ if (new := _cut(old := getattr(value, name))) is not old
        }
        return msgspec.structs.replace(value, **changed) if changed else value
    return value


def _is(one: Any, other: Any) -> bool:
    return one is other


_NOBODY = (None, None, None)


def _who(actor: Actor | None, instance: str) -> str | None:
    """Return what somebody is found by: the id, else the address in lower case, else the name."""
    if actor is None:
        return None
    if actor.address and not actor.id:
        return actor.address.lower()
    own = actor.id or actor.name
    return f"{instance}/{own}" if own and instance else own


def _roles(event: AuditEvent) -> tuple[str, ...] | None:
    more = event.also.roles if event.also is not None else ()
    return (*((event.target_role,) if event.target_role else ()), *more) or None


def _people(users: Iterable[Actor]) -> Iterable[Named]:
    return (Named("user", one.id, one.address, one.name) for one in users)


def _things(things: Iterable[Thing]) -> Iterable[Named]:
    return (Named(one.kind, one.id, one.key, one.name) for one in things)


class Column(msgspec.Struct, frozen=True):
    """A column: its key in rows, its name, and the types in rows and in the table."""

    key: str
    name: str
    json: str
    type: str


_TYPES = {
    str: "VARCHAR",
    int: "BIGINT",
    tuple[str, ...]: "VARCHAR[]",
    tuple[Named, ...]: "STRUCT(kind VARCHAR, id VARCHAR, key VARCHAR, name VARCHAR)[]",
    tuple[Changed, ...]: 'STRUCT("field" VARCHAR, "before" VARCHAR, "after" VARCHAR)[]',
}
_MOMENTS = {"@timestamp"}


def _columns() -> tuple[Column, ...]:
    hints = get_type_hints(Row)
    found = []
    for field, name in zip(msgspec.structs.fields(Row), _names, strict=True):
        kind = _TYPES[next(one for one in get_args(hints[field.name]) if one is not type(None))]
        found.append(Column(field.encode_name, name, kind, "TIMESTAMPTZ" if name in _MOMENTS else kind))
    return tuple(found)


COLUMNS = _columns()
"""All of them, in the order of the table."""

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

_LISTS = tuple(one for one in COLUMNS if one.type.endswith("[]"))


def _structure(kind: str) -> str:
    """Return a type of lists as `from_json` takes it."""
    members = re.findall(r'"?(\w+)"? VARCHAR', kind)
    return "[{" + ", ".join(f'"{name}": "VARCHAR"' for name in members) + "}]" if members else '["VARCHAR"]'


_AS_JSON = ", ".join(f'to_json("{one.name}")::varchar as "{one.name}"' for one in _LISTS)

STORED = f"""* exclude (act, "url.full") replace
(if(regexp_full_match("event.id", '{_UUID}'), null, "event.id") as "event.id", {_AS_JSON}),
if(regexp_full_match("event.id", '{_UUID}'), "event.id"::uuid, null) as "event.uuid\""""
"""What is written of the table: of an id that is a UUID its 16 bytes, lists as texts of JSON, and no address of
content, which `names` has. A list is read five times as slowly as a text, also where there is none."""

IS_PLAIN_VIEW = """(suffix("event.code", '.view') and "atlassian.audit.changes" is null
  and coalesce("atlassian.audit.content.id", "atlassian.audit.content.key") is not null
  and "on_behalf_of.id" is null and "impersonated.id" is null) is true"""
"""Of an event: it is a view of a page or issue that it names, by an account for itself, as most are. They lie apart
from all other events."""

_RESTORED = {one.name: f"""from_json("{one.name}", '{_structure(one.type)}')""" for one in _LISTS} | {
    "event.id": 'coalesce("event.id", "event.uuid"::varchar)',
    "act": 'coalesce("event.code", "event.action")',
    "url.full": "null::varchar",
}

RESTORED = ", ".join(f'{_RESTORED.get(one.name, chr(34) + one.name + chr(34))} as "{one.name}"' for one in COLUMNS)
"""The inverse: what was written, as the table was, but for addresses of content."""
