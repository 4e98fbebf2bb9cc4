"""Gives a product's log its meaning, whichever API it came by: records of the product or events of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import AuditEvent, UnexpectedPayload
from forwarder.net.http import UNREADABLE
from forwarder.normalize.conclusions import conclude
from forwarder.normalize.objects import site_of
from forwarder.sources.organization.normalizer import OrganizationNormalizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.catalogue import Catalogue
    from forwarder.contracts import Record
    from forwarder.sources.records import RecordNormalizer

_MARK = b'"attributes"'


class _Head(msgspec.Struct, gc=False):
    attributes: msgspec.Raw = msgspec.Raw()


_head = msgspec.json.Decoder(_Head).decode


def is_event(raw: bytes) -> bool:
    """Tell whether this is an event of the common model. No record of a product has a member `attributes`."""
    if _MARK not in raw:
        return False
    try:
        return bool(_head(raw).attributes)
    except UNREADABLE:
        return True  # read leniently: of a record there would be nothing but its lack of every member


class EitherNormalizer:
    """Gives records and workspace events of one product their meaning. Not for use by several threads at once.

    Args:
        product: `jira` or `confluence`; an event whose action names none is about this one.
        records: For the records of the product.
        catalogue: What actions mean; default: the catalogue of the package.
    """

    def __init__(self, product: str, records: RecordNormalizer, catalogue: Catalogue | None = None) -> None:
        self._product = product
        self._records = records
        self._events = OrganizationNormalizer(catalogue)

    def use(self, catalogue: Catalogue) -> None:
        """Take another catalogue from now on."""
        self._records.use(catalogue)
        self._events.use(catalogue)

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order."""
        events = [is_event(record.raw) for record in records]
        if not any(events):
            return self._records.normalize(records)
        of_events = iter(
            self._events.normalize([record for record, is_one in zip(records, events, strict=True) if is_one])
        )
        of_records = iter(
            self._records.normalize([record for record, is_one in zip(records, events, strict=True) if not is_one])
        )
        return [
            self._completed(record, next(of_events)) if is_one else next(of_records)
            for record, is_one in zip(records, events, strict=True)
        ]

    def _completed(self, record: Record, event: AuditEvent | UnexpectedPayload) -> AuditEvent | UnexpectedPayload:
        """Add what the workspace says of each of its events: product and site."""
        if isinstance(event, AuditEvent) and (event.product is None or event.site is None):
            site = event.site or site_of(record.origin.site)
            return conclude(msgspec.structs.replace(event, product=event.product or self._product, site=site))
        return event
