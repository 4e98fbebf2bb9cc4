"""Whether objects are what the digests of their hours say: of some hours, where nobody waits for a whole archive.

Each digest that names one of them is compared with its signature and with the digests before and after it. That is less
than `verify` proves: hours further away are not looked at, so whether any is left out is not said here.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from forwarder.archive import layout
from forwarder.archive.chain_keys import ChainKeys
from forwarder.archive.digest import HOUR, Digest, Entry, read_digest, sha256
from forwarder.archive.stores import NotStored
from forwarder.archive.verdict import Found
from forwarder.contracts.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from forwarder.archive.stores import Store

_AT_ONCE = 32
_LATE = timedelta(days=1)
"""How much later than its hour the digest may be that names an object: it was noted late."""


class Span(NamedTuple):
    """The hours of the first and the newest digest."""

    first: datetime
    newest: datetime


class HourProof(msgspec.Struct):
    """What the digests prove of some objects.

    Attributes:
        objects: What digests say of them, by name.
        digests: How many digests name them.
        signed: How many of these have a signature that is right.
        keys: Ids of the keys that signed, in order.
        waiting: Names of objects that are in no digest, because their hour is open.
        head: SHA-256 of the newest digest; empty without any.
        used: Their hours, in order.
        signatures_unread: Why no signature could be checked.
        findings: What is not as it was written.
    """

    objects: dict[str, Entry] = {}
    digests: int = 0
    signed: int = 0
    keys: list[str] = []
    waiting: list[str] = []
    head: str = ""
    used: list[datetime] = []
    signatures_unread: str = ""
    findings: list[Found] = []


class _Read(NamedTuple):
    data: bytes
    said: Digest


async def span_of(store: Store) -> Span | None:
    """Return which hours have digests; None when there is none."""
    months = [month for year in await store.folders(layout.DIGESTS) for month in await store.folders(year)]
    found: list[datetime] = []
    for month in (*months[:1], *months[-1:]):
        hours = [layout.parse_digest(each.name) for each in await store.list(month)]
        found += [hour for hour in hours if hour is not None]
    return Span(min(found), max(found)) if found else None


class HourCheck:
    """Checks hours of one archive; each is read once.

    Args:
        store: Where it lies.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._span: Span | None = None
        self._hours: dict[datetime, _Read | None] = {}
        self._keys = ChainKeys(store.read_oldest, self._find)
        self._proof = HourProof()

    async def check(
        self,
        names: Collection[str],
        hashes: Sequence[Mapping[str, str]],
        days: Collection[date] = (),
        there: Collection[str] = (),
    ) -> HourProof:
        """Return what is proven. Raises Held and Retryable as the store does.

        Args:
            names: Of the objects.
            hashes: SHA-256 of these, as seen at different times, and of others, of which only what is wrong is said.
            days: In these, too: every hour is looked at, also for what its digest names and is not there.
            there: Names of all objects of these days.
        """
        self._span = await span_of(self._store)
        if self._span is None:
            self._proof.waiting = sorted(names)
            return self._proof
        hour_of = await self._name({*names, *(name for each in hashes for name in each)})
        own = {hour for name in names if (hour := hour_of[name]) is not None}
        self._proof.waiting = [name for name in sorted(names) if self._is_open(name)]
        used = {hour for hour in hour_of.values() if hour is not None}
        if any(hour < self._span.first for hour in used):  # the first that is there says whether it was the first
            used.add(self._span.first)
        used |= {hour for day in days for hour in _hours_of(day) if self._span.first <= hour <= self._span.newest}
        await self._load(each for hour in used for each in (hour - HOUR, hour, hour + HOUR))
        await self._load([self._span.newest])
        for hour in sorted(used):
            await self._check_digest(hour, is_own=hour in own)
        for each in hashes:
            self._compare(each)
        named = self._proof.objects
        self._proof.objects = {name: named[name] for name in names if name in named}
        await self._look_for_missing(used, set(days), there)
        newest = self._hours[self._span.newest]
        self._proof.head = sha256(newest.data) if newest is not None else ""
        self._proof.used = sorted(own)
        self._proof.findings = sorted(set(self._proof.findings))
        return self._proof

    def _find(self, kind: str, name: str, detail: str) -> None:
        self._proof.findings.append(Found(kind, name, detail))

    def _is_open(self, name: str) -> bool:
        """Tell whether no digest can name an object yet."""
        said = layout.parse_evidence(name)
        return said is not None and self._span is not None and said.hour > self._span.newest

    async def _name(self, names: Collection[str]) -> dict[str, datetime | None]:
        """Find the hour of the digest of each object; None for one that has none."""
        said = {name: layout.parse_evidence(name) for name in sorted(names)}
        await self._load(found.hour for found in said.values() if found is not None)
        return {
            name: await self._digest_of(name, found.hour if found is not None else None) for name, found in said.items()
        }

    async def _digest_of(self, name: str, hour: datetime | None) -> datetime | None:
        if hour is None:
            self._find("object_foreign", name, "nothing of this name is written here")
            return None
        if self._span is None or hour > self._span.newest:
            return None
        for at in range(_LATE // HOUR + 1):
            late = hour + at * HOUR
            if late > self._span.newest:
                break
            if late < self._span.first:  # whose digest would be the first, and is gone
                continue
            await self._load([late])
            read = self._hours[late]
            if read is None:
                if at == 0:
                    return hour  # found to be missing or damaged when it is checked
                continue
            for entry in read.said.objects:
                self._proof.objects.setdefault(entry.name, entry)
            if name in self._proof.objects:
                return late
        self._find("object_foreign", name, "it is in no digest")
        return hour

    async def _load(self, hours: Iterable[datetime]) -> None:
        """Read digests that were not read yet; None for one that is not there or is damaged, which is found."""
        span = self._span
        due = [hour for hour in sorted({*hours} - self._hours.keys()) if span and span.first <= hour <= span.newest]
        for at in range(0, len(due), _AT_ONCE):
            part = due[at : at + _AT_ONCE]
            self._hours |= dict(zip(part, await asyncio.gather(*map(self._read, part)), strict=True))

    async def _read(self, hour: datetime) -> _Read | None:
        name = layout.digest_name(hour)
        try:
            data = await self._store.read_oldest(name)
            said = read_digest(data)
        except NotStored:
            self._find("digest_missing", name, "it is not there")
        except ValueError as error:
            self._find("digest_unreadable", name, str(error))
        else:
            if said.hour == hour:
                return _Read(data, said)
            self._find("digest_misplaced", name, f"it is of the hour {said.since}")
        return None

    async def _check_digest(self, hour: datetime, *, is_own: bool) -> None:
        read, before, after = (self._hours.get(hour + at * HOUR) for at in (0, -1, 1))
        if read is None:
            return
        self._proof.digests += is_own
        if before is not None:
            self._check_link(before, read)
        elif read.said.seq != 1 and self._span is not None and hour == self._span.first:
            self._find("digest_missing", layout.digest_name(hour), f"it has number {read.said.seq}, and is the first")
        if after is not None:
            self._check_link(read, after)
        await self._check_signature(read, is_own=is_own)

    def _check_link(self, one: _Read, following: _Read) -> None:
        name, by = layout.digest_name(one.said.hour), layout.digest_name(following.said.hour)
        if following.said.seq != one.said.seq + 1:
            self._find("digest_missing", by, f"it has number {following.said.seq}; {one.said.seq + 1} should follow")
        elif following.said.previous != sha256(one.data):
            self._find("digest_changed", name, f"{by} names another one before it")
        elif (signs := one.said.next_key or one.said.key) != following.said.key:
            kind = "key_changed" if following.said.key else "signature_missing"
            self._find(kind, by, f"{signs or 'no key'} was to sign")

    async def _check_signature(self, read: _Read, *, is_own: bool) -> None:
        name, key = layout.digest_name(read.said.hour), read.said.key
        if not key or self._proof.signatures_unread:
            return
        try:
            is_right = await self._keys.has_signed(key, name, read.data)
        except ConfigError as error:
            self._proof.signatures_unread = str(error)
        except NotStored:
            if self._span is None or read.said.hour != self._span.newest:  # of the newest it may come yet
                self._find("signature_missing", name, f"{layout.signature_name(name)} is not there")
        else:
            self._proof.signed += is_own and is_right
            if is_own and is_right and key not in self._proof.keys:
                self._proof.keys.append(key)

    def _compare(self, hashes: Mapping[str, str]) -> None:
        for name, found in hashes.items():
            entry = self._proof.objects.get(name)
            if entry is not None and found and found != entry.sha256:
                self._find("object_changed", name, f"its SHA-256 is {found}, and was {entry.sha256}")

    async def _look_for_missing(
        self, used: Collection[datetime], days: Collection[date], there: Collection[str]
    ) -> None:  # fmt: skip
        """Find what digests name and is not there, but for months that are deleted on record."""
        if not days:
            return
        deleted = {layout.parse_deletion(each.name) for each in await self._store.list(layout.DELETIONS)}
        for hour in sorted(used):
            read = self._hours.get(hour)
            if read is None or hour.date().replace(day=1) in deleted:
                continue
            for entry in read.said.objects:
                said = layout.parse_evidence(entry.name)
                if said is None or said.hour.date() not in days or entry.name in there:
                    continue
                try:
                    await self._store.read(entry.name)  # it may have come since the others were listed
                except NotStored:
                    self._find("object_missing", entry.name, f"the digest of {read.said.since} names it")


def _hours_of(day: date) -> Iterable[datetime]:
    return (datetime.combine(day, time(hour), UTC) for hour in range(24))
