"""Records of Jira Cloud's audit log to `AuditEvent`.

A record names its author by account id only, and says neither how the author signed in nor how the act went: that
what is recorded was done is what the log is.
(developer.atlassian.com, Jira Cloud REST v3, "Audit records")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.catalogue import Described
from forwarder.normalize.objects import Named, nobody, person
from forwarder.normalize.times import TimeReader
from forwarder.sources.records import Facts, RecordNormalizer, as_json, change, changes_of

if TYPE_CHECKING:
    from forwarder.catalogue import Catalogue
    from forwarder.contracts import Actor, Origin


class Item(msgspec.Struct, gc=False, omit_defaults=True):
    """An object that a record is about."""

    id: str | None = None
    name: str | None = None
    typeName: str | None = None  # noqa: N815 - the API's own names, here and below
    parentId: str | None = None  # noqa: N815
    parentName: str | None = None  # noqa: N815


class ChangedValue(msgspec.Struct, gc=False):
    """One field before and after."""

    fieldName: str | None = None  # noqa: N815
    changedFrom: str | None = None  # noqa: N815
    changedTo: str | None = None  # noqa: N815


class JiraRecord(msgspec.Struct, gc=False):
    """One record; most members may be missing."""

    id: int | None = None
    summary: str | None = None
    remoteAddress: str | None = None  # noqa: N815
    authorKey: str | None = None  # noqa: N815
    authorAccountId: str | None = None  # noqa: N815
    created: str | None = None
    category: str | None = None
    eventSource: str | None = None  # noqa: N815
    description: str | None = None
    objectItem: Item | None = None  # noqa: N815
    changedValues: list[ChangedValue] = []  # noqa: N815
    associatedItems: list[Item] = []  # noqa: N815


class JiraNormalizer(RecordNormalizer):
    """Gives records of Jira Cloud their meaning."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        super().__init__("jira", JiraRecord, self._state, catalogue)
        self._times = TimeReader()

    def _state(self, record: JiraRecord, origin: Origin) -> Facts:
        del origin
        items = [*([record.objectItem] if record.objectItem is not None else []), *record.associatedItems]
        return Facts(
            Described(record.category or "", record.summary or ""),
            "jira",
            self._times.read(record.created or ""),
            record.created or None,
            event_id=str(record.id) if record.id is not None else None,
            actor=_author(record),
            address=record.remoteAddress,
            message=record.description,
            objects=[Named(item.typeName or "", item.id or "", item.name or "") for item in items],
            changes=changes_of(
                change(value.changedFrom, value.changedTo, value.fieldName) for value in record.changedValues
            ),
            context=as_json(items),
        )


def _author(record: JiraRecord) -> Actor | None:
    """Return who acted. An author without an account is known by a key; `-1` and its like are nobody's."""
    if record.authorAccountId:
        return person(record.authorAccountId, "")
    key = record.authorKey or ""
    return person(key, "", nobody("", key))
