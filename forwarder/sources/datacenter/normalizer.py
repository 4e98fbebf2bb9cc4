"""Records of Data Center's audit log (Jira, Confluence, Bitbucket) to `AuditEvent`; a line of the file is the same.

The key of an action does not change with the language of the installation, its words do.
(developer.atlassian.com, "Audit log REST API"; confluence.atlassian.com, "Audit log integrations")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.catalogue import Described
from forwarder.contracts import AuditEvent, UnexpectedPayload
from forwarder.normalize.accounts import kind_stated
from forwarder.normalize.json_texts import unpacked
from forwarder.normalize.objects import Named, nobody, person
from forwarder.normalize.secret_values import is_secret, readable, without_secrets
from forwarder.normalize.times import LAST_MS, TimeReader
from forwarder.sources.records import Facts, RecordNormalizer, as_json, change, changes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.catalogue import Catalogue
    from forwarder.contracts import Actor, Origin, Record

_CUT = "the line ends before its record does: the product did not finish it, or it is longer than max_line"

_PRODUCTS = {"jira", "confluence", "bitbucket"}


class Author(msgspec.Struct, gc=False):
    """Who did it."""

    name: str | None = None
    type: str | None = None
    id: str | None = None


class Type(msgspec.Struct, gc=False):
    """What was done."""

    categoryI18nKey: str | None = None  # noqa: N815 - the API's own names, here and below
    category: str | None = None
    actionI18nKey: str | None = None  # noqa: N815
    action: str | None = None


class Affected(msgspec.Struct, gc=False, omit_defaults=True):
    """An object that a record is about."""

    name: str | None = None
    type: str | None = None
    uri: str | None = None
    id: str | None = None


class ChangedValue(msgspec.Struct, gc=False, rename={"before": "from", "after": "to"}):
    """One field before and after."""

    key: str | None = None
    i18nKey: str | None = None  # noqa: N815
    before: str | None = None
    after: str | None = None


class Extra(msgspec.Struct, gc=False):
    """Anything else; a value may be JSON in a text."""

    nameI18nKey: str | None = None  # noqa: N815
    name: str | None = None
    value: str | None = None


class Instant(msgspec.Struct, gc=False):
    """A time as the file writes it."""

    epochSecond: int | None = None  # noqa: N815
    nano: int | None = None


class DataCenterRecord(msgspec.Struct, gc=False):
    """One record. The file calls the type `auditType`."""

    timestamp: str | Instant | None = None
    author: Author | None = None
    type: Type | None = None
    auditType: Type | None = None  # noqa: N815
    affectedObjects: list[Affected] = []  # noqa: N815
    changedValues: list[ChangedValue] = []  # noqa: N815
    source: str | None = None
    system: str | None = None
    node: str | None = None
    method: str | None = None
    extraAttributes: list[Extra] = []  # noqa: N815


class DataCenterNormalizer(RecordNormalizer):
    """Gives records of one Data Center product their meaning."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        super().__init__("datacenter", DataCenterRecord, self._state, catalogue)
        self._times = TimeReader()

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order; of a line that ends in the middle of its record, why that may be."""
        found = super().normalize(records)
        for at, (record, result) in enumerate(zip(records, found, strict=True)):
            if isinstance(result, UnexpectedPayload) and record.raw[:1] == b"{" and record.raw[-1:] != b"}":
                found[at] = UnexpectedPayload(f"{_CUT} ({result.reason})", result.word)
        return found

    def _time(self, when: str | Instant | None) -> tuple[int | None, str | None]:
        if isinstance(when, str):
            return self._times.read(when), when or None
        if when is None or when.epochSecond is None:
            return None, None
        ms = when.epochSecond * 1000 + (when.nano or 0) // 10**6
        return (ms if ms <= LAST_MS else None), str(when.epochSecond)

    def _state(self, record: DataCenterRecord, origin: Origin) -> Facts:
        done = record.type or record.auditType or Type()
        described = Described(done.categoryI18nKey or done.category or "", done.action or "", done.actionI18nKey or "")
        return Facts(
            described,
            _product(origin.feed, described),
            *self._time(record.timestamp),
            actor=_actor(record.author),
            address=record.source,
            objects=[
                Named(item.type or "", item.id or "", item.name or "", _web(item.uri))
                for item in record.affectedObjects
            ],
            changes=changes_of(
                change(value.before, value.after, value.key, value.i18nKey) for value in record.changedValues
            ),
            context=as_json(record.affectedObjects),
            container=as_json(_extra(record)),
        )


def _product(feed: str, described: Described) -> str:
    """Return the product of a feed such as `jira_datacenter`."""
    product = feed.partition("_")[0]
    if product in _PRODUCTS:
        return product
    key = described.key.partition(".")[0]
    return key if key in _PRODUCTS else "jira"


def _actor(author: Author | None) -> Actor | None:
    """Return who acted. A name may be anybody's, so it makes nobody of an author only where there is no id."""
    if author is None:
        return None
    ident, name = author.id or "", author.name or ""
    return person(ident, name, nobody(name, ident) or kind_stated(author.type))


def _web(uri: str | None) -> str:
    return uri if uri is not None and uri.startswith(("https://", "http://")) else ""


def _extra(record: DataCenterRecord) -> dict[str, Any]:
    """Return what a record says besides, by name; a secret keeps its name only."""
    more: dict[str, Any] = {}
    for extra in record.extraAttributes:
        name = extra.name or extra.nameI18nKey
        if name:
            secret = is_secret(name) or is_secret(extra.nameI18nKey or "")
            more[name] = readable(extra.value, secret=True) if secret else without_secrets(unpacked(extra.value))
    return more | {name: text for name, text in (("node", record.node), ("method", record.method)) if text}
