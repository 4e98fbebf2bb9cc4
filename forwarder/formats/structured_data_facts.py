"""Which fact of an event stands under which name of structured data, as they differ from event to event.

Names and values come in turns in one flat list, a name as `BEFORE` has it: the fastest shape to look through and to
join. An absent fact is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Actor, AuditEvent, Authentication, Thing
from forwarder.formats.structured_data_names import BEFORE

if TYPE_CHECKING:
    from collections.abc import Callable

HASH = 32
"""Characters of a document id, without the digest of a revision."""

_ID, ACTOR_ID, ACTOR_NAME, ACTOR_EMAIL = BEFORE["id"], BEFORE["actor_id"], BEFORE["actor_name"], BEFORE["actor_email"]
_ACTOR = (ACTOR_ID, ACTOR_NAME, ACTOR_EMAIL)
_EFFECTIVE = (BEFORE["effective_id"], BEFORE["effective_name"], BEFORE["effective_email"])
_TARGET = (BEFORE["target_id"], BEFORE["target_name"], BEFORE["target_email"])
_ACTOR_KIND, _IP, _ADDRESS = BEFORE["actor_kind"], BEFORE["source_ip"], BEFORE["source_address"]
_AGENT, _ROLE, _MESSAGE = BEFORE["user_agent"], BEFORE["target_role"], BEFORE["message"]
_KIND, _PROCESSED = BEFORE["object_kind"], BEFORE["processed_at"]
_ORGANIZATION_NAME = BEFORE["organization_name"]
_AUTH, _TOKEN, _TOKEN_LABEL = BEFORE["auth_type"], BEFORE["token_id"], BEFORE["token_label"]
_SESSION, _AUTH_APP = BEFORE["session_id"], BEFORE["auth_app_id"]
_OBJECT = (BEFORE["object_id"], BEFORE["object_key"], BEFORE["object_name"], BEFORE["object_url"])
_GROUP = (BEFORE["group_id"], None, BEFORE["group_name"], None)
_SPACE = (BEFORE["space_id"], BEFORE["space_key"], BEFORE["space_name"], None)
_SITE = (BEFORE["site_id"], None, BEFORE["site_name"], BEFORE["site_url"])
_APP = (BEFORE["app_id"], None, BEFORE["app_name"], None)
_CHANGES, _CONTEXT, _CONTAINER = BEFORE["changes"], BEFORE["context"], BEFORE["container"]


def facts(event: AuditEvent, write: Callable[[int], str]) -> list[str]:
    """Return what differs from event to event; `write` makes a text of a moment."""
    parts = [_ID, event.event_id or event.document_id[:HASH]]
    if event.actor is not None:
        _add_person(parts, event.actor, _ACTOR)
        if event.actor.kind is not None:
            parts += _ACTOR_KIND, event.actor.kind
    if event.ip is not None:
        parts += _IP, event.ip
    if event.source_address is not None:
        parts += _ADDRESS, event.source_address
    if event.user_agent is not None:
        parts += _AGENT, event.user_agent
    effective = event.impersonated or event.on_behalf_of
    if effective is not None:
        _add_person(parts, effective, _EFFECTIVE)
    if event.authentication is not None:
        _add_authentication(parts, event.authentication)
    _add_things(parts, event)
    if event.message is not None:
        parts += _MESSAGE, event.message
    if event.processed_ms is not None:
        parts += _PROCESSED, write(event.processed_ms)
    return parts


def _add_person(parts: list[str], person: Actor, before: tuple[str, str, str]) -> None:
    if person.id is not None:
        parts += before[0], person.id
    if person.name is not None:
        parts += before[1], person.name
    if person.address is not None:
        parts += before[2], person.address


def _add_authentication(parts: list[str], told: Authentication) -> None:
    if told.type is not None:
        parts += _AUTH, told.type
    if told.token_id is not None:
        parts += _TOKEN, told.token_id
    if told.token_label is not None:
        parts += _TOKEN_LABEL, told.token_label
    if told.session_id is not None:
        parts += _SESSION, told.session_id
    if told.app_id is not None:
        parts += _AUTH_APP, told.app_id


def _add_things(parts: list[str], event: AuditEvent) -> None:
    if event.target_user is not None:
        _add_person(parts, event.target_user, _TARGET)
    if event.target_role is not None:
        parts += _ROLE, event.target_role
    if event.target_group is not None:
        _add_thing(parts, event.target_group, _GROUP)
    if event.content is not None:
        parts += _KIND, event.content.kind
        _add_thing(parts, event.content, _OBJECT)
    if event.space is not None:
        _add_thing(parts, event.space, _SPACE)
    if event.site is not None:
        _add_thing(parts, event.site, _SITE)
    if event.app is not None:
        _add_thing(parts, event.app, _APP)
    if event.organization_name is not None:
        parts += _ORGANIZATION_NAME, event.organization_name


def _add_thing(parts: list[str], thing: Thing, before: tuple[str, str | None, str, str | None]) -> None:
    ident, key, name, url = before
    if thing.id is not None:
        parts += ident, thing.id
    if key is not None and thing.key is not None:
        parts += key, thing.key
    if thing.name is not None:
        parts += name, thing.name
    if url is not None and thing.url is not None:
        parts += url, thing.url


def json_facts(event: AuditEvent) -> list[str]:
    """Return the JSON of an event."""
    large: list[str] = []
    if event.changes:
        large += _CHANGES, msgspec.json.encode(event.changes).decode("utf-8", "replace")
    if event.context is not None:
        large += _CONTEXT, str(event.context, "utf-8", "replace")
    if event.container is not None:
        large += _CONTAINER, str(event.container, "utf-8", "replace")
    return large
