"""The shape of an event of the organization feed, as it is decoded, and what of any other shape can be understood.

An event with nothing in it but what we know takes a typed decode that admits nothing else. Members that an event has
besides are given back as they are: some say how it went, or whom it was done to.
"""

from __future__ import annotations

from typing import Any

import msgspec

from forwarder.normalize.lenient import ABSENT, Shaper, Tree, Unreadable
from forwarder.sources.organization.nested import is_behalf, known_as, plain

_TYPES = ("accounttype", "actortype", "apptype", "usertype", "accountkind", "kind", "subtype")
"""What the type of an account is called besides."""

_SHAPES: dict[type, str] = {list: "an array", dict: "an object", bool: "a truth value", float: "a fraction"}


class Auth(msgspec.Struct, gc=False):
    """How the actor was authenticated."""

    authType: str | None = None  # noqa: N815 - the API's own names, here and below
    tokenId: str | None = None  # noqa: N815
    tokenLabel: str | None = None  # noqa: N815


class Person(msgspec.Struct, gc=False):
    """Who stands behind the actor."""

    id: str | None = None
    name: str | None = None
    email: str | None = None
    accountType: str | None = None  # noqa: N815
    type: str | None = None


class AppAttributes(msgspec.Struct, gc=False):
    """What is said of an app or agent."""

    name: str | None = None
    type: str | None = None


class App(msgspec.Struct, gc=False):
    """The app or agent that acted for the actor."""

    id: str | None = None
    name: str | None = None
    type: str | None = None
    attributes: AppAttributes | None = None


class Acting(msgspec.Struct, gc=False):
    """Who acted."""

    id: str | None = None
    name: str | None = None
    email: str | None = None
    auth: Auth | None = None
    onBehalfOf: Person | None = None  # noqa: N815
    impersonator: Person | None = None
    app: App | None = None
    accountType: str | None = None  # noqa: N815
    type: str | None = None


class Location(msgspec.Struct, gc=False):
    """From where."""

    ip: str | None = None
    geo: str | None = None
    countryName: str | None = None  # noqa: N815
    regionName: str | None = None  # noqa: N815
    city: str | None = None


class Attributes(msgspec.Struct, gc=False):
    """What happened."""

    time: str | None = None
    processedAt: str | None = None  # noqa: N815
    action: str | None = None
    actor: Acting | None = None
    context: msgspec.Raw = ABSENT
    container: msgspec.Raw = ABSENT
    location: Location | None = None


class Message(msgspec.Struct, gc=False):
    """What the API says of it to people."""

    content: str | None = None


class Event(msgspec.Struct, gc=False):
    """An event with any members besides."""

    id: str | None = None
    attributes: Attributes | None = None
    message: Message | None = None
    processedAt: str | None = None  # noqa: N815 - older copies have it beside `attributes`


class _Skipped(msgspec.Struct, gc=False):
    """An object that is not looked into."""


class _ExactPerson(Person, gc=False, forbid_unknown_fields=True):
    links: _Skipped | None = None


class _ExactAuth(Auth, gc=False, forbid_unknown_fields=True):
    pass


class _ExactApp(App, gc=False, forbid_unknown_fields=True):
    links: _Skipped | None = None


class _ExactActing(Acting, gc=False, forbid_unknown_fields=True):
    auth: _ExactAuth | None = None
    app: _ExactApp | None = None
    onBehalfOf: _ExactPerson | None = None  # noqa: N815
    impersonator: _ExactPerson | None = None
    links: _Skipped | None = None


class _ExactAttributes(Attributes, gc=False, forbid_unknown_fields=True):
    actor: _ExactActing | None = None


class ExactEvent(Event, gc=False, forbid_unknown_fields=True):
    """An event with nothing in it but what we know."""

    attributes: _ExactAttributes | None = None
    type: str | None = None
    links: _Skipped | None = None
    relations: _Skipped | None = None


_OF_EVENT = frozenset(ExactEvent.__struct_fields__)
_OF_ATTRIBUTES = frozenset(Attributes.__struct_fields__)
_OF_ACTING = frozenset(Acting.__struct_fields__)
_OF_PERSON = frozenset(_ExactPerson.__struct_fields__)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode


def beside(raw: bytes, event: Event) -> dict[str, Any]:
    """Return the members that an event has besides those we know, its attributes' before its own.

    Its actor gets what his are called otherwise. Raises msgspec.DecodeError or ValueError when they are not sound JSON.
    """
    found = _members(raw)
    inner = _members(found["attributes"]) if "attributes" in found else {}
    more = {
        name: _value(value)
        for members, known in ((inner, _OF_ATTRIBUTES), (found, _OF_EVENT))
        for name, value in members.items()
        if name not in known
    }
    if event.attributes is not None and event.attributes.actor is not None:
        more |= _complete(event.attributes.actor, _value(inner["actor"]))
    return more


def shape(tree: Tree) -> tuple[Event, dict[str, Any], bool]:
    """Return what can be understood of an event with unexpected types, what it has besides, and whether it is odd.

    Raises Unreadable when the action is neither a text nor a number: without it, the rest could only mislead.
    """
    shaper = Shaper()
    event = Event(id=shaper.text(tree, "id"), processedAt=shaper.text(tree, "processedAt"))
    more = {name: value for name, value in tree.items() if name not in _OF_EVENT}
    if (message := shaper.mapping(tree, "message")) is not None:
        event.message = Message(shaper.text(message, "content"))
    inner = shaper.mapping(tree, "attributes")
    if inner is None:
        return event, more, shaper.odd
    action = shaper.text(inner, "action")
    if action is None and inner.get("action") is not None:
        msg = f"the action is {_SHAPES.get(type(inner['action']), 'no text')}"
        raise Unreadable(msg)
    attributes = event.attributes = Attributes(
        time=shaper.text(inner, "time"),
        processedAt=shaper.text(inner, "processedAt"),
        action=action,
        context=shaper.raw(inner, "context"),
        container=shaper.raw(inner, "container"),
    )
    if (where := shaper.mapping(inner, "location")) is not None:
        attributes.location = Location(*(shaper.text(where, name) for name in Location.__struct_fields__))
    if (actor := shaper.mapping(inner, "actor")) is not None:
        attributes.actor = _acting(shaper, actor)
        more |= _complete(attributes.actor, actor)
    more |= {name: value for name, value in inner.items() if name not in _OF_ATTRIBUTES}
    return event, more, shaper.odd


def _acting(shaper: Shaper, tree: Tree) -> Acting:
    actor = Acting(shaper.text(tree, "id"), shaper.text(tree, "name"), shaper.text(tree, "email"))
    actor.accountType, actor.type = shaper.text(tree, "accountType"), shaper.text(tree, "type")
    if (auth := shaper.mapping(tree, "auth")) is not None:
        actor.auth = Auth(*(shaper.text(auth, name) for name in Auth.__struct_fields__))
    actor.onBehalfOf, actor.impersonator = (_person(shaper, tree, name) for name in ("onBehalfOf", "impersonator"))
    if (app := shaper.mapping(tree, "app")) is not None:
        actor.app = App(shaper.text(app, "id"), shaper.text(app, "name"), shaper.text(app, "type"))
        if (inner := shaper.mapping(app, "attributes")) is not None:
            actor.app.attributes = AppAttributes(shaper.text(inner, "name"), shaper.text(inner, "type"))
    return actor


def _person(shaper: Shaper, tree: Tree, key: str) -> Person | None:
    """Return someone who is given as documented."""
    if _is_person(tree.get(key)):
        return Person(*(shaper.text(tree[key], name) for name in Person.__struct_fields__))
    shaper.odd |= tree.get(key) is not None
    return None


def _is_person(inner: Any) -> bool:
    return type(inner) is dict and inner.keys() <= _OF_PERSON


def _complete(actor: Acting, tree: Tree) -> dict[str, Any]:
    """Give an actor what is said of him under other names (`accountId`), and return for or as whom he acts otherwise.

    That is anybody who is not given as documented: by an account id alone, as a text, in a list.
    """
    behalf = {name: inner for name, inner in tree.items() if inner and is_behalf(name)}
    behalf = {name: inner for name, inner in behalf.items() if name not in _OF_ACTING or not _is_person(inner)}
    for part in (tree.get("app"), tree.get("auth")):
        if type(part) is dict:
            behalf |= {name: inner for name, inner in _with_attributes(part).items() if inner and is_behalf(name)}
    _complete_kinds(actor, tree)
    if "onBehalfOf" in behalf:
        actor.onBehalfOf = None
    if "impersonator" in behalf:
        actor.impersonator = None
    if not (actor.id and actor.name and actor.email):
        ident, name, email = known_as(tree)
        if email == actor.id:  # an id with the form of an address is an id, as in an event that is read strictly
            email = None
        actor.id, actor.name, actor.email = actor.id or ident, actor.name or name, actor.email or email
    return behalf


def _complete_kinds(actor: Acting, tree: Tree) -> None:
    """Give an actor and its app the types and the name that are written in another way (`account_type`, `kind`)."""
    actor.accountType = actor.accountType or _type_in(tree)
    app = tree.get("app")
    if actor.app is None or type(app) is not dict:
        return
    more = actor.app.attributes or AppAttributes()
    actor.app.id = actor.app.id or known_as(app)[0]
    actor.app.attributes = AppAttributes(more.name or known_as(app)[1], more.type or _type_in(app))


def _type_in(tree: Tree) -> str | None:
    found = ((plain(name), value) for name, value in _with_attributes(tree).items())
    types = {name: value for name, value in found if name in _TYPES and type(value) is str}
    return next((types[name] for name in _TYPES if types.get(name)), None)


def _with_attributes(tree: Tree) -> Tree:
    inner = tree.get("attributes")
    return {**inner, **tree} if type(inner) is dict else tree
