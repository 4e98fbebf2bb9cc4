"""Deletes evidence that is older than it has to be: whole months, each on a signed record, and never under a hold.

The digests stay: they hold no event, and the chain stays whole (ADR 89). A record is written before the first object
goes, so that a deletion that was cut short is finished by the next one, and is never a loss that nobody explains.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from forwarder.archive import layout
from forwarder.archive.chain import newest_digest
from forwarder.archive.digest import VERSION, Digest, canonical, decoded, is_key, read_digest, sha256
from forwarder.archive.evidence import Evidence
from forwarder.archive.keys import PublicKey, read_signing_key
from forwarder.archive.stores import AlreadyStored, NotStored
from forwarder.contracts.errors import Held
from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from forwarder.archive.chain import ArchiveKeys
    from forwarder.archive.keys import SigningKey
    from forwarder.archive.stores import Store

_LOOK = "See what happened with: audit-forwarder archive verify."


class Deletion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"size": "bytes"}):
    """That the evidence of a month is deleted on purpose.

    Attributes:
        v: Version of this shape.
        month: As `2026-01`.
        key: Id of the key that signs this record; empty in an archive without one.
        first_digest, last_digest: Numbers of the month's digests.
        last: SHA-256 of the last of them.
        objects, events, size: What they name.
        retain_months: The setting that asked for it.
        made: When, ISO 8601.
    """

    v: int
    month: str
    key: str
    first_digest: int
    last_digest: int
    last: str
    objects: int
    events: int
    size: int
    retain_months: int
    made: str


class DueMonth(msgspec.Struct, frozen=True):
    """A month that is to be deleted: its record, and which of its objects are still there."""

    record: Deletion
    names: tuple[str, ...]


def read_deletion(data: bytes) -> Deletion:
    """Return a record. Raises ValueError for bytes that no writer of ours makes."""
    found = decoded(data, Deletion)
    if found.v != VERSION:
        raise ValueError(f"version {found.v} is not known here")
    if canonical(found) != data:
        raise ValueError("not in canonical form")
    date.fromisoformat(f"{found.month}-01")
    if not is_key(found.key):
        raise ValueError("it names a key by something that is not an id")
    return found


class MonthSums(msgspec.Struct):
    """What a record says of a month's digests."""

    first_digest: int = 0
    last_digest: int = 0
    last: str = ""
    objects: int = 0
    events: int = 0
    size: int = 0

    def add(self, digest: Digest, digest_sha256: str) -> None:
        """Add the next digest."""
        self.first_digest = self.first_digest or digest.seq
        self.last_digest, self.last = digest.seq, digest_sha256
        self.objects += len(digest.objects)
        self.events += digest.events
        self.size += sum(entry.size for entry in digest.objects)

    def contradicts(self, record: Deletion) -> bool:
        """Tell whether a record says something else."""
        return any(getattr(record, name) != value for name, value in msgspec.structs.asdict(self).items())


class Retention:
    """Deletes what is due.

    Args:
        store: Where the archive lies.
        months: How many whole months are kept besides the one that is not over.
        keys: What signs the records.
    """

    def __init__(self, store: Store, months: int, keys: ArchiveKeys) -> None:
        self._store = store
        self._months = months
        self._keys = keys
        self._log = get_logger()

    async def hold(self) -> str:
        """Return the name of what forbids any deletion; empty when nothing does."""
        try:
            await self._store.read(layout.HOLD)
        except NotStored:
            folder = f"{layout.HOLD}/"  # an empty one, too: whoever made it meant it
            return folder if folder in await self._store.folders("") else ""
        return layout.HOLD

    async def run(self, now: float) -> None:
        """Delete what is due, unless there is a hold. Raises as `due` and `delete`."""
        if not await self.hold():
            for month in await self.due(now):
                objects = await self.delete(month)
                self._log.info("evidence_deleted", month=month.record.month, objects=objects)

    async def due(self, now: float) -> list[DueMonth]:
        """Return the months that are to be deleted, the oldest first. Raises Held when the chain forbids it."""
        this = datetime.fromtimestamp(now, UTC)
        before = _months_earlier(date(this.year, this.month, 1), self._months)
        evidence = Evidence(self._store)
        days = {day for source in await evidence.sources() for day in await evidence.days(source)}
        # what was noted late is in a digest of the day after
        months = {each.replace(day=1) for day in days for each in (day, day + timedelta(days=1))}
        due = [await self._month(month, now) for month in sorted(months) if month < before]
        return [month for month in due if month is not None]

    async def delete(self, month: DueMonth) -> int:
        """Delete a month and its index; return how many objects of evidence.

        Raises Held under a hold and when the place protects them.
        """
        await self._record(month)
        for folder in layout.index_folders(date.fromisoformat(f"{month.record.month}-01")):
            for listed in await self._store.list(folder):
                await self._store.delete(listed.name)
        for name in month.names:
            if hold := await self.hold():
                raise Held(f"{hold} in {self._store.place} forbids to delete.", fix="Remove it when the hold is over.")
            await self._store.delete(name)
        return len(month.names)

    async def _month(self, month: date, now: float) -> DueMonth | None:
        """Return what is to be deleted of a month; None when no digest names anything of it that is there."""
        digests = await self._digests(month)
        named = {entry.name for digest, _ in digests for entry in digest.objects}
        stored = Evidence(self._store).objects(since=_midnight(month) - timedelta(days=1), until=_after(month))
        names = tuple([each.name async for each in stored if each.name in named])
        if not names:
            return None
        try:
            return DueMonth(read_deletion(await self._store.read_oldest(layout.deletion_name(month))), names)
        except NotStored:
            pass
        except ValueError as error:
            raise Held(f"{layout.deletion_name(month)} is not a record: {error}.", fix=_LOOK) from None
        newest = await newest_digest(self._store)
        signs = (newest.next_key or newest.key) if newest is not None else ""
        self._signer(signs)
        sums = MonthSums()
        for digest, digest_sha256 in digests:
            sums.add(digest, digest_sha256)
        record = Deletion(
            v=VERSION,
            month=f"{month:%Y-%m}",
            key=signs,
            retain_months=self._months,
            made=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **msgspec.structs.asdict(sums),
        )
        return DueMonth(record, names)

    async def _digests(self, month: date) -> list[tuple[Digest, str]]:
        """Return the digests of a month that is closed, with their SHA-256; none of one that is not.

        Raises Held when one is missing or none of ours.
        """
        found: list[tuple[Digest, str]] = []
        for each in await self._store.list(f"{layout.DIGESTS}{month:%Y/%m}/"):
            if (hour := layout.parse_digest(each.name)) is None:
                continue
            data = await self._store.read_oldest(each.name)
            try:
                digest = read_digest(data)
            except ValueError as error:
                raise Held(f"{each.name} is not a digest: {error}; nothing is deleted.", fix=_LOOK) from None
            follows = not found or (digest.seq, digest.previous) == (found[-1][0].seq + 1, found[-1][1])
            if digest.hour != hour or not follows:
                raise Held(f"{each.name} does not follow the digest before; nothing is deleted.", fix=_LOOK)
            found.append((digest, sha256(data)))
        if found and found[-1][0].hour + timedelta(hours=1) != _after(month):
            if await self._store.list(f"{layout.DIGESTS}{_after(month):%Y/%m}/"):
                raise Held(f"The digests of {month:%Y-%m} are not complete; nothing is deleted.", fix=_LOOK)
            return []  # its hours are still to be closed
        return found

    async def _record(self, month: DueMonth) -> None:
        """Put the record and its signature in place, or see that they are."""
        name, data = layout.deletion_name(date.fromisoformat(f"{month.record.month}-01")), canonical(month.record)
        await self._create(name, data)
        if month.record.key and not await self._is_signed(name, data, month.record.key):
            signer = self._signer(month.record.key)
            if signer is not None:
                await self._create(layout.signature_name(name), signer.sign(data))

    async def _is_signed(self, name: str, data: bytes, key: str) -> bool:
        try:
            signature = await self._store.read_oldest(layout.signature_name(name))
            public = PublicKey.from_pem(await self._store.read_oldest(layout.key_name(key)))
        except (NotStored, ValueError):
            return False
        return public.id == key and public.signed(data, signature)

    async def _create(self, name: str, data: bytes) -> None:
        try:
            await self._store.create(name, data)
        except AlreadyStored:
            if await self._store.read_oldest(name) != data:
                raise Held(f"{name} is there and is another one; nothing is deleted.", fix=_LOOK) from None

    def _signer(self, key: str) -> SigningKey | None:
        """Return the key of this id, None for an archive without one. Raises Held when it is not at hand."""
        if not key:
            return None
        files = [path for path in (self._keys.key, self._keys.old_key) if path is not None]
        for signer in map(read_signing_key, files):
            if signer.id == key:
                return signer
        raise Held(f"The archive is signed with the key {key}.", fix="Name its file as key_file or old_key_file.")


def _months_earlier(month: date, months: int) -> date:
    number = month.year * 12 + month.month - 1 - months
    return date(max(1, number // 12), number % 12 + 1, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _after(month: date) -> datetime:
    return _midnight((month + timedelta(days=31)).replace(day=1))
