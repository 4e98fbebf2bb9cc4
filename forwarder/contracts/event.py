"""The canonical event between normalisers and formats: who, did what, to what, where, from where, when."""

from __future__ import annotations

from typing import Literal

import msgspec

ActorKind = Literal["person", "app", "agent", "service_account", "system", "anonymous", "support"]
"""Kinds of actors: `person`, `app`, `agent` (of AI), `service_account`, `system` (a product by itself), `anonymous` (no
one was signed in), `support` (that of Atlassian)."""


class Actor(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """Who acted, or was acted on. Absent facts are None; nothing is guessed, the kind least of all."""

    id: str | None = None
    name: str | None = None
    address: str | None = None  # an e-mail address, only when it is one
    kind: ActorKind | None = None


class Authentication(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How the actor was authenticated, and through which app or agent."""

    type: str | None = None
    token_id: str | None = None
    token_label: str | None = None
    session_id: str | None = None
    app_id: str | None = None
    app_name: str | None = None
    app_kind: ActorKind | None = None  # `app`, `agent` or `service_account`, where the event states it


class Thing(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Content or a container: a page, space, issue, project, group, role, policy, app, site ….

    `url` is its address for people, `api_url` that in an API.
    """

    kind: str
    id: str | None = None
    key: str | None = None
    name: str | None = None
    url: str | None = None
    vendor: str | None = None
    api_url: str | None = None


class Change(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One field that changed."""

    field: str
    before: str | None = None
    after: str | None = None


class Also(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Who and what an event names besides the first of each kind."""

    users: tuple[Actor, ...] = ()
    things: tuple[Thing, ...] = ()
    roles: tuple[str, ...] = ()
    products: tuple[str, ...] = ()


LateKind = Literal["late", "recovered", "backfill"]
"""How an event came that did not come as it happened: read `late`, `recovered` by looking again, or as `backfill`, as
history that was asked for."""


class Late(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How an event was found that did not come as it happened.

    Attributes:
        kind: What it is.
        seconds: From the time of the event to our reading; None where it has no time.
        reader: Who brought it: the name of a cursor or of an act, such as `reread`; empty when that is not known.
    """

    kind: LateKind
    seconds: int | None = None
    reader: str = ""


class AuditEvent(msgspec.Struct, gc=False, omit_defaults=True):
    """The canonical event that every format renders. An absent fact is None or empty, never a guess.

    Times are epoch milliseconds. `context` and `container` are the untouched JSON of the API, validated as JSON.
    `act` and `object` say what was done to what kind of thing (`grant`, `permission`); `content` is that thing, `space`
    the place it lies in (space, project, repository). `layer` says which part of the catalogue decided the meaning:
    local, attested, organization, words or unknown. `ocsf_class` is 0 where no class of OCSF 1.8.0 is claimed. Of
    several users, groups, roles and products the first stands by itself, the others in `also`.
    """

    document_id: str
    feed: str
    organization: str
    action: str
    time_ms: int
    read_ms: int
    event_id: str | None = None
    processed_ms: int | None = None
    product: str | None = None
    action_name: str | None = None
    act: str | None = None
    layer: str = "unknown"
    category: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    outcome: Literal["success", "failure", "unknown"] = "unknown"
    reason: str | None = None  # why it came out so, in the words of the source
    severity: int = 0
    object: str | None = None
    ocsf_class: int = 0
    ocsf_activity: int = 0
    organization_name: str | None = None
    actor: Actor | None = None
    on_behalf_of: Actor | None = None
    impersonated: Actor | None = None
    authentication: Authentication | None = None
    target_user: Actor | None = None
    target_group: Thing | None = None
    target_role: str | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    ip: str | None = None
    source_address: str | None = None  # where from, when it is said but is no IP address
    geo: str | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None
    user_agent: str | None = None
    message: str | None = None
    changes: tuple[Change, ...] = ()
    marks: tuple[str, ...] = ()  # derived_id, time_missing, revision …
    time_text: str | None = None  # when it happened, as the source wrote it
    context: msgspec.Raw | None = None
    container: msgspec.Raw | None = None
    attributes: msgspec.Raw | None = None
    also: Also | None = None
    domain: str | None = None  # the domain an event is about
    is_alert: bool = False  # raised by a detector, not the record of an act
    related: str | None = None  # the same in every feed that records this change
    late: Late | None = None  # it did not come as it happened


class ListedAction(msgspec.Struct, frozen=True, omit_defaults=True):
    """An action as an organization itself lists it."""

    id: str
    name: str = ""
    groups: tuple[str, ...] = ()
