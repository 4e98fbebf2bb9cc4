"""Records of Confluence Cloud's audit log to `AuditEvent`.

A record has no id of its own, and its objects have names only. Administrators can write records of their own.
(developer.atlassian.com, Confluence Cloud REST v1, "Audit")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.catalogue import Described
from forwarder.normalize.accounts import kind_stated
from forwarder.normalize.objects import Named, nobody, person
from forwarder.normalize.times import LAST_MS
from forwarder.sources.records import Facts, RecordNormalizer, as_json, change, changes_of

if TYPE_CHECKING:
    from forwarder.catalogue import Catalogue
    from forwarder.contracts import Actor, Origin


class Author(msgspec.Struct, gc=False):
    """Who did it."""

    type: str | None = None
    displayName: str | None = None  # noqa: N815 - the API's own names, here and below
    publicName: str | None = None  # noqa: N815
    username: str | None = None
    userKey: str | None = None  # noqa: N815
    accountId: str | None = None  # noqa: N815
    accountType: str | None = None  # noqa: N815


class Affected(msgspec.Struct, gc=False, omit_defaults=True):
    """An object that a record is about; there is no id."""

    name: str | None = None
    objectType: str | None = None  # noqa: N815


class ChangedValue(msgspec.Struct, gc=False):
    """One field before and after; a hidden value is not given."""

    name: str | None = None
    oldValue: str | None = None  # noqa: N815
    newValue: str | None = None  # noqa: N815


class ConfluenceRecord(msgspec.Struct, gc=False):
    """One record."""

    author: Author | None = None
    remoteAddress: str | None = None  # noqa: N815
    creationDate: int | None = None  # noqa: N815
    summary: str | None = None
    description: str | None = None
    category: str | None = None
    affectedObject: Affected | None = None  # noqa: N815
    changedValues: list[ChangedValue] = []  # noqa: N815
    associatedObjects: list[Affected] = []  # noqa: N815


class ConfluenceNormalizer(RecordNormalizer):
    """Gives records of Confluence Cloud their meaning."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        super().__init__("confluence", ConfluenceRecord, _state, catalogue)


def _state(record: ConfluenceRecord, origin: Origin) -> Facts:
    del origin
    named = [record.affectedObject] if record.affectedObject is not None else []
    items = [item for item in (*named, *record.associatedObjects) if item.name]
    created = record.creationDate
    return Facts(
        Described(record.category or "", record.summary or ""),
        "confluence",
        created if created is not None and created <= LAST_MS else None,
        str(created) if created is not None else None,
        actor=_actor(record.author),
        address=record.remoteAddress,
        message=record.description,
        objects=[Named(item.objectType or "", "", item.name or "") for item in items],
        changes=changes_of(change(value.oldValue, value.newValue, value.name) for value in record.changedValues),
        context=as_json(items),
    )


def _actor(author: Author | None) -> Actor | None:
    """Return who acted. Only an author without an account may be nobody: people name themselves."""
    if author is None:
        return None
    name = author.displayName or author.publicName or author.username or ""
    stated = kind_stated(author.accountType, author.type)
    if author.accountId:
        return person(author.accountId, name, stated)
    if author.userKey or author.username:
        return person(author.userKey or author.username or "", name, stated)
    return person("", name, nobody(name) or stated)
