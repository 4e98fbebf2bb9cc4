"""Where in an event of each feed what kind of text stands. What is not in a table is unknown, and unknown is private.

A table is a kind of text, an object (`*` for the members that are not named), a list of one table for an array, or
`ByType`, which chooses the table by a member that says what the object is.

Kinds that are the API's own, and are looked at whether they can be: `word`, `phrase`, `time`, `number`, `role`, `site`
(the name of one, which its address holds as well), `id` (opaque, or it is no id), `account` (that of whoever acted),
`host`, `api` (an address that repeats ids), `ip`, `place` (where that address is).
Kinds that a sink's settings decide about: `name` and `address` of a person; `titles`, `keys`, `spaces`, `groups`,
`changes`, `messages`, `links` and `unknown`; `either` is the stricter of name and title, `either_id` an id or that.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from forwarder.normalize.objects import kind_of
from forwarder.normalize.singulars import singular

Table = Any


OTHER, EITHER = "", "?"
"""Stand for the table of objects that have none of their own, and of those that may be persons."""


class ByType(NamedTuple):
    """A table for each kind of object.

    Attributes:
        member: Where the object says what it is.
        tables: By that word, in small letters.
        other: For every other word.
        either: Where there is none, or what is called otherwise may be a person.
    """

    member: str
    tables: dict[str, Table]
    other: Table
    either: Table

    def word(self, tree: dict[str, Any]) -> str:
        """Return the word by which an object has a table, `OTHER` or `EITHER`."""
        value = tree.get(self.member)
        if type(value) is str and (low := value.lower()) in self.tables:
            return low
        words = [one for one in (value if type(value) is list else [value]) if type(one) is str and one.strip()]
        if not words:
            return EITHER
        known = next(filter(None, map(_loosely, words)), OTHER)
        if known in self.tables:
            return known
        return OTHER if words[0].lower() in THINGS or not _may_be_person(tree) else EITHER


LINKS: Table = {"self": "api", "alt": "links"}
_PERSON: Table = {
    "id": "account",
    "type": "word",
    "name": "name",
    "displayName": "name",
    "publicName": "name",
    "nickname": "name",
    "email": "address",
    "emailAddress": "address",
    "accountId": "account",
    "accountType": "word",
    "accountStatus": "word",
    "links": LINKS,
}
_ACTOR: Table = {
    **_PERSON,
    "auth": {"authType": "word", "tokenId": "id", "tokenLabel": "titles"},
    "onBehalfOf": _PERSON,
    "impersonator": _PERSON,
    "app": {"id": "id", "type": "word", "name": "titles", "attributes": {"name": "titles", "type": "word"}},
}
_ATTRIBUTES: Table = {
    "accountType": "word",
    "product": "word",
    "products": ["word"],
    "role": "role",
    "roles": ["role"],
    "status": "word",
    "outcome": "word",
    "result": "word",
    "success": "number",
    "permissionName": "word",
    "settingName": "word",
    "settingValues": "changes",
    "siteId": "id",
    "siteName": "site",
    "siteHostName": "host",
    "cloudUrl": "host",
    "issueId": "id",
    "issueKey": "keys",
    "issueKeyOrId": "keys",
    "pageId": "id",
    "spaceId": "id",
    "projectId": "id",
    "key": "keys",
    "spaceKey": "keys",
    "projectKey": "keys",
    "spaceName": "spaces",
    "projectName": "spaces",
    "name": "titles",
    "title": "titles",
    "groupId": "id",
    "groupName": "groups",
    "accountId": "account",
    "userName": "name",
    "displayName": "name",
    "fullName": "name",
    "email": "address",
    "emailAddress": "address",
    "user": _PERSON,
    "users": [_PERSON],
}
_PERSONS = (
    *("user", "account", "customer", "member", "person", "invitee", "collaborator", "participant", "contact", "guest"),
    *("owner", "assignee", "reporter", "author", "actor", "employee", "watcher", "approver", "reviewer", "admin"),
    *("administrator", "contributor", "creator", "lead", "invited-user"),
)
_OFTEN = ("user", "users", "invited-user", "invited-users", "account", "accounts", "customer", "customers", "member")
_PEOPLE = (*_PERSONS, *(f"{person}s" for person in _PERSONS), "people")
_PERSONS_ELSEWHERE = frozenset(
    (
        *("benutzer", "utilisateur", "usuario", "usuário", "utente", "gebruiker", "användare", "bruger", "bruker"),
        *("käyttäjä", "użytkownik", "uživatel", "felhasználó", "пользователь"),
        *("ユーザー", "用户", "使用者", "사용자"),
    )
)
"""The same in the languages in which an installation may speak."""

RARE_PEOPLE = frozenset(_PEOPLE) - {*_OFTEN}
"""Types of persons that are seldom met: they are not worth what a short way costs."""

_GROUPS = ("group", "groups", "team", "teams")
_SPACES = (
    *("space", "spaces", "project", "projects", "repository", "repositories", "board", "boards", "workspace"),
    *("workspaces", "database", "folder", "confluence-space", "jira-project"),
)
_ROLES = ("role", "roles")
THINGS = (
    *("page", "pages", "blogpost", "issue", "issues", "app", "apps", "org", "orgs", "organization", "policy", "token"),
    *("attachment", "comment", "agent", "agents", "unit", "directory", "domain", "setting", "whiteboard"),
)
"""Types of objects without a table of their own that are met often, and are no persons."""

_CALLED_SO = frozenset((*_PEOPLE, *_GROUPS, *_SPACES))
_ID_OF_PERSON = re.compile(
    r"(?:[0-9]{1,10}:|ug:|qm:)[0-9a-f-]{36}(?::[0-9]{1,10})?|[0-9a-f]{24}|5[0-9a-f]{5}[0-9a-z]{18}|JIRAUSER[0-9]{1,12}",
    re.ASCII | re.IGNORECASE,
).fullmatch
_MARKS = re.compile(r"[\W_]+")
_OF_PERSON = frozenset(
    (
        *("email", "emailaddress", "mail", "accounttype", "accountstatus", "accountid", "userkey", "username"),
        *("displayname", "fullname", "publicname", "nickname", "isguest", "isexternalcollaborator"),
    )
)
"""Members that only persons have, without regard to case and marks."""


@lru_cache(1024)
def _loosely(word: str) -> str | None:
    """Return a word for persons, groups or spaces that is meant: `Person`, ` user`, `External users`."""
    if word.strip().lower() in _PERSONS_ELSEWHERE:
        return "user"
    kind = kind_of(word)
    last = singular(kind.rpartition("_")[2])
    return next((one for one in (kind, kind.replace("_", "-"), last) if one in _CALLED_SO), None)


def _may_be_person(tree: dict[str, Any]) -> bool:
    """Say whether an object has the id of an account, or members that only persons have."""
    ident, attributes = tree.get("id"), tree.get("attributes")
    if type(ident) is str and _ID_OF_PERSON(ident):
        return True
    names = [*tree, *(attributes if type(attributes) is dict else ())]
    return any(len(name) <= 64 and _MARKS.sub("", name).lower() in _OF_PERSON for name in names)


_IDS = {"name": "account", "either": "either_id"}
"""Kinds of the ids of what has a name of a kind."""


def _entry(**attributes: str) -> Table:
    kind = _IDS.get(attributes.get("name", ""), "id")
    return {
        "id": kind,
        "type": "word",
        "actionCategory": "phrase",
        "attributes": {**_ATTRIBUTES, **attributes},
        "links": LINKS,
    }


_ENTRY = ByType(
    "type",
    {
        **dict.fromkeys(_PEOPLE, _entry(name="name", title="name")),
        **dict.fromkeys(_GROUPS, _entry(name="groups")),
        **dict.fromkeys(_SPACES, _entry(name="spaces", title="spaces")),
        **dict.fromkeys(_ROLES, _entry(name="role")),
        **dict.fromkeys(("site", "sites"), _entry(name="site")),
    },
    _entry(),
    _entry(name="either", title="either"),
)

ORGANIZATION: Table = {
    "id": "id",
    "type": "word",
    "attributes": {
        "time": "time",
        "processedAt": "time",
        "action": "word",
        "actionCategory": "phrase",
        "actor": _ACTOR,
        "context": [_ENTRY],
        "container": [_ENTRY],
        "location": {
            "ip": "ip",
            "countryName": "phrase",
            "geo": "place",
            "regionName": "place",
            "city": "place",
        },
    },
    "processedAt": "time",
    "relations": "unknown",  # has never held anything
    "links": LINKS,
    "message": {"content": "messages", "format": "word"},
}


def _named(by: str, name: str = "name", **more: str) -> Table:
    """Return the table of an object of a product's record, which says in one member what it is and how it is called."""

    def table(kind: str) -> Table:
        ident = _IDS.get(kind, "id")
        return {by: "word", name: kind, **{each: ident if each == "id" else value for each, value in more.items()}}

    return ByType(
        by,
        {
            **dict.fromkeys(_PEOPLE, table("name")),
            **dict.fromkeys(_GROUPS, table("groups")),
            **dict.fromkeys(_SPACES, table("spaces")),
        },
        table("titles"),
        table("either"),
    )


# A site gives its product's own records or events in the form of the organization's: one feed, as the ids are the same.
_JIRA_ITEM = _named("typeName", id="id", parentId="id", parentName="titles")

JIRA: Table = {
    **ORGANIZATION,
    "id": "id",
    "summary": "phrase",
    "remoteAddress": "ip",
    "authorKey": "account",
    "authorAccountId": "account",
    "created": "time",
    "category": "phrase",
    "eventSource": "phrase",
    "description": "messages",
    "objectItem": _JIRA_ITEM,
    "changedValues": [{"fieldName": "phrase", "changedFrom": "changes", "changedTo": "changes"}],
    "associatedItems": [_JIRA_ITEM],
}

_CONFLUENCE_OBJECT = _named("objectType")

CONFLUENCE: Table = {
    **ORGANIZATION,
    "author": {
        "type": "word",
        "displayName": "name",
        "publicName": "name",
        "username": "name",
        "userKey": "account",
        "accountId": "account",
        "accountType": "word",
        "isExternalCollaborator": "number",
        "externalCollaborator": "number",
        "isGuest": "number",
    },
    "remoteAddress": "ip",
    "creationDate": "time",
    "summary": "phrase",
    "description": "messages",
    "category": "phrase",
    "sysAdmin": "number",
    "superAdmin": "number",
    "affectedObject": _CONFLUENCE_OBJECT,
    "changedValues": [
        {
            "name": "phrase",
            "oldValue": "changes",
            "newValue": "changes",
            "hiddenOldValue": "changes",
            "hiddenNewValue": "changes",
        }
    ],
    "associatedObjects": [_CONFLUENCE_OBJECT],
}

_DONE: Table = {"categoryI18nKey": "word", "category": "phrase", "actionI18nKey": "word", "action": "phrase"}
"""What was done; the file has it under another name than the API."""

DATACENTER: Table = {
    "timestamp": "time",
    "author": {"name": "name", "type": "word", "id": "account", "uri": "links", "avatarUri": "links"},
    "type": _DONE,
    "auditType": _DONE,
    "affectedObjects": [_named("type", id="id", uri="links")],
    "changedValues": [{"key": "phrase", "i18nKey": "word", "from": "changes", "to": "changes"}],
    "source": "ip",
    "system": "host",
    "node": "word",
    "method": "word",
    "extraAttributes": [{"nameI18nKey": "word", "name": "phrase", "value": "changes"}],
}

_SUBJECT = _named("type", id="id", ari="id", url="links")

GUARD_DETECT: Table = {
    "unreadable": "phrase",  # ours: why it is no alert
    "text": "hidden",  # ours: what could not be read, so no one can tell what is in it
    "base64": "hidden",
    "alertId": "id",
    "alertTitle": "messages",
    "alertDetailURL": "links",
    "detectionTime": "time",
    "type": "word",
    "activity": {"action": "phrase", "time": {"start": "time", "end": "time"}, "subject": _SUBJECT},
    "actor": {
        "accountId": "account",
        "name": "name",
        "url": "links",
        "sessions": [{"ipAddress": "ip", "userAgent": "place", "loginTime": "time", "lastActiveTime": "time"}],
    },
    "alert": {"product": "word", "site": "host"},
    "workspace": {"id": "id", "cloudId": "id", "orgId": "id"},
}

TABLES: dict[str, Table] = {
    "organization": ORGANIZATION,
    "jira": JIRA,
    "confluence": CONFLUENCE,
    "jira_datacenter": DATACENTER,
    "confluence_datacenter": DATACENTER,
    "bitbucket_datacenter": DATACENTER,
    "guard_detect": GUARD_DETECT,
}
"""By feed; an event of any other feed is unknown as a whole."""
