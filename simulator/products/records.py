"""Gives a deed its JSON: a record of Jira Cloud, of Confluence Cloud, of Data Center, or an event of a workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.products.deeds import Change, Deed, Target
    from simulator.world import Person, Site

Document = dict[str, Any]


def _created(ms: int) -> str:
    """Write a time with an offset that has no colon, as Jira does."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}+0000"


def jira_record(deed: Deed, number: int) -> Document:
    """Return a record of `/rest/api/3/auditing/record`. What is not known is left out, as most fields may be."""
    record: Document = {"id": number, "summary": deed.summary}
    if deed.place is not None:
        record["remoteAddress"] = deed.place.ip
    if deed.person is not None:
        record["authorKey"] = f"ug:{deed.person.id[-12:]}"
        record["authorAccountId"] = deed.person.id
    record |= {"created": _created(deed.time_ms), "category": deed.category, "eventSource": ""}
    if deed.description:
        record["description"] = deed.description
    if deed.target is not None:
        record["objectItem"] = _jira_item(deed.target)
    if deed.changes:
        record["changedValues"] = [_jira_change(change) for change in deed.changes]
    if deed.others:
        record["associatedItems"] = [_jira_item(other) for other in deed.others]
    return record


def _jira_item(target: Target) -> Document:
    item = {"id": target.id, "name": target.name, "typeName": target.kind}
    if target.holder[0]:
        item |= {"parentId": target.holder[0], "parentName": target.holder[1]}
    return item


def _jira_change(change: Change) -> Document:
    values = {"changedFrom": change.before, "changedTo": change.after}
    return {"fieldName": change.field, **{name: value for name, value in values.items() if value}}


def confluence_record(deed: Deed) -> Document:
    """Return a record of `/wiki/rest/api/audit`. There is no id in it."""
    return {
        "author": _confluence_author(deed.person),
        "remoteAddress": deed.place.ip if deed.place is not None else "",
        "creationDate": deed.time_ms,
        "summary": deed.summary,
        "description": deed.description,
        "category": deed.category,
        "sysAdmin": False,
        "superAdmin": False,
        "affectedObject": _confluence_object(deed.target),
        "changedValues": [_confluence_change(change) for change in deed.changes],
        "associatedObjects": [_confluence_object(other) for other in deed.others],
    }


def _confluence_author(person: Person | None) -> Document:
    author: Document = {"type": "user", "displayName": "System", "operations": None, "isExternalCollaborator": False}
    if person is not None:
        author |= {"displayName": person.name, "username": "", "userKey": "", "accountId": person.id}
        author |= {
            "accountType": "atlassian",
            "publicName": person.name,
            "externalCollaborator": False,
            "isGuest": False,
        }
    return author


def _confluence_object(target: Target | None) -> Document:
    return {"name": target.name, "objectType": target.kind} if target is not None else {"name": "", "objectType": ""}


def _confluence_change(change: Change) -> Document:
    return {
        "name": change.field,
        "oldValue": change.before,
        "hiddenOldValue": "",
        "newValue": "" if change.hidden else change.after,
        "hiddenNewValue": "",
    }


def datacenter_entity(deed: Deed, product: str, node: str) -> Document:
    """Return an entity of `/rest/auditing/1.0/events`, as a line of the log file holds it too. There is no id in it."""
    prefix = f"{product}.auditing"
    entity: Document = {
        "timestamp": f"{datetime.fromtimestamp(deed.time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{deed.time_ms % 1000:03d}Z",
        "author": _datacenter_author(deed.person),
        "type": {
            "categoryI18nKey": f"{prefix}.category.{deed.category.replace(' ', '').lower()}",
            "category": deed.category,
            "actionI18nKey": f"{prefix}.{deed.summary.replace(' ', '.').lower()}",
            "action": deed.summary,
        },
        "affectedObjects": [_datacenter_object(found) for found in (deed.target, *deed.others) if found is not None],
        "changedValues": [
            {"key": change.field, "i18nKey": f"{prefix}.change.{change.field.replace(' ', '').lower()}",
             "from": change.before, "to": change.after}
            for change in deed.changes
        ],
        "source": deed.place.ip if deed.place is not None else "",
        "system": "https://dc.example.net",
        "node": node,
        "method": "Browser" if deed.place is not None else "System",
        "extraAttributes": [],
    }  # fmt: skip
    if deed.description:
        entity["extraAttributes"] = [
            {"nameI18nKey": f"{prefix}.extra.details", "name": "details", "value": deed.description}
        ]
    return entity


def _datacenter_author(person: Person | None) -> Document:
    if person is None:
        return {"name": "System", "type": "system", "id": "-1", "uri": "", "avatarUri": ""}
    key = f"JIRAUSER{int(person.id[-4:], 16) + 10000}"
    return {"name": person.name, "type": "user", "id": key, "uri": f"/users/{key}", "avatarUri": ""}


def _datacenter_object(target: Target) -> Document:
    return {"name": target.name, "type": target.kind, "uri": "", "id": target.id}


def workspace_event(deed: Deed, ident: str, product: str, site: Site) -> Document:
    """Return an event of `/audit-log/v1/workspaces/{id}/events`, in the shape of the organization's events."""
    moment = f"{datetime.fromtimestamp(deed.time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{deed.time_ms % 1000:03d}Z"
    things = [found for found in (deed.target, *deed.others) if found is not None]
    attributes: Document = {
        "time": moment,
        "action": f"{product}_{deed.summary.lower().replace(' ', '_')}",
        "actor": _workspace_actor(deed.person),
        "context": [_workspace_thing(thing) for thing in things],
        "container": [{"id": site.id, "type": "sites", "attributes": {"siteName": site.name}, "links": {}}],
    }
    if deed.place is not None:
        attributes["location"] = {"ip": deed.place.ip}
    if deed.changes:
        attributes["changes"] = [
            {"name": change.field, "from": change.before, "to": "" if change.hidden else change.after}
            for change in deed.changes
        ]
    return {
        "id": ident,
        "type": "events",
        "attributes": attributes,
        "message": {"content": deed.description or deed.summary, "format": "simple"},
    }


def _workspace_actor(person: Person | None) -> Document:
    if person is None:
        return {"id": "", "name": "System"}
    return {"id": person.id, "name": person.name, "email": person.email, "auth": {"authType": "session"}}


def _workspace_thing(target: Target) -> Document:
    kind = target.kind.lower()
    name = {"user": "name", "group": "groupName"}.get(kind, "name")
    return {
        "id": target.id,
        "type": f"{kind}s" if kind in {"user", "group"} else kind,
        "attributes": {name: target.name},
    }
