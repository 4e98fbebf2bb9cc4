"""The columns of the index: one row an event, of what the questions ask for, under the names of ECS where it has one.

`Row` and what rows share (`GROUPS`) are the table: their fields are the columns, their annotations the types. A text is
at most `LONGEST` characters, and `marks` says `cut` of a row that had longer ones; what is longer is in the evidence,
at `evidence.object` and `evidence.line`. A line that could not be read as an event is a row as well, of which `problem`
says why.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 8
"""Of the columns and what they mean; an index of another version is made anew."""

LONGEST = 2000
"""Characters of a text in the index."""

CUT = "cut"

SMALL = 8 * 1024
"""Bytes of a row that is not looked at for long texts."""

Milliseconds = int
"""Of the epoch; a moment in the table, of UTC (TIMESTAMP): with a zone (TIMESTAMPTZ), DuckDB takes ten times as long to
find the hour of one."""


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


_names: dict[str, str] = {}


def _column(name: str) -> Any:
    """Return a column; in JSON rows it has a short key, which both sides read sooner."""
    key = f"{len(_names):x}"
    _names[key] = name
    return msgspec.field(name=key, default=None)


class Line(msgspec.Struct, gc=False, frozen=True):
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


class Group(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    """Columns that have the same values in many rows: these are written once, and rows have the number.

    Attributes:
        number: Of these values.
        of: Which group.
    """

    number: int = 0


class Who(Group, gc=False, omit_defaults=True, tag_field="of"):
    """Who acts.

    Attributes:
        who: The actor's id, else e-mail address in lower case, else name: what the index is sorted by. Ids and names of
            a Data Center are of that instance only, and begin with its host: `jira.example.com/JIRAUSER10100`.
        user_keys: What the product calls the actor besides the id: keys of Jira and Confluence, user names.
    """

    who: str | None = _column("who")
    user_id: str | None = _column("user.id")
    user_name: str | None = _column("user.full_name")
    user_email: str | None = _column("user.email")
    user_keys: tuple[str, ...] | None = _column("user.keys")
    actor_kind: str | None = _column("atlassian.audit.actor_kind")


class Act(Group, gc=False, omit_defaults=True, tag_field="of"):
    """What was done.

    Attributes:
        act: `event.code`, else `event.action`: never empty where an event has an action.
        problem: Why the line is no event; None for an event.
    """

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
    product: str | None = _column("atlassian.audit.product")
    domain: str | None = _column("atlassian.audit.domain")
    problem: str | None = _column("problem")


class Whence(Group, gc=False, omit_defaults=True, tag_field="of"):
    """Where from."""

    ip: str | None = _column("source.ip")
    address: str | None = _column("source.address")
    country: str | None = _column("source.geo.country_name")
    region: str | None = _column("source.geo.region_name")
    city: str | None = _column("source.geo.city_name")
    user_agent: str | None = _column("user_agent.original")


class How(Group, gc=False, omit_defaults=True, tag_field="of"):
    """How the actor was authenticated, and through which app."""

    authentication: str | None = _column("atlassian.audit.authentication.type")
    token_id: str | None = _column("atlassian.audit.authentication.token_id")
    token_label: str | None = _column("atlassian.audit.authentication.token_label")
    session_id: str | None = _column("atlassian.audit.authentication.session_id")
    app_id: str | None = _column("atlassian.audit.authentication.app_id")
    app_name: str | None = _column("atlassian.audit.authentication.app_name")


class Site(Group, gc=False, omit_defaults=True, tag_field="of"):
    """The organization and its site."""

    organization: str | None = _column("organization.id")
    site_id: str | None = _column("atlassian.audit.site.id")
    site_name: str | None = _column("atlassian.audit.site.name")


class Space(Group, gc=False, omit_defaults=True, tag_field="of"):
    """Where the content lies."""

    space_kind: str | None = _column("atlassian.audit.space.kind")
    space_id: str | None = _column("atlassian.audit.space.id")
    space_key: str | None = _column("atlassian.audit.space.key")
    space_name: str | None = _column("atlassian.audit.space.name")


class Content(Group, gc=False, omit_defaults=True, tag_field="of"):
    """What it is about: a page, an issue and the like."""

    content_kind: str | None = _column("atlassian.audit.content.kind")
    content_id: str | None = _column("atlassian.audit.content.id")
    content_key: str | None = _column("atlassian.audit.content.key")
    content_name: str | None = _column("atlassian.audit.content.name")
    content_url: str | None = _column("url.full")


class Place(Group, gc=False, omit_defaults=True, tag_field="of"):
    """What rows of one object say of it.

    Attributes:
        source: Of the archive.
        object: Where in the evidence they stand.
    """

    source: str | None = _column("source")
    object: str | None = _column("evidence.object")


class More(Group, gc=False, omit_defaults=True, tag_field="of"):
    """What few events say.

    Attributes:
        target, on_behalf_of, impersonated: As `who`: whom it was done to, for and as. For and as are opposites.
        roles: Every role it speaks of.
        also: Whom and what the event names besides the first of each kind; the view `events` adds these (`touched`).
        message: Only where there is no id of content, or no `event.code`: else the columns say it.
    """

    target: str | None = _column("target")
    target_id: str | None = _column("user.target.id")
    target_name: str | None = _column("user.target.full_name")
    target_email: str | None = _column("user.target.email")
    on_behalf_of: str | None = _column("on_behalf_of")
    on_behalf_of_id: str | None = _column("on_behalf_of.id")
    on_behalf_of_name: str | None = _column("on_behalf_of.full_name")
    on_behalf_of_email: str | None = _column("on_behalf_of.email")
    impersonated: str | None = _column("impersonated")
    impersonated_id: str | None = _column("impersonated.id")
    impersonated_name: str | None = _column("impersonated.full_name")
    impersonated_email: str | None = _column("impersonated.email")
    group_id: str | None = _column("group.id")
    group_name: str | None = _column("group.name")
    roles: tuple[str, ...] | None = _column("atlassian.audit.roles")
    other_app_id: str | None = _column("atlassian.audit.app.id")
    other_app_name: str | None = _column("atlassian.audit.app.name")
    changes: tuple[Changed, ...] | None = _column("atlassian.audit.changes")
    also: tuple[Named, ...] | None = _column("also")
    marks: tuple[str, ...] | None = _column("atlassian.audit.marks")
    related: str | None = _column("atlassian.audit.related")
    message: str | None = _column("message")


class Row(msgspec.Struct, gc=False):
    """One line of the evidence.

    Attributes:
        by, what, whence, how, site, space, content, more, place: Numbers of what it shares with others (`GROUPS`).
        processed_after: Seconds from the event to its processing by Atlassian.
        line: Where in the object it stands, counted from 1.
    """

    by: int | None = None
    what: int | None = None
    whence: int | None = None
    how: int | None = None
    site: int | None = None
    space: int | None = None
    content: int | None = None
    more: int | None = None
    place: int | None = None
    time: Milliseconds | None = _column("@timestamp")
    id: str | None = _column("event.id")
    processed_after: int | None = _column("processed_after")
    line: int | None = _column("evidence.line")


GROUPS: dict[str, type[Group]] = {
    "what": Act,
    "by": Who,
    "whence": Whence,
    "how": How,
    "site": Site,
    "space": Space,
    "content": Content,
    "more": More,
    "place": Place,
}
"""What rows share, by their field that has its number."""


def fitting(text: str) -> str:
    """Return a text as it stands in the index."""
    return text if len(text) <= LONGEST else text[:LONGEST]


def cut(value: Any) -> Any:
    """Return a group or a value in one with texts that fit; the very same when they all did."""
    if isinstance(value, str):
        return fitting(value)
    if isinstance(value, tuple):
        parts = tuple(cut(one) for one in value)
        return value if all(map(_is, parts, value)) else parts
    if isinstance(value, msgspec.Struct):
        changed = {
            name: new for name in value.__struct_fields__ if (new := cut(old := getattr(value, name))) is not old
        }
        return msgspec.structs.replace(value, **changed) if changed else value
    return value


def _is(one: Any, other: Any) -> bool:
    return one is other


class Column(msgspec.Struct, frozen=True):
    """A column: the group it is of, if any, its key in rows, its name, and the types in rows and in the table."""

    of: str | None
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


def _columns() -> Iterator[Column]:
    shapes: dict[str | None, type[msgspec.Struct]] = {kind.__name__: kind for kind in GROUPS.values()}
    for of, shape in (shapes | {None: Row}).items():
        hints = get_type_hints(shape)
        for field in msgspec.structs.fields(shape):
            if field.encode_name in _names:
                kind = _TYPES[next(one for one in get_args(hints[field.name]) if one is not type(None))]
                name = _names[field.encode_name]
                moment = "TIMESTAMP" if name in _MOMENTS else kind
                yield Column(of, field.encode_name, name, kind, moment)


COLUMNS = tuple(_columns())
"""All of them, in the order of the table."""

_LISTS = tuple(one for one in COLUMNS if one.type.endswith("[]"))


def _structure(kind: str) -> str:
    """Return a type of lists as `from_json` takes it."""
    members = re.findall(r'"?(\w+)"? VARCHAR', kind)
    return "[{" + ", ".join(f'"{name}": "VARCHAR"' for name in members) + "}]" if members else '["VARCHAR"]'


_AS_JSON = ", ".join(f'to_json("{one.name}")::varchar as "{one.name}"' for one in _LISTS)

_IS_UUID = 'coalesce(try_cast("event.id" as uuid)::varchar = "event.id", false)'
"""Of an event: its id is a UUID, written as DuckDB writes one."""

AS_STORED = '"@timestamp"::timestamp_ms as "@timestamp"'
"""Of what is read of a file: how it is written again."""

STORED = f"""* exclude (act, "url.full") replace
({AS_STORED}, if({_IS_UUID}, null, "event.id") as "event.id", {_AS_JSON}),
if({_IS_UUID}, try_cast("event.id" as uuid), null) as "event.uuid\""""
"""What is written of the table: of an id that is a UUID its 16 bytes, lists as texts of JSON, and no address of
content, which `names` has. A list is read five times as slowly as a text, also where there is none. Times have no
microseconds, which are always 0."""

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
