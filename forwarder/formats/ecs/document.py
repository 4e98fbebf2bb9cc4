"""The shape of an ECS document as it is encoded: one structure for each object, absent facts left out."""

from __future__ import annotations

import msgspec

from forwarder.contracts import Also, Authentication, Change, Late, Thing


class Group(msgspec.Struct, gc=False, omit_defaults=True):
    """`group` and `user.group`."""

    id: str | None = None
    name: str | None = None


class User(msgspec.Struct, gc=False, omit_defaults=True):
    """`user`, with whom it was done to, what changed of that one, and as whom."""

    id: str | None = None
    full_name: str | None = None
    name: str | None = None
    email: str | None = None
    roles: tuple[str, ...] = ()
    group: Group | None = None
    target: User | None = None
    changes: User | None = None
    effective: User | None = None


class Event(msgspec.Struct, gc=False, omit_defaults=True):
    """`event`."""

    kind: str
    module: str
    dataset: str
    provider: str
    id: str
    action: str | None = None
    code: str | None = None
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    outcome: str | None = None
    reason: str | None = None
    severity: int = 0
    created: str | None = None
    ingested: str | None = None
    original: str | None = None


class Geo(msgspec.Struct, gc=False, omit_defaults=True):
    """`source.geo`."""

    country_name: str | None = None
    region_name: str | None = None
    city_name: str | None = None
    location: msgspec.Raw | None = None
    name: str | None = None


class Source(msgspec.Struct, gc=False, omit_defaults=True):
    """`source`."""

    ip: str | None = None
    address: str | None = None
    geo: msgspec.Raw | None = None


class Url(msgspec.Struct, gc=False, omit_defaults=True):
    """`url`."""

    full: str
    domain: str | None = None


class Related(msgspec.Struct, gc=False, omit_defaults=True):
    """`related`."""

    user: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class UserAgent(msgspec.Struct, gc=False):
    """`user_agent`."""

    original: str


class Audit(msgspec.Struct, gc=False, omit_defaults=True):
    """What ECS lacks."""

    feed: str | None = None
    layer: str | None = None
    product: str | None = None
    act: str | None = None
    action_name: str | None = None
    actor_kind: str | None = None
    processed_at: str | None = None
    revision: str | None = None
    marks: tuple[str, ...] = ()
    authentication: Authentication | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    roles: tuple[str, ...] = ()
    domain: str | None = None
    also: Also | None = None
    changes: tuple[Change, ...] = ()
    context: msgspec.Raw | None = None
    container: msgspec.Raw | None = None
    related: str | None = None
    late: Late | None = None


class Atlassian(msgspec.Struct, gc=False):
    """What ECS lacks."""

    audit: Audit


class Document(msgspec.Struct, gc=False, omit_defaults=True):
    """The whole document."""

    timestamp: str | None = msgspec.field(name="@timestamp", default=None)
    ecs: msgspec.Raw | None = None
    event: Event | None = None
    message: str | None = None
    organization: msgspec.Raw | None = None
    user: User | None = None
    group: Group | None = None
    source: Source | None = None
    url: Url | None = None
    user_agent: UserAgent | None = None
    related: Related | None = None
    observer: msgspec.Raw | None = None
    atlassian: Atlassian | None = None
    tags: tuple[str, ...] = ()
