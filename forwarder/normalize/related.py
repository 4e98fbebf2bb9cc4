"""The id that several feeds give to one change: an organization event and the record of the product that made it.

Feeds share no id, so this one is made of what both sides state: what was done to what kind of thing, which one it is,
whom or which group it concerns, the product and site where the thing lies in one, and when, to two minutes. Who acted
is not part of it: products leave that out of what is done in the user management. An event that does not say which
thing it is has no such id, and neither has an act that failed, or one that products do not record (views, edits).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from forwarder.contracts import Actor, AuditEvent, Thing

SPAN_MS = 120_000
"""How long a change lasts. Two records of one were seen 0.2 s apart, those of a simulated organization are up to 2 s: a
shorter span has more changes on two sides of its end, a longer one links more of what is done twice in a row."""

LONGEST = 500
"""Characters of a name that count."""

_SAME = {"create": "add", "delete": "remove"}
"""Acts that products call each other where a thing comes to be or is gone."""

_OF_PLACES = frozenset({"create", "add", "delete", "remove", "archive", "restore", "export", "import", "change"})
_OF_RULES = frozenset({"grant", "revoke", "add", "remove", "delete", "change"})
_OF_ACCOUNTS = frozenset({"create", "add", "delete", "remove", "enable", "disable"})
LINKED: dict[str | None, frozenset[str | None]] = {
    "group": frozenset({"create", "delete", "add", "remove"}),
    "user": _OF_ACCOUNTS,
    "account": _OF_ACCOUNTS,
    "project": _OF_PLACES,
    "space": _OF_PLACES,
    "issue": frozenset({"delete", "remove"}),
    "permission": _OF_RULES,
    "role": _OF_RULES,
    "restriction": _OF_RULES,
    "permission_scheme": _OF_PLACES,
    "workflow": _OF_PLACES,
    "workflow_scheme": _OF_PLACES,
}  # fmt: skip
"""Acts by kind of thing that an organization's log and those of products both record."""

NONE: frozenset[str | None] = frozenset()

_PEOPLE = {"group": "group", "user": "user", "account": "user"}
"""What lies in no product and no site: every product records a change of it."""


def related_of(event: AuditEvent) -> str | None:
    """Return 16 hexadecimal characters, or None where an event does not say enough."""
    kind, act = event.object or "", event.act or ""
    if act not in LINKED.get(kind, NONE) or event.outcome == "failure":
        return None
    if kind in _PEOPLE:
        where: tuple[str, ...] = ()
        kind = _PEOPLE[kind]
        what = _people(event, kind, act)
    else:
        where = (event.product or "", _host(event))
        thing = _thing(event.content) or _thing(event.space)  # a space is what one feed calls content and another place
        what = (thing, _concerned(event)) if thing else ()
        act = _SAME.get(act, act)
    if not what:
        return None
    parts = ("1", act, kind, *where, *what, str(event.time_ms // SPAN_MS))
    return blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _people(event: AuditEvent, kind: str, act: str) -> tuple[str, ...]:
    """Return whom an act on accounts and groups is about; who joins a group is part of it."""
    if kind == "user":
        who = _person(event.target_user)
        return (who,) if who else ()
    group = _thing(event.target_group)
    if act in {"create", "delete"}:
        return (group,) if group else ()
    who = _person(event.target_user)
    several = event.also is not None and event.also.users  # products write a record for each of them
    return (group, who) if group and who and not several else ()


def _concerned(event: AuditEvent) -> str:
    """Return who has or loses the right that an event speaks of."""
    return _thing(event.target_group) or _person(event.target_user)


def _person(person: Actor | None) -> str:
    """Return what someone is known by: the name, which every feed has, else the id."""
    return _plain((person.name or person.id or "") if person is not None else "")


def _thing(thing: Thing | None) -> str:
    """Return what a thing is known by; an issue has no name that all feeds know."""
    if thing is None:
        return ""
    if thing.kind == "issue":
        return _plain(thing.key or thing.id or "")
    return _plain(thing.name or thing.key or thing.id or "")


def _plain(text: str) -> str:
    return " ".join(text[:LONGEST].casefold().split())


def _host(event: AuditEvent) -> str:
    """Return the host of the site, or nothing where only its id is known: the other side may know only the host."""
    url = event.site.url if event.site is not None else None
    if not url:
        return ""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
