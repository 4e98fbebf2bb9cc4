"""People and groups that an event names within an attribute: `{"users": [{"id": "…"}, "b@example.com"]}`.

They may be objects, addresses, account ids or names, in lists or alone, under names that say what they are; what lies
deeper is a person who has to do with the act, and not whom it was done to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from forwarder.normalize.addresses import valid_mail
from forwarder.normalize.json_texts import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_NAMED = 2000
"""Members that are looked at for the people and groups of one entry."""

DEEPEST = 4
LONGEST_NAME = 100

_MARKS = re.compile(r"[\W_]+")
_ID = re.compile(r"[\w.-]*[0-9:][\w.:-]*")
_ACCOUNT = re.compile(r"(?:ari:cloud:identity:[^/]*:user|https://[^/\s]+(?:/[^/\s]+)*/users)/([\w.:-]+)/?")
_NAMED_MAIL = re.compile(r"\s*([^<>]*[^<>\s])\s*<([^<>\s]+)>\s*")
_ENDS = re.compile(r"(?:account)?(?:ids?|names?|emails?|emailaddress(?:es)?|mails?)$")

_NAMES = {
    **dict.fromkeys((
        "user", "users", "member", "members", "person", "people", "participant", "participants", "invitee", "invitees",
        "inviteduser", "invitedusers", "accounts", "accountid", "accountids", "targetuser", "targetusers",
        "affecteduser", "affectedusers", "addeduser", "addedusers", "removeduser", "removedusers", "impersonateduser",
        "collaborator", "collaborators", "customers", "recipients", "userlist",
        "email", "emails", "emailaddress", "emailaddresses",
    ), "users"),
    **dict.fromkeys((
        "onbehalfof", "onbehalfofuser", "behalfof", "actingfor", "impersonator", "impersonatedby", "impersonating",
        "delegator", "delegatedby", "realuser", "realactor", "originaluser", "originalactor", "effectiveuser",
    ), "behalf"),
    **dict.fromkeys((
        "invitedby", "inviter", "grantedby", "requestedby", "requester", "approvedby", "approver",
        "approvers", "addedby", "removedby", "changedby", "updatedby", "performedby", "initiatedby", "initiator",
        "triggeredby",
    ), "others"),
    **dict.fromkeys((
        "group", "groups", "team", "teams", "usergroup", "usergroups", "targetgroup", "targetgroups", "addedgroups",
        "removedgroups", "grouplist",
    ), "groups"),
}  # fmt: skip
"""What an attribute of a name holds: whom it was done to, for or as whom, who else has to do with it, groups."""

_OWN = {"name", "groupname", "email", "emailaddress", "mail"}
"""What says something of the entry itself where it stands as a text."""

_IDS = ("id", "accountid", "userid", "aaid", "uid", "atlassianid", "useraccountid", "groupid", "teamid")
_FULL_NAMES = ("name", "displayname", "fullname", "groupname", "publicname", "title")
_MAILS = ("email", "emailaddress", "mail")


class Mention(NamedTuple):
    """A person or a group that is named within an attribute.

    Attributes:
        what: `users`, `behalf`, `others` or `groups`.
        id, name, email: What is said.
        role: The role that stands beside.
    """

    what: str
    id: str | None = None
    name: str | None = None
    email: str | None = None
    role: str | None = None


@lru_cache(4096)
def plain(name: str) -> str:
    """Return a name in small letters, without marks."""
    return _MARKS.sub("", name).lower()


@lru_cache(4096)
def _what(name: str) -> tuple[str, str]:
    """Return what an attribute of this name holds, and the end that says as what: `ids`, `emails`."""
    word = plain(name)
    if word in _NAMES:
        return _NAMES[word], ""
    end = _ENDS.search(word)
    if end is None or word[: end.start()] not in _NAMES:
        return "", ""
    return _NAMES[word[: end.start()]], end[0]


def mentions_in(tree: Mapping[str, Any], left: list[int], own: str = "") -> Iterator[Mention]:
    """Give who is named within the attributes of an entry, in order; `left` is below 0 when not all was looked at.

    `own` is `users` or `groups` where the entry is one: then `userName` and its like are its own.
    """
    return _within(tree, 0, left, own)


def is_behalf(name: str) -> bool:
    """Say whether a member of this name holds for or as whom something is done."""
    return len(name) <= LONGEST_NAME and _what(name)[0] == "behalf"


def known_as(tree: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return id, name and address of the person or group that an object is, whatever they are called."""
    inner = tree.get("attributes")
    members = {plain(name): value for name, value in ({**inner, **tree} if type(inner) is dict else tree).items()
               if len(name) <= LONGEST_NAME}  # fmt: skip
    ident, name, mail = (_first(members, names) for names in (_IDS, _FULL_NAMES, _MAILS))
    ident = _account_in(ident) or ident or next(filter(None, map(_account_in, _references(members))), None)
    if ident and "@" in ident and valid_mail(ident):
        ident, mail = None, mail or ident
    return ident, name, mail


def _references(members: Mapping[str, Any]) -> Iterator[Any]:
    """Give what may refer to an account: `ari`, `uri`, `links.self`."""
    yield from (members.get(name) for name in ("ari", "uri", "self"))
    links = members.get("links")
    if type(links) is dict:
        yield links.get("self")


def _account_in(reference: Any) -> str | None:
    """Return the account that an ARI or an address of the API refers to: `ari:cloud:identity::user/…`, `…/users/…`."""
    found = _ACCOUNT.fullmatch(reference) if type(reference) is str else None
    return found[1] if found is not None else None


def _within(tree: Mapping[str, Any], depth: int, left: list[int], own: str = "") -> Iterator[Mention]:
    for name, value in tree.items():
        if value is None or len(name) > LONGEST_NAME or (type(value) in (str, int) and plain(name) in _OWN):
            continue
        what, end = _what(name)
        if what:
            if what == own and type(unpacked(value)) in (str, int):
                continue
            if depth and what == "users":
                what = "others"
            yield from _each(what, end, value, depth, left)
        elif depth < DEEPEST:
            inner = unpacked(value)
            for part in inner[: MOST_NAMED + 1] if type(inner) is list else [inner]:
                left[0] -= 1
                if type(part) is dict and left[0] >= 0:
                    yield from _within(part, depth + 1, left)


def _each(what: str, end: str, value: Any, depth: int, left: list[int]) -> Iterator[Mention]:
    value = unpacked(value)
    left[0] -= 1
    if left[0] < 0 or depth > DEEPEST:
        return
    if type(value) is list:
        for part in value[: MOST_NAMED + 1]:
            yield from _each(what, end, part, depth + 1, left)
    elif type(value) is dict:
        yield from _of_object(what, value, depth, left)
    elif type(value) is str and value.strip():
        yield _of_text(what, end, value.strip())
    elif type(value) is int and value.bit_length() < 256:
        yield Mention(what, str(value))


def _of_object(what: str, tree: Mapping[str, Any], depth: int, left: list[int]) -> Iterator[Mention]:
    ident, name, mail = known_as(tree)
    if ident or name or mail:
        inner = tree.get("attributes")
        roles = {plain(key): value for key, value in ({**inner, **tree} if type(inner) is dict else tree).items()
                 if len(key) <= LONGEST_NAME}  # fmt: skip
        yield Mention(
            what, ident, name, mail if mail and valid_mail(mail) else None, _first(roles, ("role", "rolename"))
        )
        return
    for name, value in tree.items():
        if type(value) is dict and _what(name)[0] == "" and value.keys() & {"name", "email", "displayName"}:
            yield from _of_object(what, {"id": name, **value}, depth + 1, left)  # a map by id
        elif type(value) is dict or type(value) is list:
            yield from _each(what, "", value, depth + 1, left)


def _first(members: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = members.get(name)
        if type(value) is str and value.strip():
            return value
        if type(value) is int and value.bit_length() < 256:
            return str(value)
    return None


def _of_text(what: str, end: str, text: str) -> Mention:
    text = _account_in(text) or text
    if valid_mail(text):
        return Mention(what, email=text)
    if (both := _NAMED_MAIL.fullmatch(text)) is not None and valid_mail(both[2]):
        return Mention(what, None, both[1].strip('" '), both[2])
    if end.endswith(("id", "ids")) or ("name" not in end and _ID.fullmatch(text) is not None):
        return Mention(what, text)
    return Mention(what, None, text)
