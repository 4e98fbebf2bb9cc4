"""The facts of an event one by one, under names that a format chooses, as they differ from event to event.

For formats of names and values in a row. Names and values come in turns in one flat list, a name as what stands in
front of its value: the fastest shape to look through and to join. An absent fact is not in it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import Actor, AuditEvent, Authentication, Thing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HASH = 32
"""Characters of a document id, without the digest of a revision."""

_PERSON = ("id", "user", "name", "email")
_THING = ("id", "key", "name", "url", "vendor", "api_url")
_AUTHENTICATION = (
    "auth_type", "token_id", "token_label", "session_id", "auth_app_id", "auth_app_name", "auth_app_kind"
)  # fmt: skip


class NamedFacts:
    """Lists the facts of events. A fact that the format has no name for is left out.

    A format may have one name for what others have several for: `…_user` is the address or else the name of a person,
    `effective` the id or else these, `group` and `space` what each is known by.

    Args:
        before: What stands in front of a value, by the name of the fact.
        write: Makes a text of a moment.
    """

    def __init__(self, before: Mapping[str, str], write: Callable[[int], str]) -> None:
        def some(of: str, names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(before.get(f"{of}_{name}", "") for name in names)

        self._write = write
        self._id, self._actor_kind, self._ip = before["id"], before["actor_kind"], before["source_ip"]
        self._ipv6 = before.get("source_ipv6", self._ip)
        self._source, self._user_agent = before["source_address"], before["user_agent"]
        self._role, self._kind, self._message = before["target_role"], before["object_kind"], before["message"]
        self._object_role = before.get("object_role", self._role)
        self._domain, self._related = before["domain"], before["related"]
        self._processed, self._organization_name = before["processed_at"], before["organization_name"]
        self._actor, self._effective, self._target = (some(of, _PERSON) for of in ("actor", "effective", "target"))
        self._auth = tuple(before.get(name, "") for name in _AUTHENTICATION)
        self._content, self._group, self._space, self._site, self._app = (
            some(of, _THING) for of in ("object", "group", "space", "site", "app")
        )
        self._one_effective, self._one_group, self._one_space = (
            before.get(name, "") for name in ("effective", "group", "space")
        )
        self._app_is_object = not any(self._app)
        self._late = (before["late_seconds"], before["late_reader"])
        self._json = (before["also"], before["changes"], before["context"], before["container"])

    def of(self, event: AuditEvent) -> list[str]:
        """Return all but the JSON of an event; its id comes first."""
        parts = [self._id, event.event_id or event.document_id[:HASH]]
        if event.actor is not None:
            _add_person(parts, event.actor, self._actor)
            if event.actor.kind is not None:
                parts += self._actor_kind, event.actor.kind
        if event.ip is not None:
            parts += self._ipv6 if ":" in event.ip else self._ip, event.ip
        if event.source_address is not None:
            parts += self._source, event.source_address
        if event.user_agent is not None:
            parts += self._user_agent, event.user_agent
        if event.impersonated is not None or event.on_behalf_of is not None:
            self._add_effective(parts, event.impersonated or event.on_behalf_of)
        if event.authentication is not None:
            _add_authentication(parts, event.authentication, self._auth)
        self._add_targets(parts, event)
        self._add_places(parts, event)
        if event.message is not None:
            parts += self._message, event.message
        if event.processed_ms is not None:
            parts += self._processed, self._write(event.processed_ms)
        return parts

    def _add_found(self, parts: list[str], event: AuditEvent) -> None:
        """Add what was found out about an event beside what it says itself."""
        if event.related is not None:
            parts += self._related, event.related
        if event.late is not None:
            seconds, reader = self._late
            if event.late.seconds is not None:
                parts += seconds, str(event.late.seconds)
            if event.late.reader:
                parts += reader, event.late.reader

    def _add_effective(self, parts: list[str], person: Actor | None) -> None:
        if person is None:
            return
        if self._one_effective and (named := person.id or person.address or person.name):
            parts += self._one_effective, named
        _add_person(parts, person, self._effective)

    def _add_targets(self, parts: list[str], event: AuditEvent) -> None:
        if event.target_user is not None:
            _add_person(parts, event.target_user, self._target)
        if event.target_role is not None:
            parts += (self._role if event.target_user is not None else self._object_role), event.target_role
        group = event.target_group
        if group is not None:
            if self._one_group and (named := group.name or group.id):
                parts += self._one_group, named
            _add_thing(parts, group, self._group)

    def _add_places(self, parts: list[str], event: AuditEvent) -> None:
        space, content = event.space, event.content
        if space is not None and self._one_space and (named := space.key or space.name or space.id):
            parts += self._one_space, named
        if content is None and self._app_is_object:
            content = event.app
        if content is not None:
            parts += self._kind, content.kind
            _add_thing(parts, content, self._content)
        if space is not None:
            _add_thing(parts, space, self._space)
        if event.site is not None:
            _add_thing(parts, event.site, self._site)
        if event.app is not None:
            _add_thing(parts, event.app, self._app)
        if event.domain is not None:
            parts += self._domain, event.domain
        if event.organization_name is not None:
            parts += self._organization_name, event.organization_name
        if event.related is not None or event.late is not None:
            self._add_found(parts, event)

    def json_of(self, event: AuditEvent) -> list[str]:
        """Return the JSON of an event: what else it names, changes, context, container."""
        also, changes, context, container = self._json
        large: list[str] = []
        if event.also is not None:
            large += also, _json(event.also)
        if event.changes:
            large += changes, _json(event.changes)
        if event.context is not None:
            large += context, str(event.context, "utf-8", "replace")
        if event.container is not None:
            large += container, str(event.container, "utf-8", "replace")
        return large


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # half a character, in an event of a source that lets it through
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return _HALF.sub("\ufffd", text)


_HALF = re.compile("[\ud800-\udfff]")


def _add_person(parts: list[str], person: Actor, before: tuple[str, ...]) -> None:
    ident, user, name, email = before
    if ident and person.id is not None:
        parts += ident, person.id
    if user and (known_as := person.address if person.address is not None else person.name) is not None:
        parts += user, known_as
    if person.name is not None:
        parts += name, person.name
    if email and person.address is not None:
        parts += email, person.address


def _add_authentication(parts: list[str], how: Authentication, before: tuple[str, ...]) -> None:
    kind, token_id, token_label, session, app, app_name, app_kind = before
    if how.type is not None:
        parts += kind, how.type
    if how.token_id is not None:
        parts += token_id, how.token_id
    if how.token_label is not None:
        parts += token_label, how.token_label
    if session and how.session_id is not None:
        parts += session, how.session_id
    if how.app_id is not None:
        parts += app, how.app_id
    if how.app_name is not None:
        parts += app_name, how.app_name
    if how.app_kind is not None:
        parts += app_kind, how.app_kind


def _add_thing(parts: list[str], thing: Thing, before: tuple[str, ...]) -> None:
    ident, key, name, url, vendor, api_url = before
    if ident and thing.id is not None:
        parts += ident, thing.id
    if key and thing.key is not None:
        parts += key, thing.key
    if name and thing.name is not None:
        parts += name, thing.name
    if url and thing.url is not None:
        parts += url, thing.url
    if vendor and thing.vendor is not None:
        parts += vendor, thing.vendor
    if api_url and thing.api_url is not None:
        parts += api_url, thing.api_url
