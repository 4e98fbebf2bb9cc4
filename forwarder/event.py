"""The canonical event between normalisers and formats: who, did what, to what, where, from where, when."""

from __future__ import annotations

from typing import Literal

import msgspec


class Actor(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """Who acted, or was acted on. Absent facts are None; nothing is guessed."""

    id: str | None = None
    name: str | None = None
    address: str | None = None  # an e-mail address, only when it is one
    kind: Literal["person", "app", "system", "anonymous", "support"] | None = None


class Authentication(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How the actor was authenticated."""

    type: str | None = None
    token_id: str | None = None
    token_label: str | None = None
    session_id: str | None = None
    app_id: str | None = None


class Thing(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Content or a container: a page, space, issue, project, group, role, policy, app, site …."""

    kind: str
    id: str | None = None
    key: str | None = None
    name: str | None = None
    url: str | None = None


class Change(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One field that changed."""

    field: str
    before: str | None = None
    after: str | None = None


class AuditEvent(msgspec.Struct, gc=False, omit_defaults=True):
    """The canonical event that every format renders. An absent fact is None or empty, never a guess.

    Times are epoch milliseconds. `context` and `container` are the untouched JSON of the API, validated as JSON.
    `layer` says which part of the catalogue decided the meaning: attested, organization, words or unknown.
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
    severity: int = 0
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
    context: msgspec.Raw | None = None
    container: msgspec.Raw | None = None
    attributes: msgspec.Raw | None = None
