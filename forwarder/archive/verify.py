"""Checks an archive: whether every digest follows the one before, is signed, and names what is there, and all of it.

Nothing is believed that the archive says of itself but what a digest proves; where it was stored in versions, the
oldest is what was written. `verify_archive.py`, which shares no code with this, finds the same in a copy.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from forwarder.archive import layout
from forwarder.archive.chain_keys import ChainKeys
from forwarder.archive.deleted import DeletedMonths
from forwarder.archive.digest import HOUR, Digest, Entry, count_on, iso_hour, read_digest, sha256
from forwarder.archive.evidence import DamagedEvidence, damage_of, events_of, header_of
from forwarder.archive.retention import read_deletion
from forwarder.archive.stores import NotStored
from forwarder.archive.verdict import Found, Tally, Verdict, conclude

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from forwarder.archive.stores import Readable

_UNTIL_IT_SIGNS = timedelta(hours=2)
"""A key that is new is named by the digest of one hour, and signs that of the next."""

_AT_ONCE = 4
"""Objects in memory."""


async def verify(
    store: Readable,
    *,
    heads: Collection[str] = (),
    known_keys: Collection[str] = (),
    progress: Callable[[Verdict], None] = lambda _: None,
    is_part: bool = False,
    key_set_at: datetime | None = None,
) -> Verdict:
    """Check a whole archive. Raises Held and Retryable as the store does, and ConfigError without what checks keys.

    Args:
        store: Where it lies.
        heads: SHA-256 of digests that must be in the chain.
        known_keys: Ids of keys of which one must have signed.
        progress: Called with what was found so far, after every digest.
        is_part: It is a piece of a chain with some of the objects: it may begin anywhere, and others are elsewhere.
        key_set_at: When the known keys were configured on this machine: digests that ended earlier, or soon after, need
            not be signed with them. Nothing that lies in the archive may say so.
    """
    check = _Check(store, set(heads), set(known_keys), is_part=is_part)
    await check.digests(progress)
    await check.rest()
    return check.conclude(key_set_at)


class _Check:
    """One check. `_next_seq`, `_next_hour` and `_previous` are what the next digest must say."""

    def __init__(self, store: Readable, heads: set[str], known_keys: set[str], *, is_part: bool) -> None:
        self._store = store
        self._heads, self._known_keys = heads, known_keys
        self._verdict, self._tally = Verdict(), Tally(heads=len(heads), known=sorted(known_keys))
        self._keys = ChainKeys(self._read, self._find)
        self._trusted: set[str] = set()  # keys that signed a digest, or were named by one as the next
        self._records: set[str] = set()
        self._deleted = DeletedMonths()
        self._missing: list[tuple[Found, datetime]] = []  # unless a month was deleted on record
        self._named: set[str] = set()
        self._dark: list[tuple[datetime, datetime]] = []  # from when until when no digest can be read
        self._is_part = is_part
        self._next_seq: int | None = None if is_part else 1
        self._next_hour: datetime | None = None
        self._previous, self._previous_name = "", ""
        self._key: str | None = None
        self._newest_seq: Mapping[str, int] | None = None if is_part else {}

    def _find(self, kind: str, name: str, detail: str) -> None:
        self._verdict.findings.append(Found(kind, name, detail))

    # -------------------------------------------------------------------------------------------------------- digests

    async def digests(self, progress: Callable[[Verdict], None]) -> None:
        """Walk through the chain from its beginning."""
        await self._read_records()
        listed = [each.name for each in await self._store.list(layout.DIGESTS)]
        names = [name for name in listed if _hour_of(name) is not None]
        for name in names:
            try:
                data = await self._read(name)
            except NotStored:  # a link or a pipe of this name
                self._find("digest_missing", name, "what has its name is not a file")
                self._pass_over(name)
                continue
            self._verdict.digests += 1
            try:
                digest = read_digest(data)
            except ValueError as error:
                self._find("digest_unreadable", name, str(error))
                self._pass_over(name)
            else:
                if layout.digest_name(digest.hour) == name:
                    await self._follow(digest, name, data, is_newest=name == names[-1])
                else:
                    self._find("digest_misplaced", name, f"it is of the hour {digest.since}")
                    self._pass_over(name)
            self._previous, self._previous_name = sha256(data), name
            self._heads.discard(self._previous)
            progress(self._verdict)
        self._verdict.head = self._previous
        self._look_beside(listed, names)

    def _look_beside(self, listed: Collection[str], names: Collection[str]) -> None:
        """Look at what else lies among the digests, and for those that must be there."""
        signatures = {name for name in listed if _hour_of(name.removesuffix(".sig")) is not None}
        if not names:
            self._find("digest_missing", layout.DIGESTS, f"there is none in {self._store.place}")
        for name in sorted({*listed} - {*names} - signatures):
            self._find("object_foreign", name, "nothing of this name is written here")
        for name in sorted(signatures):
            hour = _hour_of(name.removesuffix(".sig"))
            if hour is not None and (self._next_hour is None or hour >= self._next_hour):
                self._find("digest_missing", name.removesuffix(".sig"), "its signature is there")
        for head in sorted(self._heads):
            self._find("head_missing", head, "digests were cut off at the end, or replaced")

    def _pass_over(self, name: str) -> None:
        """Take a digest that says nothing for the one that belongs there; the next one shows whether it was."""
        hour = _hour_of(name)
        self._next_seq = self._next_seq and self._next_seq + 1
        self._newest_seq = self._key = None
        if hour is not None:
            self._dark.append((hour, hour + HOUR))
            self._next_hour = hour + HOUR

    async def _follow(self, digest: Digest, name: str, data: bytes, *, is_newest: bool) -> None:
        hour = digest.hour
        if self._next_seq is None:
            pass  # the first of a part follows what is elsewhere
        elif digest.seq != self._next_seq:
            self._find("digest_missing", name, f"it has number {digest.seq}; {self._next_seq} should follow")
            if self._next_hour is not None:
                self._dark.append((self._next_hour, hour))
            self._newest_seq = self._key = None
        else:
            if digest.previous != self._previous:
                self._find("digest_changed", self._previous_name or name, f"{name} names another one before it")
            if self._next_hour is not None and hour != self._next_hour:
                self._find("hour_missing", name, f"{iso_hour(self._next_hour)} should follow")
        if digest.until != iso_hour(hour + HOUR):
            self._find("hour_missing", name, f"it ends at {digest.until}, and is of one hour")
        self._next_seq, self._next_hour = digest.seq + 1, hour + HOUR
        self._verdict.since = self._verdict.since or digest.since
        self._verdict.until = digest.until
        await self._check_signature(digest, name, data, is_newest=is_newest)
        self._check_counts(digest, name)
        self._check_numbers(digest, name)
        self._named.update(entry.name for entry in digest.objects)
        self._tally.recovered += len(digest.recovered)
        self._tally.back.update(digest.numbers_go_back)
        self._deleted.add(digest, sha256(data))
        for at in range(0, len(digest.objects), _AT_ONCE):
            await asyncio.gather(*(self._look_at(entry, hour) for entry in digest.objects[at : at + _AT_ONCE]))

    async def _check_signature(self, digest: Digest, name: str, data: bytes, *, is_newest: bool) -> None:
        expected = digest.key if self._key is None else self._key
        self._key = digest.next_key or digest.key
        if not digest.key:
            self._tally.unsigned += 1
            self._trusted.add(digest.next_key)
            if expected:
                self._find("signature_missing", name, f"it names no key; {expected} signs")
            return
        if digest.key != expected:
            self._find("key_changed", name, f"it names the key {digest.key}; {expected or 'none'} was to sign")
        try:
            is_signed = await self._keys.has_signed(digest.key, name, data)
        except NotStored:
            self._tally.unfinished = is_newest
            if not is_newest:
                self._find("signature_missing", name, f"{layout.signature_name(name)} is not there")
            return
        if is_signed:
            self._trusted.update((digest.key, digest.next_key))
            if digest.key not in self._verdict.keys:
                self._verdict.keys.append(digest.key)

    def _check_counts(self, digest: Digest, name: str) -> None:
        """Check what a digest says of its objects against itself and the digests before."""
        names = [entry.name for entry in digest.objects]
        if digest.events != sum(entry.events for entry in digest.objects):
            self._find("counts_wrong", name, f"it says {digest.events} events, and its objects say another sum")
        if not set(digest.recovered) <= set(names):
            self._find("counts_wrong", name, "it recovered what is not among its objects")
        for at, each in enumerate(names):
            if each in self._named or (at and each <= names[at - 1]):
                self._find("object_twice", each, f"{name} is not the only one that names it, or not in its order")

    def _check_numbers(self, digest: Digest, name: str) -> None:
        known = []
        for entry in digest.objects:
            said = layout.parse_evidence(entry.name)
            if said is None or (said.first, said.last) != (entry.first_seq, entry.last_seq):
                self._find("numbers_wrong", entry.name, f"{name} has it as {entry.first_seq} to {entry.last_seq}")
                continue
            known.append((layout.quoted(said.source), entry))
            if not 1 <= entry.events <= entry.last_seq - entry.first_seq + 1:
                self._find("counts_wrong", entry.name, f"{entry.events} events cannot have these numbers")
            if said.hour > digest.hour:
                self._find("hour_wrong", entry.name, f"{name} is of an hour before it")
        if self._newest_seq is not None and len(known) == len(digest.objects):
            newest, back = count_on(self._newest_seq, known)
            if (dict(newest), back) != (dict(digest.newest_seq), digest.numbers_go_back):
                self._find("numbers_wrong", name, "numbers overlap or go back, and it does not say so")
        self._newest_seq = digest.newest_seq

    # -------------------------------------------------------------------------------------------------------- objects

    async def _look_at(self, entry: Entry, hour: datetime) -> None:
        if self._deleted.is_on_record(hour) and await self._is_gone(entry.name):
            self._deleted.miss(hour)
            return
        try:
            data = await self._store.read_oldest(entry.name)
            versions = await self._store.versions(entry.name)
        except NotStored:
            if self._is_part:
                return
            self._missing.append(
                (Found("object_missing", entry.name, f"the digest of {iso_hour(hour)} names it"), hour)
            )
            return
        if versions > 1:
            self._missing.append((Found("object_overwritten", entry.name, _versions(versions)), hour))
        problem = await asyncio.to_thread(_compare, entry, data)
        if problem is not None:
            self._find(problem[0], entry.name, problem[1])
        self._verdict.objects += 1
        self._verdict.events += entry.events
        self._verdict.bytes += len(data)

    async def _is_gone(self, name: str) -> bool:
        """Tell whether an object is deleted; where a place keeps versions, the oldest one may be there for long yet."""
        try:
            await self._store.read(name)
        except NotStored:
            return True
        return False

    async def _read(self, name: str) -> bytes:
        """Return an object as it was first stored, and see that it was stored once."""
        data = await self._store.read_oldest(name)
        if (versions := await self._store.versions(name)) > 1:
            self._find("object_overwritten", name, _versions(versions))
        return data

    async def rest(self) -> None:
        """Look at what no digest names."""
        for each in await self._store.list(layout.EVIDENCE):
            if each.name in self._named:
                continue
            said = layout.parse_evidence(each.name)
            if said is None:
                self._find("object_foreign", each.name, "nothing of this name is written here")
            elif self._next_hour is None or said.hour >= self._next_hour:
                await self._look_at_open(each.name, said)
            elif any(since <= said.hour < until for since, until in self._dark):
                self._tally.orphaned += 1
            else:
                self._find("object_foreign", each.name, "it is in no digest")
        for each in await self._store.list(layout.KEYS):
            key = each.name.removeprefix(layout.KEYS).removesuffix(".pem")
            if layout.key_name(key) != each.name or not key.isalnum():
                self._find("object_foreign", each.name, "nothing of this name is written here")
            else:
                await self._keys.public(key)
        await self._read_records()  # a month may have been deleted while the others were read
        for found, hour in self._missing:
            if self._deleted.is_on_record(hour) and await self._is_gone(found.name):
                self._deleted.miss(hour)
            else:
                self._verdict.findings.append(found)
        self._verdict.findings += self._deleted.judge(self._tally, self._trusted)

    async def _look_at_open(self, name: str, said: layout.EvidenceName) -> None:
        """Look whether an object that is in no digest yet is evidence at all."""
        try:
            problem = await asyncio.to_thread(damage_of, await self._read(name), said)
        except NotStored:  # a link or a pipe of this name, or deleted meanwhile
            problem = "what has its name is not a file"
        if problem:
            self._find("object_damaged", name, problem)
        else:
            self._tally.uncovered += 1

    async def _read_records(self) -> None:
        """Read which months were deleted on purpose, and were not known to be."""
        for each in await self._store.list(layout.DELETIONS):
            name = each.name.removesuffix(".sig")
            if layout.parse_deletion(name) is None:
                self._find("object_foreign", each.name, "nothing of this name is written here")
            elif name == each.name and name not in self._records:
                self._records.add(name)
                await self._read_record(name)

    async def _read_record(self, name: str) -> None:
        try:
            data = await self._read(name)
            record = read_deletion(data)
        except (NotStored, ValueError, RecursionError) as error:
            self._find("deletion_wrong", name, str(error))
            return
        try:
            is_signed = await self._keys.has_signed(record.key, name, data) if record.key else False
        except NotStored:  # its writer was killed before it deleted anything, or somebody took it away
            is_signed = None
        self._deleted.add_record(name, record, is_signed=is_signed)

    def conclude(self, key_set_at: datetime | None) -> Verdict:
        """Return the verdict."""
        signed = self._verdict.keys
        if self._known_keys and not self._known_keys & set(signed):
            until = self._next_hour
            if not signed and key_set_at is not None and until is not None and until < key_set_at + _UNTIL_IT_SIGNS:
                self._tally.is_key_new = True
            else:
                by = f"signed: {', '.join(signed)}" if signed else "none is"
                self._find("key_unknown", ", ".join(sorted(self._known_keys)), by)
        self._verdict.findings = sorted(set(self._verdict.findings))
        conclude(self._verdict, self._tally)
        return self._verdict


def _versions(versions: int) -> str:
    return f"{versions} versions; the oldest one is what was stored"


def _hour_of(name: str) -> datetime | None:
    """Return the hour of a digest's name; None for any other name, and for one after which no hour can follow."""
    hour = layout.parse_digest(name)
    return hour if hour is not None and 1000 <= hour.year < 9000 else None


def _compare(entry: Entry, data: bytes) -> tuple[str, str] | None:
    """Return what is wrong with an object, if anything is."""
    if sha256(data) != entry.sha256 or len(data) != entry.size:
        if len(data) < entry.size:
            return "object_truncated", f"{len(data)} of {entry.size} bytes are there"
        return "object_changed", f"its SHA-256 is {sha256(data)}, and was {entry.sha256}"
    try:
        header = header_of(data)
        events = sum(1 for _ in events_of(data))
    except DamagedEvidence as error:
        return "counts_wrong", f"it holds no events: {error}"
    if events != entry.events:
        return "counts_wrong", f"it holds {events} events, and the digest says {entry.events}"
    numbers = [number for first, last, _ in header.spans for number in (first, last)]
    if (min(numbers, default=0), max(numbers, default=0)) != (entry.first_seq, entry.last_seq):
        return "numbers_wrong", "it holds other numbers"
    return None
