"""What of an event can be looked for in any other: who, from which address, which group, which thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.formats.ocsf.document import Observable

if TYPE_CHECKING:
    from forwarder.contracts import Also, AuditEvent
    from forwarder.formats.ocsf.document import ActingUser, Event, Group, Resource, Unmapped, User

TYPES = {
    1: "Hostname",
    2: "IP Address",
    4: "User Name",
    5: "Email Address",
    6: "URL String",
    10: "Resource UID",
    16: "HTTP User-Agent",
    19: "User Credential ID",
    31: "User Object: uid",
    32: "Group Object: name",
    33: "Group Object: uid",
}
"""Types of observables that we have, by their number (OCSF 1.8.0)."""


def _run(name: str, number: int) -> msgspec.Raw:
    kind = {"name": name, "type_id": number, "type": TYPES[number]}
    return msgspec.Raw(msgspec.json.encode(kind)[len(b'{"name":') : -1])


_ACTOR, _ACTOR_MAIL = _run("actor.user.uid", 31), _run("actor.user.email_addr", 5)
_USER, _USER_MAIL = _run("user.uid", 31), _run("user.email_addr", 5)
_CREDENTIAL, _AGENT = _run("actor.session.credential_uid", 19), _run("http_request.user_agent", 16)
_IP, _HOST = _run("src_endpoint.ip", 2), _run("dst_endpoint.hostname", 1)
_GROUP, _GROUP_NAME = _run("group.uid", 33), _run("group.name", 32)
_WEB, _URL = _run("web_resources[0].uid", 10), _run("web_resources[0].url_string", 6)
_LEFT_IP, _LEFT_AGENT = _run("unmapped.source.ip", 2), _run("unmapped.user_agent", 16)
_TARGET, _OTHER, _IMPERSONATED = (
    (_run(f"unmapped.{who}.id", 31), _run(f"unmapped.{who}.address", 5), _run(f"unmapped.{who}.name", 4))
    for who in ("target_user", "on_behalf_of", "impersonated")
)
_LEFT_GROUP = _run("unmapped.target_group.id", 33)


def observe(event: AuditEvent, made: Event, rest: Unmapped, host: str | None) -> list[Observable]:
    """Return the observables; `host` is that of `dst_endpoint`, when the event has one."""
    found: list[Observable] = []
    if made.actor is not None:
        _add_actor(found, made.actor)
    if made.user is not None:
        _add_user(found, made.user, _USER, _USER_MAIL)
    if event.ip is not None and (made.src_endpoint is None or made.src_endpoint.ip is not None):
        found.append(Observable(_IP if made.src_endpoint is not None else _LEFT_IP, event.ip))
    if made.group is not None:
        _add_group(found, made.group)
    if made.web_resources:
        _add_resource(found, made.web_resources[0])
    if host is not None:
        found.append(Observable(_HOST, host))
    if event.user_agent is not None:
        found.append(Observable(_AGENT if made.http_request is not None else _LEFT_AGENT, event.user_agent))
    if rest.also is not None:
        _add_also(found, rest.also)
    if rest.target_user or rest.on_behalf_of or rest.impersonated or rest.target_group:
        _add_rest(found, rest)
    return found


def _add_actor(found: list[Observable], actor: ActingUser) -> None:
    if actor.user is not None:
        _add_user(found, actor.user, _ACTOR, _ACTOR_MAIL)
    if actor.session is not None and actor.session.credential_uid is not None:
        found.append(Observable(_CREDENTIAL, actor.session.credential_uid))


def _add_user(found: list[Observable], user: User, uid: msgspec.Raw, mail: msgspec.Raw) -> None:
    if user.uid is not None:
        found.append(Observable(uid, user.uid))
    if user.email_addr is not None:
        found.append(Observable(mail, user.email_addr))


def _add_group(found: list[Observable], group: Group) -> None:
    if group.uid is not None:
        found.append(Observable(_GROUP, group.uid))
    if group.name is not None:
        found.append(Observable(_GROUP_NAME, group.name))


def _add_resource(found: list[Observable], resource: Resource) -> None:
    if resource.uid is not None:
        found.append(Observable(_WEB, resource.uid))
    if resource.url_string is not None:
        found.append(Observable(_URL, resource.url_string))


def _add_also(found: list[Observable], also: Also) -> None:
    for place, person in enumerate(also.users):
        if person.id is not None:
            found.append(Observable(_run(f"unmapped.also.users[{place}].id", 31), person.id))
        if person.address is not None:
            found.append(Observable(_run(f"unmapped.also.users[{place}].address", 5), person.address))
        if person.name is not None and person.id is None and person.address is None:
            found.append(Observable(_run(f"unmapped.also.users[{place}].name", 4), person.name))
    for place, thing in enumerate(also.things):
        if thing.id is not None:
            number = 33 if thing.kind == "group" else 10
            found.append(Observable(_run(f"unmapped.also.things[{place}].id", number), thing.id))
        elif thing.kind == "group" and thing.name is not None:
            found.append(Observable(_run(f"unmapped.also.things[{place}].name", 32), thing.name))


def _add_rest(found: list[Observable], rest: Unmapped) -> None:
    for (ident, mail, name), person in (
        (_TARGET, rest.target_user),
        (_OTHER, rest.on_behalf_of),
        (_IMPERSONATED, rest.impersonated),
    ):
        if person is not None and person.id is not None:
            found.append(Observable(ident, person.id))
        if person is not None and person.address is not None:
            found.append(Observable(mail, person.address))
        if person is not None and person.name is not None and person.id is None and person.address is None:
            found.append(Observable(name, person.name))
    if rest.target_group is not None and rest.target_group.id is not None:
        found.append(Observable(_LEFT_GROUP, rest.target_group.id))
