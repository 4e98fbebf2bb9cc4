"""What an archive says of months that were deleted on purpose, compared with their digests and with what is missing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from forwarder.archive.retention import Deletion, MonthSums
from forwarder.archive.verdict import Found, Tally

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from forwarder.archive.digest import Digest


class _Month:
    """What the digests of a month say, and what is missing of it although it is on record."""

    def __init__(self) -> None:
        self.sums = MonthSums()
        self.has_signed_digests = False
        self.missing = 0


class _Record:
    """A record; `is_signed` is None when it has no signature at all."""

    def __init__(self, name: str, said: Deletion, *, is_signed: bool | None) -> None:
        self.name, self.said, self.is_signed = name, said, is_signed


class DeletedMonths:
    """All months of an archive, by their names such as `2026-01`."""

    def __init__(self) -> None:
        self._months: defaultdict[str, _Month] = defaultdict(_Month)
        self._records: dict[str, _Record] = {}

    def add(self, digest: Digest, digest_sha256: str) -> None:
        """Add the next digest of the chain."""
        month = self._months[digest.since[:7]]
        month.sums.add(digest, digest_sha256)
        month.has_signed_digests |= bool(digest.key)

    def add_record(self, name: str, said: Deletion, *, is_signed: bool | None) -> None:
        """Add what lies under a name; `is_signed` is None without a signature, False for a wrong one."""
        self._records[name[-len("2026-01.json") : -len(".json")]] = _Record(name, said, is_signed=is_signed)

    def is_on_record(self, hour: datetime) -> bool:
        """Tell whether there is a record for the month of an hour."""
        return f"{hour:%Y-%m}" in self._records

    def miss(self, hour: datetime) -> None:
        """Count an object that is not there any more, and was named by the digest of this hour."""
        self._months[f"{hour:%Y-%m}"].missing += 1

    def judge(self, tally: Tally, trusted: Collection[str]) -> Iterator[Found]:
        """Yield what is wrong with records; `trusted` are the keys of the chain."""
        for name, record in sorted(self._records.items()):
            month = self._months[name]
            wrong = list(_wrong(name, record, month, trusted))
            yield from (Found(kind, record.name, detail) for kind, detail in wrong)
            if month.missing and not wrong:
                tally.deleted[name] = record.said.events
                tally.unsigned_records.update(() if record.said.key else (name,))


def _wrong(name: str, record: _Record, month: _Month, trusted: Collection[str]) -> Iterator[tuple[str, str]]:
    said = record.said
    if said.key and record.is_signed is None:
        if month.missing:  # else it was begun, and nothing was deleted yet
            yield "signature_missing", "it is of a month that is deleted"
    elif said.key and not (record.is_signed and said.key in trusted):
        yield "deletion_wrong", f"it is not signed with {said.key}, or that is no key of the chain"
    elif not said.key and month.has_signed_digests:
        yield "deletion_wrong", "it is not signed, and the digests of the month are"
    if said.month != name:
        yield "deletion_wrong", f"it is of {said.month}"
    elif month.sums.contradicts(said):
        yield "deletion_wrong", "the digests of the month have other numbers, counts or hashes"
