"""Which part the objects play that a product's record names: its own word for their type decides.

Jira, Confluence and Data Center name objects by type, id and name; which of them is whom it was done to, what it was
done to, and where that lies, is the same for all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from forwarder.contracts import Actor, Also, Thing
from forwarder.normalize.accounts import SERVICE_ACCOUNTS
from forwarder.normalize.addresses import valid_mail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.contracts import ActorKind

MOST = 200
"""Objects of a record that are looked at; whoever has more is marked."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NAME_AND_ID = re.compile(rf"(.+):({_UUID})", re.IGNORECASE | re.DOTALL)
_OPAQUE = re.compile(rf"(?:ug|qm):.*|(?:[0-9]{{6}}:)?{_UUID}|[0-9a-f]{{24}}|JIRAUSER[0-9]+", re.IGNORECASE | re.DOTALL)
"""What stands for a person and is nobody's name: a key, an account id."""

_ISSUE_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,99}-[0-9]{1,12}")
"""What Jira gives as the name of an issue."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W_A-Z]+|[0-9]+")
_NOBODY: dict[str, ActorKind] = {
    "system": "system",
    "-1": "system",
    "unknown user": "system",
    "unknown": "system",
    "-3": "system",
    "anonymous": "anonymous",
    "-2": "anonymous",
}
"""Authors that are no account, by id, or by name where there is no id: with one, people name themselves."""

_ROLES = {
    "user": "user",
    "person": "user",
    "group": "group",
    "role": "role",
    "project_role": "role",
    "project": "place",
    "space": "place",
    "repository": "place",
    "repo": "place",
    "app": "app",
    "plugin": "app",
    "addon": "app",
    "add_on": "app",
}
_BETTER = {"person": "user", "repo": "repository", "plugin": "app", "addon": "app", "add_on": "app", "blogpost": "blog"}


class Named(NamedTuple):
    """One object as a record names it. Empty is absent."""

    type: str
    id: str = ""
    name: str = ""
    url: str = ""


class Parts(msgspec.Struct, gc=False):
    """Who and what a record names, the first of each kind by itself.

    `cut` says that there were more than are looked at.
    """

    user: Actor | None = None
    group: Thing | None = None
    role: str | None = None
    content: Thing | None = None
    space: Thing | None = None
    app: Thing | None = None
    also: Also | None = None
    cut: bool = False


def kind_of(type_: str) -> str:
    """Return a type in the words of all feeds: `PROJECT_ROLE`, `CustomField` and `Custom field` are alike."""
    kind = "_".join(_WORDS.findall(type_)).lower()[:64] or "object"
    return _BETTER.get(kind, kind)


def nobody(name: str, ident: str = "") -> ActorKind | None:
    """Return which kind of nobody an author is who is no account, or None when it may be one."""
    return _NOBODY.get((ident or name).strip().casefold())


def person(ident: str, name: str, kind: ActorKind | None = None) -> Actor | None:
    """Return a person, or None when nothing is said; an id where a name would be is no name."""
    ident, name = ident or "", name or ""
    if _OPAQUE.fullmatch(name):
        ident, name = ident or name, ""
    if not (ident or name):
        return None
    address = name if valid_mail(name) else ident if valid_mail(ident) else None
    if address is not None and address.lower().endswith(SERVICE_ACCOUNTS):
        kind = "service_account"
    return Actor(ident or None, name or None, address, kind)


def group(ident: str, name: str) -> Thing:
    """Return a group; Confluence writes the id behind the name."""
    found = _NAME_AND_ID.fullmatch(name)
    if found is not None:
        name, ident = found[1], found[2]
    return Thing("group", ident if ident != name and ident else None, None, name or None)


def _thing(kind: str, found: Named) -> Thing:
    """Return a thing; the name of an issue is its key."""
    name, key = found.name or None, None
    if kind == "issue" and name is not None and _ISSUE_KEY.fullmatch(name):
        name, key = None, name
    return Thing(kind, found.id or None, key, name, found.url or None)


def parts_of(objects: Iterable[Named]) -> Parts:
    """Return who and what is named. Of a place and something in it, the latter is the content."""
    users: dict[Actor, None] = {}
    roles: dict[str, None] = {}
    things: dict[str, dict[Thing, None]] = {"group": {}, "place": {}, "app": {}, "content": {}}
    count = 0
    for count, found in enumerate(objects, 1):
        if count > MOST:
            break
        if not (found.id or found.name):
            continue
        kind = kind_of(found.type)
        role = _ROLES.get(kind, "content")
        if role == "user":
            if (who := person(found.id, found.name)) is not None:
                users[who] = None
        elif role == "role":
            roles[found.name or found.id] = None
        elif role == "group":
            things["group"][group(found.id, found.name)] = None
        else:
            things[role][_thing(kind, found)] = None
    content, places = [*things["content"]], [*things["place"]]
    if not content:
        content, places = places[:1], places[1:]
    first = Parts(
        next(iter(users), None),
        next(iter(things["group"]), None),
        next(iter(roles), None),
        content[0] if content else None,
        places[0] if places else None,
        next(iter(things["app"]), None),
        cut=count > MOST,
    )
    more = (*content[1:], *places[1:], *list(things["group"])[1:], *list(things["app"])[1:])
    others = Also(tuple(users)[1:], more, tuple(roles)[1:])
    if others.users or others.things or others.roles:
        first.also = others
    return first


def site_of(site: str) -> Thing | None:
    """Return the site a record comes from: its host, or the id of its cloud."""
    if not site:
        return None
    return Thing("site", None, None, site, f"https://{site}") if "." in site else Thing("site", site)
