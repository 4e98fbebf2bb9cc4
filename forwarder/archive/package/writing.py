"""Writes a package: reads the lines of an answer where they stand, and packs what proves that they stand there."""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from forwarder.archive import layout
from forwarder.archive.digest import HOUR, read_digest, sha256
from forwarder.archive.evidence import DamagedEvidence, events_of
from forwarder.archive.hours import HourCheck, span_of
from forwarder.archive.package import contents
from forwarder.archive.package.readme import Facts, readme
from forwarder.archive.stores import NotStored
from forwarder.contracts.errors import ConfigError, Held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from forwarder.archive.hours import HourProof
    from forwarder.archive.keys import SigningKey
    from forwarder.archive.stores import Store

_SCRIPTS = Path(layout.__file__).parent
_WHEN = (1980, 1, 1, 0, 0, 0)
_PACKED = {".zst": zipfile.ZIP_STORED, ".sig": zipfile.ZIP_STORED}
_LOOK = "See what happened with: audit-forwarder archive verify."


class LinePlace(NamedTuple):
    """Where a line of the answer stands: object, line from 1, and the id of the event."""

    name: str
    line: int
    ident: str


class Answer(NamedTuple):
    """What is packed.

    Attributes:
        faces: The answer as files, by name.
        places: Of the lines that it counts, in its order.
        question: What was asked, in words.
        case, reason: Why, where that was said.
        made: When, by whom, with which version, in words.
    """

    faces: Mapping[str, bytes]
    places: Sequence[LinePlace]
    question: str
    case: str
    reason: str
    made: str


class Packed(NamedTuple):
    """What was written: numbers for people. Objects that are open are in no digest yet, for their hour is not over."""

    files: int
    lines: int
    objects: int
    digests: int
    signer: str
    open_objects: int = 0


async def write_package(file: Path, store: Store, answer: Answer, key: SigningKey, *, with_objects: bool) -> Packed:
    """Write a package, readable by its owner only.

    Args:
        file: Where; nothing is overwritten, and what could not be finished is removed.
        store: Where the archive lies.
        answer: What is packed.
        key: What signs it.
        with_objects: Whether the objects go with it: they prove the lines, and hold events of others, too.

    Raises ConfigError when it cannot be written, Held when a line is not where the answer found it, and as the store.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError(f"{file} is there already; name another file with --package") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w+b") as stream, zipfile.ZipFile(stream, "w") as archive:
            packed = await _Writing(archive, store, answer, key, with_objects=with_objects).write()
    except BaseException as error:
        with suppress(OSError):
            file.unlink()  # noqa: ASYNC240 -- a command writes it, and nothing else runs meanwhile
        if isinstance(error, OSError):
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
        raise
    return packed


class _Writing:
    """One package while it is written."""

    def __init__(
        self, archive: zipfile.ZipFile, store: Store, answer: Answer, key: SigningKey, *, with_objects: bool
    ) -> None:
        self._zip = archive
        self._store = store
        self._answer = answer
        self._key = key
        self._with_objects = with_objects
        self._hashes: dict[str, str] = {}

    async def write(self) -> Packed:
        """Write all files."""
        lines, objects = await self._lines()
        proof = await HourCheck(self._store).check(objects, [objects])
        digests = await self._digests(proof)
        for name, data in self._answer.faces.items():
            self._add(name, data)
        self._add(contents.EVENTS, b"".join(line + b"\n" for line in lines))
        places = [
            contents.Place(place.name, place.line, sha256(line), place.ident)
            for place, line in zip(self._answer.places, lines, strict=True)
        ]
        self._add(contents.PLACES, b"".join(msgspec.json.encode(each) + b"\n" for each in places))
        for name in contents.SCRIPTS:
            self._add(name, (_SCRIPTS / name).read_bytes())
        self._add(contents.SIGNER, self._key.public.pem)
        answer = self._answer
        facts = Facts(
            answer.question,
            answer.case,
            answer.reason,
            answer.made,
            lines=len(lines),
            objects=len(objects),
            has_objects=self._with_objects,
            digests=digests,
            open_objects=len(proof.waiting),
            keys=tuple(proof.keys),
            signer=self._key.id,
        )
        self._add(contents.README, readme(facts).encode())
        manifest = contents.manifest_of(self._hashes)
        self._add(contents.MANIFEST, manifest)
        self._add(contents.SIGNATURE, self._key.sign(manifest))
        return Packed(len(self._hashes), len(lines), len(objects), digests, self._key.id, len(proof.waiting))

    def _add(self, name: str, data: bytes) -> None:
        info = zipfile.ZipInfo(name, _WHEN)
        info.compress_type = _PACKED.get(Path(name).suffix, zipfile.ZIP_DEFLATED)
        info.external_attr = 0o600 << 16
        self._zip.writestr(info, data)
        self._hashes[name] = sha256(data)

    async def _lines(self) -> tuple[list[bytes], dict[str, str]]:
        """Return the lines of the answer, and the SHA-256 of the objects in which they stand, which are packed."""
        wanted: dict[str, set[int]] = {}
        for place in self._answer.places:
            wanted.setdefault(place.name, set()).add(place.line)
        found: dict[tuple[str, int], bytes] = {}
        hashes: dict[str, str] = {}
        for name in sorted(wanted):
            try:
                data = await self._store.read_oldest(name)
                lines = enumerate(events_of(data), 1)
                found |= {(name, number): line for number, line in lines if number in wanted[name]}
            except NotStored:
                raise Held(f"{name} is not there any more.", fix=_LOOK) from None
            except DamagedEvidence as error:
                raise Held(f"{name} is damaged: {error}.", fix=_LOOK) from error
            hashes[name] = sha256(data)
            if self._with_objects:
                self._add(f"{contents.ARCHIVE}{name}", data)
        try:
            return [found[place.name, place.line] for place in self._answer.places], hashes
        except KeyError as error:
            name, number = error.args[0]
            raise Held(f"{name} has no line {number}: the index is of another archive.", fix=_LOOK) from None

    async def _digests(self, proof: HourProof) -> int:
        """Pack the digests around the hours that were used, with signatures and keys; return how many."""
        span = await span_of(self._store)
        if span is None or not proof.used:
            return 0
        count, keys = 0, set[str]()
        hour, last = max(span.first, proof.used[0] - HOUR), min(span.newest, proof.used[-1] + HOUR)
        while hour <= last:
            count += await self._digest(hour, keys)
            hour += HOUR
        for key in sorted(keys):
            await self._copy(layout.key_name(key))
        return count

    async def _digest(self, hour: datetime, keys: set[str]) -> int:
        name = layout.digest_name(hour)
        if (data := await self._copy(name)) is None:
            return 0
        await self._copy(layout.signature_name(name))
        with suppress(ValueError):  # who checks the package finds that it is not a digest
            keys.update({read_digest(data).key} - {""})
        return 1

    async def _copy(self, name: str) -> bytes | None:
        """Pack what the archive has of this name, as it is: what is wrong with it, the check of the package finds."""
        try:
            data = await self._store.read_oldest(name)
        except NotStored:
            return None
        self._add(f"{contents.ARCHIVE}{name}", data)
        return data
