"""Where in an event of each feed what kind of text stands. What is not in a table is content: unknown is private.

A table is a class of text, a mapping of members to tables (`*` for the others), a list of one table for an array, or a
function that chooses the table by what stands beside.

Classes: `plain` (the API's own words and times), `id` (opaque, and checked to be so), `account` (the id of whoever
acted), `name` and `address` of a person, `ip`, `place` (where that address is), `url`, `content` (what users wrote) and
`message` (a sentence that holds content and names).
"""

from __future__ import annotations

from typing import Any

Table = Any


class Unique(dict[str, Any]):
    """A table of an object that is another in every event: its members are looked at one by one, without a memory."""


_LINKS: Table = {"*": "url"}
_PERSON: Table = {
    "id": "account",
    "type": "plain",
    "name": "name",
    "email": "address",
    "picture": "url",
    "accountType": "plain",
    "links": _LINKS,
}
_AUTH: Table = {"authType": "plain", "tokenId": "id", "tokenLabel": "content"}
_ACTOR: Table = {
    **_PERSON,
    "auth": _AUTH,
    "onBehalfOf": _PERSON,
    "impersonator": _PERSON,
    "app": {"id": "id", "type": "plain", "attributes": {"name": "content"}},
}
_PEOPLE = {"user", "users", "invited-user", "invited-users", "account", "accounts", "customer", "customers"}
_ATTRIBUTES: Table = {
    "accountType": "plain",
    "product": "plain",
    "products": ["plain"],
    "role": "plain",
    "roles": ["plain"],
    "status": "plain",
    "outcome": "plain",
    "result": "plain",
    "permissionName": "plain",
    "settingName": "plain",
    "siteId": "id",
    "siteHostName": "url",
    "cloudUrl": "url",
    "issueId": "id",
    "pageId": "id",
    "spaceId": "id",
    "projectId": "id",
    "groupId": "id",
    "accountId": "account",
    "email": "address",
    "emailAddress": "address",
    "user": _PERSON,
    "users": [_PERSON],
}
_OF_PEOPLE: Table = {**_ATTRIBUTES, "name": "name", "displayName": "name", "fullName": "name"}
_OF_SITES: Table = {**_ATTRIBUTES, "siteName": "plain", "name": "plain"}


def _entry(entry: dict[str, Any]) -> Table:
    kind = str(entry.get("type") or "").lower()
    attributes = _OF_PEOPLE if kind in _PEOPLE else _OF_SITES if kind in {"sites", "site"} else _ATTRIBUTES
    ident = "account" if kind in _PEOPLE else "id"
    return {"id": ident, "type": "plain", "attributes": attributes, "links": _LINKS}


ORGANIZATION: Table = Unique(
    {
        "id": "id",
        "type": "plain",
        "attributes": Unique(
            {
                "time": "plain",
                "processedAt": "plain",
                "action": "plain",
                "actionCategory": "plain",
                "actor": _ACTOR,
                "context": [_entry],
                "container": [_entry],
                "location": {
                    "ip": "ip",
                    "countryName": "country",
                    "geo": "place",
                    "regionName": "place",
                    "city": "place",
                },
            }
        ),
        "processedAt": "plain",
        "links": Unique(_LINKS),
        "relations": "content",
        "message": Unique({"content": "message", "format": "plain"}),
    }
)


def _jira_item(item: dict[str, Any]) -> Table:
    kind = str(item.get("typeName") or "").upper()
    person = kind == "USER"
    return {
        "id": "account" if person else "id",
        "name": "name" if person else "content",
        "typeName": "plain",
        "parentId": "id",
        "parentName": "content",
    }


JIRA: Table = Unique(
    {
        "id": "id",
        "summary": "plain",
        "remoteAddress": "ip",
        "authorKey": "account",
        "authorAccountId": "account",
        "created": "plain",
        "category": "plain",
        "eventSource": "plain",
        "description": "message",
        "objectItem": _jira_item,
        "changedValues": [{"fieldName": "plain", "changedFrom": "content", "changedTo": "content"}],
        "associatedItems": [_jira_item],
    }
)


def _confluence_object(item: dict[str, Any]) -> Table:
    person = str(item.get("objectType") or "").lower() == "user"
    return {"name": "name" if person else "content", "objectType": "plain"}


CONFLUENCE: Table = Unique(
    {
        "author": {
            "type": "plain",
            "displayName": "name",
            "publicName": "name",
            "username": "name",
            "userKey": "account",
            "accountId": "account",
            "accountType": "plain",
            "operations": "plain",
            "isExternalCollaborator": "plain",
            "externalCollaborator": "plain",
            "isGuest": "plain",
        },
        "remoteAddress": "ip",
        "creationDate": "plain",
        "summary": "plain",
        "description": "message",
        "category": "plain",
        "sysAdmin": "plain",
        "superAdmin": "plain",
        "affectedObject": _confluence_object,
        "changedValues": [
            {
                "name": "plain",
                "oldValue": "content",
                "newValue": "content",
                "hiddenOldValue": "content",
                "hiddenNewValue": "content",
            }
        ],
        "associatedObjects": [_confluence_object],
    }
)


def _datacenter_object(item: dict[str, Any]) -> Table:
    person = str(item.get("type") or "").lower() == "user"
    return {
        "name": "name" if person else "content",
        "type": "plain",
        "uri": "url",
        "id": "account" if person else "id",
    }


DATACENTER: Table = Unique(
    {
        "timestamp": "plain",
        "author": {"name": "name", "type": "plain", "id": "account", "uri": "url", "avatarUri": "url"},
        "type": {"categoryI18nKey": "plain", "category": "plain", "actionI18nKey": "plain", "action": "plain"},
        "affectedObjects": [_datacenter_object],
        "changedValues": [{"key": "plain", "i18nKey": "plain", "from": "content", "to": "content"}],
        "source": "ip",
        "system": "url",
        "node": "plain",
        "method": "plain",
        "extraAttributes": [{"nameI18nKey": "plain", "name": "plain", "value": "content"}],
    }
)

TABLES: dict[str, Table] = {
    "organization": ORGANIZATION,
    "jira": JIRA,
    "confluence": CONFLUENCE,
    "jira_datacenter": DATACENTER,
    "confluence_datacenter": DATACENTER,
    "bitbucket_datacenter": DATACENTER,
}
"""By feed; an event of any other feed is content as a whole."""
