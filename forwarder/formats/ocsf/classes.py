"""Which class an act gets, and where the class wants its facts.

Every class requires something: whose account it was, which group. An event that does not name it cannot be of that
class, and nothing is made up to make it one: it gets the next class that says what is true, at last the Base Event.
What is done to a part of the one thing that is named (a restriction of a page, a comment on an issue) is an update of
that thing: the class knows no parts, and the page was not deleted.

A function here takes the facts of an event out of `rest` into the members of its class, and returns class and
activity; or it leaves both alone and returns None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from forwarder.catalogue.ocsf import BASE, OTHER
from forwarder.contracts import Thing
from forwarder.formats.ocsf.document import Api, Entity, Event, FindingInfo, Group, Resource, Service, Unmapped, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts import Actor, AuditEvent

FINDING, ACCOUNT, AUTHENTICATION, ENTITY, ACCESS, GROUP, WEB, API = 2004, 3001, 3002, 3004, 3005, 3006, 6001, 6003
UPDATE = 3  # of ENTITY and of WEB
_SWITCH = 7  # of AUTHENTICATION
_IN_A_PLACE = {2, 5, 7, OTHER}  # of WEB: true of a place when it is true of something in it
_OF_THE_WHOLE = {ENTITY: {2, OTHER}, WEB: {2, 5, 7, 8, OTHER}}
"""Activities that are true of a thing when they are true of a part of it: reading, searching, exporting, sharing."""

_OWN_ACCOUNT = "atlassian-account"
"""The log of what people do with their own account: whoever acts is whose account it is."""

_HOLDERS = {
    *(
        "page",
        "blog",
        "blogpost",
        "issue",
        "space",
        "project",
        "repository",
        "workspace",
        "site",
        "board",
        "whiteboard",
    ),
    *("database", "folder", "organization"),
}
"""Things that have parts which an act may be done to instead."""

_PARTS = {
    *("comment", "attachment", "worklog", "watcher", "tag", "restriction", "permission"),
    *("tab", "chart", "subscription", "version", "component"),
}
"""What never is a thing that is named otherwise."""

_SAME = {"blogpost": "blog", "blog_post": "blog"}

_ENTITY_TYPES = {"user": 2, "group": 3, "organization": 4, "policy": 5}
_ENTITY_CAPTIONS = {2: "User", 3: "Group", 4: "Organization", 5: "Policy"}
_USER_TYPES = {
    "person": msgspec.Raw(b'1,"type":"User"'),
    "system": msgspec.Raw(b'3,"type":"System"'),
    "app": msgspec.Raw(b'4,"type":"Service"'),
    "service_account": msgspec.Raw(b'4,"type":"Service"'),
    "agent": msgspec.Raw(b'99,"type":"AI agent"'),
    "anonymous": msgspec.Raw(b'99,"type":"Anonymous"'),
    "support": msgspec.Raw(b'99,"type":"Atlassian support"'),
}
_IMPERSONATE = msgspec.Raw(b'2,"account_switch_type":"Impersonate"')

_mail = re.compile(r"[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9.-]+").fullmatch
"""An address as OCSF has it; some that exist are none, and are the name only."""


def classify(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int]:
    """Fill in what the class of an event wants, and return class and activity."""
    fill = _FILLS.get(event.ocsf_class)
    found = fill(event, into, rest) if fill is not None else None
    return found or (BASE, 0 if event.layer == "unknown" else OTHER)


def user(actor: Actor | None) -> User | None:
    """Return a user, or None without id and name. One without an account id is named by the display name."""
    if actor is None:
        return None
    ident, address = actor.id, actor.address
    if address is None:
        name = None if ident else actor.name
        if not ident and not name:
            return None
        return User(ident, name, actor.name, None, _USER_TYPES[actor.kind] if actor.kind is not None else None)
    mail = address if _mail(address) is not None else None
    return User(ident, address, actor.name, mail, _USER_TYPES[actor.kind] if actor.kind is not None else None)


def _authentication(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    """The one who signs in is who acts, but for a session or another account that is named."""
    switch = event.ocsf_activity == _SWITCH
    whose = user((event.impersonated or event.target_user) if switch else (event.target_user or event.actor))
    if whose is None:
        return None
    into.user = whose
    into.service = Service(event.product or "Atlassian")
    if switch and event.impersonated is not None:
        into.account_switch_type_id = _IMPERSONATE
        rest.impersonated = None
    else:
        rest.target_user = None
    return AUTHENTICATION, event.ocsf_activity


def _account(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    whose = user(event.target_user or (event.actor if event.product == _OWN_ACCOUNT else None))
    if whose is None:
        return None
    into.user = whose
    rest.target_user = None
    return ACCOUNT, event.ocsf_activity


def _group(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    group = _named(event.target_group)
    if group is None or event.target_group is None:
        return None
    into.group, rest.target_group = group, _left(event.target_group, event.target_group.key)
    if (member := user(event.target_user)) is not None:
        into.user, rest.target_user = member, None
    return GROUP, event.ocsf_activity


def _access(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    """Power of a user, of a group, or, when neither is named, over a thing. Its kind stands for a name it lacks."""
    power = event.target_role or event.object
    whose, group = user(event.target_user), _named(event.target_group)
    if power is None or (whose is None and group is None):
        return _power_over(event, into, rest)
    into.privileges = (power, *(event.also.roles if event.also is not None and event.target_role is not None else ()))
    over = event.content or event.space
    where = _resource(over, None) if over is not None else None
    if where is not None and over is not None:
        if over is event.content:
            rest.content = _left(over)
        else:
            rest.space = _left(over)
    rest.target_role = None
    if whose is not None:
        into.user, rest.target_user = whose, None
        if where is not None:
            into.resources = (where,)
        return ACCESS, event.ocsf_activity
    if event.target_group is not None:
        rest.target_group = _left(event.target_group, event.target_group.key)
    into.group, into.resource = group, where
    return GROUP, event.ocsf_activity  # 1, 2 and 99 are the same as for users


def _power_over(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    """Power over a thing, or a role by itself, of no one who is named: the thing changed, or the role."""
    found = _entity(event, into, rest)
    if found is None or into.entity is None or event.target_role is None:
        return found
    into.access_list = (event.target_role, *(event.also.roles if event.also is not None else ()))
    rest.target_role = None
    space, entity = event.space, into.entity
    if entity.uid is None and entity.name is None:
        if space is not None and (space.id or space.name or space.key):
            type_id, caption = _entity_type(space.kind)
            into.entity = Entity(type_id, caption, space.id, space.name or space.key)
            rest.space = _left(space, space.key if space.name else None)
        else:
            entity.name = event.target_role
    return found


def _entity(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    thing = _thing(event)
    activity = event.ocsf_activity if event.ocsf_class == ENTITY else UPDATE
    if thing is not None and (thing.id or thing.key or thing.name):
        if activity not in _OF_THE_WHOLE[ENTITY] and _is_part(event.object, thing):
            activity = UPDATE
        type_id, caption = _entity_type(thing.kind)
        named = thing.name or thing.key
        into.entity = Entity(type_id, caption, thing.id, named)
        _take(event, rest, thing, _left(thing, thing.key if thing.name else None))
        return ENTITY, activity
    kind = event.object
    if not event.organization or kind is None:
        return None
    type_id, caption = _entity_type(kind)
    owner, group = user(event.target_user), _named(event.target_group)
    org = Group(event.organization, event.organization_name) if owner is None and group is None else None
    into.entity = Entity(type_id, caption, None, None, owner, group, org)
    if owner is not None:
        rest.target_user = None
    if group is not None and event.target_group is not None:
        rest.target_group = _left(event.target_group, event.target_group.key)
    return ENTITY, activity


def _web(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    """Something that is looked at, searched or taken away, and not named, leaves the place it lies in."""
    activity = event.ocsf_activity
    thing = _thing(event)
    if thing is not None and (found := _resource(thing, thing.url)) is not None:
        if activity not in _OF_THE_WHOLE[WEB] and _is_part(event.object, thing):
            activity = UPDATE
        into.web_resources = (found,)
        _take(event, rest, thing, _left(thing, url=None))
        return WEB, activity
    if activity not in _IN_A_PLACE:
        return None
    person = event.target_user
    if person is not None and (known_as := person.address or person.name or person.id):
        into.web_resources = (Resource(person.id, known_as, event.object or "user"),)
    elif event.space is not None and (found := _resource(event.space, event.space.url)) is not None:
        into.web_resources = (found,)
        rest.space = _left(event.space, url=None)
    elif event.site is not None and (found := _resource(event.site, event.site.url)) is not None:
        into.web_resources = (found,)
    elif event.organization:
        into.web_resources = (Resource(event.organization, event.organization_name, "organization"),)
    else:
        return None
    return WEB, activity


def _api(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    del rest
    operation = event.action or event.act
    if into.actor is None or into.src_endpoint is None or not operation:
        return None
    into.api = Api(operation)
    return API, event.ocsf_activity


def _finding(event: AuditEvent, into: Event, rest: Unmapped) -> tuple[int, int] | None:
    into.finding_info = FindingInfo(event.event_id or event.document_id, event.action_name or event.action or None)
    found = _resource(event.content, None) if event.content is not None else None
    if found is not None and event.content is not None:
        into.resources = (found,)
        rest.content = _left(event.content)
    return FINDING, event.ocsf_activity


_FILLS: dict[int, Callable[[AuditEvent, Event, Unmapped], tuple[int, int] | None]] = {
    FINDING: _finding,
    ACCOUNT: _account,
    AUTHENTICATION: _authentication,
    ENTITY: _entity,
    ACCESS: _access,
    GROUP: _group,
    WEB: _web,
    API: _api,
}


def _thing(event: AuditEvent) -> Thing | None:
    """Return what an act was done to: the content, or the place or app when it is that itself."""
    if event.content is not None:
        return event.content
    for place in (event.space, event.app, event.site):
        if place is not None and place.kind == event.object:
            return place
    return None


def _take(event: AuditEvent, rest: Unmapped, thing: Thing, left: Thing | None) -> None:
    """Leave in `rest` what of a thing has no place in the class."""
    if thing is event.content:
        rest.content = left
    elif thing is event.space:
        rest.space = left
    elif thing is event.app:
        rest.app = left


def _is_part(name: str | None, thing: Thing) -> bool:
    """Say whether the act is done to something that belongs to `thing`, by the last word of both."""
    kind = thing.kind.replace("-", "_")
    if name is None or (kind not in _HOLDERS and name not in _PARTS):
        return False
    noun, other = (_SAME.get(one, one).rpartition("_")[2] for one in (name, kind))
    return noun != other


def _entity_type(kind: str) -> tuple[int, str]:
    number = _ENTITY_TYPES.get("policy" if kind.endswith("_policy") else kind, OTHER)
    return number, _ENTITY_CAPTIONS.get(number) or kind or "Other"


def _named(thing: Thing | None) -> Group | None:
    if thing is None or not (thing.id or thing.name):
        return None
    return Group(thing.id, thing.name)


def _resource(thing: Thing, url: str | None) -> Resource | None:
    """Return a thing as a resource: a key is its name, or its other id when it has a name and an id."""
    ident, name, key = thing.id, thing.name, thing.key
    if name and key:
        return Resource(ident or key, name, thing.kind, key if ident else None, url)
    if ident or name or key:
        return Resource(ident, name or key, thing.kind, None, url)
    return Resource(url, None, thing.kind, None, url) if url else None


_LINK = "link"


def _left(thing: Thing, key: str | None = None, url: str | None = _LINK) -> Thing | None:
    """Return what of a thing is not said where it has no address, and no key besides its name; None is none left."""
    url = thing.url if url is _LINK else url
    if url is None and key is None and thing.vendor is None and thing.api_url is None:
        return None
    return Thing(thing.kind, None, key, None, url, thing.vendor, thing.api_url)
