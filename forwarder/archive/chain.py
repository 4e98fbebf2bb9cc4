"""Writes a digest for every hour, in order, each with the SHA-256 of the one before; also where nothing was stored.

The chain is the lock of an archive: a digest is created under the name of its hour, which works once, and says whose
spool it is of. So a second daemon is refused as soon as it opens the archive, one that was killed goes on, and nobody
waits for a lease to run out (ADR 88). What a daemon stored before it was killed, and no digest names, is taken up by
the next digest under `recovered`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from forwarder.archive import layout
from forwarder.archive.digest import (
    HOUR,
    VERSION,
    Digest,
    Entry,
    Head,
    canonical,
    count_on,
    iso_hour,
    parse_hour,
    read_digest,
    sha256,
)
from forwarder.archive.evidence import DamagedEvidence, Evidence, events_of
from forwarder.archive.keys import PublicKey, SigningKey, read_signing_key
from forwarder.archive.stores import AlreadyStored, NotStored
from forwarder.contracts.errors import ConfigError, Held
from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from forwarder.archive.stores import Store

LONGEST_PAUSE = timedelta(days=400)
"""A longer one is taken for a clock that is wrong: the hours between could never be taken back."""
_LOOK_BACK = timedelta(days=1)
_LOOK = "See what happened with: audit-forwarder archive verify."


class ArchiveKeys(msgspec.Struct, frozen=True):
    """Where the keys are.

    Attributes:
        key: File of the key that signs; None for digests without signatures.
        old_key: File of the key that signed before, while it is being replaced.
    """

    key: Path | None = None
    old_key: Path | None = None


async def newest_digest(store: Store) -> Digest | None:
    """Return the end of the chain; None when there is none. Raises as `read_hour`."""
    for year in reversed(await store.folders(layout.DIGESTS)):
        for month in reversed(await store.folders(year)):
            names = [each.name for each in await store.list(month)]
            if hours := [hour for name in names if (hour := layout.parse_digest(name)) is not None]:
                return await read_hour(store, max(hours))
    return None


async def read_hour(store: Store, hour: datetime) -> Digest:
    """Return the digest of an hour. Raises Held when what is there is not one."""
    name = layout.digest_name(hour)
    try:
        digest = read_digest(await store.read_oldest(name))
    except ValueError as error:
        raise Held(f"{name} in {store.place} is not a digest: {error}.", fix=_LOOK) from None
    except NotStored:
        raise Held(f"{name} in {store.place} is missing.", fix=_LOOK) from None
    if digest.hour != hour:
        raise Held(f"{name} in {store.place} is a digest of another hour.", fix=_LOOK)
    return digest


class HourDigests:
    """The chain of digests of one archive, and which hour is open.

    Args:
        store: Where the archive lies.
        writer: Id of the spool that the evidence comes from: it stays over restarts, and no other spool has it.
        keys: What signs.
        take_over: Writer whose archive is continued although it is not this one.
    """

    def __init__(self, store: Store, writer: str, keys: ArchiveKeys | None = None, *, take_over: str = "") -> None:
        self._store = store
        self._writer = writer
        self._keys = keys or ArchiveKeys()
        self._take_over = take_over
        self._lock = asyncio.Lock()
        self._newest: Digest | None = None
        self._newest_sha256 = ""
        self._since = datetime.min.replace(tzinfo=UTC)
        self._signing: dict[str, SigningKey] = {}
        self._key = ""
        self._waiting: dict[str, Entry] = {}
        self._recovered: set[str] = set()
        self._named: set[str] = set()  # by digests of the last day
        self._closing: Digest | None = None
        self._log = get_logger()

    @property
    def head(self) -> Head | None:
        """Return the newest digest; None before the archive was opened."""
        newest = self._newest
        return Head(newest.seq, self._newest_sha256, newest.until) if newest is not None else None

    @property
    def since(self) -> datetime:
        """Return the hour from which on evidence is of this spool: what was stored before has other numbers."""
        return self._since

    def hour_of(self, now: float) -> datetime:
        """Return the hour as which an object stored now counts: never one that is closed, nor one before another."""
        hours = [layout.hour_of(now), self._since, *(_hour(name) for name in self._waiting)]
        if self._newest is not None:
            hours.append(parse_hour(self._newest.until))
        return max(hours)

    async def open(self, now: float) -> None:
        """Continue the chain, or begin it; does nothing the second time.

        Raises Held when the archive is another daemon's or its key is not at hand, Retryable as the store does.
        """
        async with self._lock:
            await self._open(now)

    async def note(self, entry: Entry) -> None:
        """Take an object that is stored into the digest of its hour, or the next one when that is closed."""
        if entry.name not in self._named:
            self._waiting[entry.name] = entry
            self._recovered.discard(entry.name)  # whoever stored it says what is in it

    async def close_due(self, now: float, unsettled: Collection[str] = ()) -> int:
        """Write the digests of all hours that are over; return how many.

        Args:
            now: Seconds since the epoch.
            unsettled: Names of objects that are being stored: their hours stay open.
        """
        async with self._lock:
            await self._open(now)
            until = min([layout.hour_of(now), *(_hour(name) for name in unsettled)])
            self._refuse_long_pause(layout.hour_of(now))
            closed = 0
            while self._newest is not None and (hour := parse_hour(self._newest.until)) < until:
                await self._close(hour)
                closed += 1
            return closed

    async def _open(self, now: float) -> None:
        if self._newest is not None:
            return
        self._read_keys()
        found = await newest_digest(self._store)
        if found is None:
            self._since = layout.hour_of(now)
            digest = self._digest(self._since - HOUR, None)
        else:
            digest = found
            await self._continue(digest, now)
        for key in self._signing.values():
            await self._create(layout.key_name(key.id), key.public.pem)
        data = canonical(digest)
        if found is None:
            await self._create(layout.digest_name(digest.hour), data)
        await self._sign(digest, data)
        await self._recover(digest)
        self._newest, self._newest_sha256 = digest, sha256(data)

    def _read_keys(self) -> None:
        try:
            keys = [read_signing_key(path) for path in (self._keys.key, self._keys.old_key) if path is not None]
        except ConfigError as error:
            raise Held(f"The archive cannot be signed: {error}.", fix="Put the key back, or name its file.") from None
        self._signing = {key.id: key for key in keys}
        self._key = keys[0].id if self._keys.key is not None else ""

    async def _continue(self, newest: Digest, now: float) -> None:
        """Check that the chain is ours to continue."""
        end = parse_hour(newest.until)
        if newest.writer not in {self._writer, self._take_over}:
            raise Held(
                f"The archive {self._store.place} is written by another daemon, whose spool is {newest.writer}; the "
                f"spool of this one is {self._writer}.",
                fix="Give each daemon an archive of its own; if that spool is gone for good, set take_over to its id.",
            )
        self._refuse_other_keys(newest)
        if newest.writer == self._writer:
            self._since = parse_hour(newest.writer_since)
        else:  # no hour holds numbers of two spools
            stored = Evidence(self._store)
            theirs = [
                each.said.hour + HOUR async for each in stored.objects(since=end, until=layout.hour_of(now) + HOUR)
            ]
            self._since = max([layout.hour_of(now), end, *theirs])

    def _refuse_long_pause(self, hour: datetime) -> None:
        if self._newest is not None and hour - parse_hour(self._newest.until) > LONGEST_PAUSE:
            raise Held(
                f"The newest digest of {self._store.place} ends at {self._newest.until}, and the clock says "
                f"{iso_hour(hour)}.",
                fix="Set the clock of this machine; if it is right, begin a new archive in another folder or prefix.",
            )

    def _refuse_other_keys(self, newest: Digest) -> None:
        signs = newest.next_key or newest.key
        if signs and signs not in self._signing:
            has = f"is {self._key}" if self._key else "is not set"
            raise Held(
                f"The archive {self._store.place} is signed with the key {signs}, and the configured one {has}.",
                fix="Name the file of that key; to change keys, name the new one as key_file and that as old_key_file.",
            )
        if signs and not self._key:
            raise Held(f"The archive {self._store.place} is signed.", fix="Name the file of its key as key_file.")

    def _digest(self, hour: datetime, before: Digest | None, objects: Collection[Entry] = ()) -> Digest:
        entries = tuple(sorted(objects, key=lambda entry: entry.name))
        newest_seq, back = count_on(
            before.newest_seq if before is not None else {},
            [(_source(entry.name), entry) for entry in entries],
        )
        signs = self._key if before is None else before.next_key or before.key
        return Digest(
            v=VERSION,
            seq=1 if before is None else before.seq + 1,
            since=iso_hour(hour),
            until=iso_hour(hour + HOUR),
            writer=self._writer,
            writer_since=iso_hour(self._since),
            key=signs,
            next_key="" if signs == self._key else self._key,
            previous="" if before is None else self._newest_sha256,
            objects=entries,
            events=sum(entry.events for entry in entries),
            recovered=tuple(entry.name for entry in entries if entry.name in self._recovered),
            newest_seq=newest_seq,
            numbers_go_back=back,
        )

    async def _close(self, hour: datetime) -> None:
        digest = self._closing  # one whose answer was lost may be there: what came since belongs to the next
        if digest is None or digest.hour != hour:
            due = [entry for name, entry in self._waiting.items() if _hour(name) <= hour]
            digest = self._closing = self._digest(hour, self._newest, due)
        data = canonical(digest)
        await self._create(layout.digest_name(hour), data)
        await self._sign(digest, data)
        for entry in digest.objects:
            self._waiting.pop(entry.name, None)
            self._recovered.discard(entry.name)
            self._named.add(entry.name)
        self._named = {name for name in self._named if _hour(name) >= hour - _LOOK_BACK}
        self._newest, self._newest_sha256, self._closing = digest, sha256(data), None

    async def _sign(self, digest: Digest, data: bytes) -> None:
        """Put the signature beside a digest; the newest may lack it after a kill."""
        if not digest.key:
            return
        name = layout.signature_name(layout.digest_name(digest.hour))
        if (key := self._signing.get(digest.key)) is not None:
            await self._create(name, key.sign(data))
            return
        try:  # signed by the key before: it named the one we have
            public = PublicKey.from_pem(await self._store.read_oldest(layout.key_name(digest.key)))
            is_signed = public.id == digest.key and public.signed(data, await self._store.read_oldest(name))
        except (NotStored, ValueError):
            is_signed = False
        if not is_signed:
            raise Held(
                f"{name} in {self._store.place} is missing or wrong.",
                fix=f"Name the file of the key {digest.key} as old_key_file once more. {_LOOK}",
            )

    async def _create(self, name: str, data: bytes) -> None:
        """Store an object, or see that it is there as it should be."""
        try:
            await self._store.create(name, data)
        except AlreadyStored:
            if await self._store.read_oldest(name) != data:
                raise Held(
                    f"{name} in {self._store.place} was written by someone else, and differs from what belongs there.",
                    fix=f"Let one daemon write to it. {_LOOK}",
                ) from None

    async def _recover(self, newest: Digest) -> None:
        """Take up what was stored and is in no digest: the process ended before it could be noted."""
        hour = newest.hour - _LOOK_BACK
        stored = [each async for each in Evidence(self._store).objects(since=hour)]
        while stored and hour <= newest.hour:
            if hour >= newest.hour - HOUR * (newest.seq - 1):
                self._named.update(entry.name for entry in (await read_hour(self._store, hour)).objects)
            hour += HOUR
        for each in stored:
            if each.name in self._named or each.name in self._waiting:
                continue
            data = await self._store.read_oldest(each.name)
            try:
                events = sum(1 for _ in events_of(data))
            except DamagedEvidence as error:
                self._log.warning("evidence_not_recovered", object=each.name, reason=str(error), fix=_LOOK)
                continue
            self._waiting[each.name] = Entry.of(each.name, data, events, each.said.first, each.said.last)
            self._recovered.add(each.name)


def _said(name: str) -> layout.EvidenceName:
    said = layout.parse_evidence(name)
    if said is None:
        raise ValueError(f"{name} is not the name of an object of evidence")
    return said


def _hour(name: str) -> datetime:
    return _said(name).hour


def _source(name: str) -> str:
    return layout.quoted(_said(name).source)
