"""Checks a package: every file against the list that was signed, every digest and object as in an archive, every line.

What is in the zip is hostile: no name is used as a path, nothing is unpacked to a disk, and sizes are bounded.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

import msgspec

from forwarder.archive.digest import read_digest, sha256
from forwarder.archive.evidence import DamagedEvidence, events_of
from forwarder.archive.keys import PublicKey
from forwarder.archive.layout import parse_digest
from forwarder.archive.package import contents
from forwarder.archive.stores import NotStored, StoredObject
from forwarder.archive.verdict import Found
from forwarder.archive.verify import verify
from forwarder.contracts.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from forwarder.archive.verdict import Verdict

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError, OSError)
_LARGEST = 2**30
_MOST = 2**34
_CHUNK = 2**20
_ALONE = {contents.MANIFEST, contents.SIGNATURE}


class PackageVerdict(msgspec.Struct):
    """What became of a check.

    Attributes:
        findings: What is not as it was written.
        files: How many are in the package.
        signer: Id of the key in it; empty without one.
        lines: How many lines of evidence.
        proven_lines: How many of them stand in an object that a digest names.
        digests: How many; `since` and `until` are their hours.
        keys: Ids of the keys that signed the digests.
        proven, not_proven: Sentences.
    """

    findings: list[Found] = []
    files: int = 0
    signer: str = ""
    lines: int = 0
    proven_lines: int = 0
    digests: int = 0
    since: str = ""
    until: str = ""
    keys: list[str] = []
    proven: list[str] = []
    not_proven: list[str] = []


async def check_package(
    file: Path, *, heads: Collection[str] = (), known_keys: Collection[str] = (), signers: Collection[str] = ()
) -> PackageVerdict:
    """Check a package. Raises ConfigError for a file that cannot be read or is no zip, and without what checks keys.

    Args:
        file: The zip.
        heads: SHA-256 of digests that must be in it.
        known_keys: Ids of keys of which one must have signed digests.
        signers: Ids of keys of which one must have signed the package.
    """
    try:
        with file.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            return await _Check(archive, set(signers)).run(heads, known_keys)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{file} is not a package: {error}") from None


class _Check:
    """One check."""

    def __init__(self, archive: zipfile.ZipFile, signers: set[str]) -> None:
        self._zip = archive
        self._signers = signers
        self._files: dict[str, zipfile.ZipInfo] = {}
        self._verdict = PackageVerdict()
        self._open_lines = self._bare_lines = 0

    def _find(self, kind: str, name: str, detail: str) -> None:
        self._verdict.findings.append(Found(kind, name, detail))

    async def run(self, heads: Collection[str], known_keys: Collection[str]) -> PackageVerdict:
        """Return the verdict."""
        self._list()
        self._check_files()
        part = await verify(
            _Inside(self._files, self._read), heads=heads, known_keys=known_keys, is_part=True
        )  # fmt: skip
        found = self._verdict
        if part.digests or known_keys or heads:
            found.findings += part.findings
        found.digests, found.since, found.until, found.keys = part.digests, part.since, part.until, part.keys
        self._check_lines()
        found.files = len(self._files)
        found.findings = sorted(set(found.findings))
        found.proven = list(self._proven(part, heads))
        found.not_proven = list(self._not_proven(heads, known_keys))
        return found

    def _list(self) -> None:
        """Take the names that can be names of ours, once each."""
        total = 0
        for info in self._zip.infolist():
            total += info.file_size
            if not contents.is_safe(info.filename) or info.filename in self._files:
                self._find("file_foreign", info.filename[:200], "its name is not one of ours, or is there twice")
            elif info.file_size > _LARGEST or total > _MOST:
                self._find("file_foreign", info.filename, "it is larger than anything that is packed")
            else:
                self._files[info.filename] = info
        if self._zip.comment:
            self._find("file_foreign", "(comment)", "the zip has a comment, which nothing signs")

    def _read(self, name: str) -> bytes:
        """Return a file. Raises NotStored also for one that is broken, which `_check_files` finds."""
        try:
            with self._open(name) as stream:
                return stream.read()
        except (KeyError, *_BROKEN):
            raise NotStored(name) from None

    def _open(self, name: str) -> IO[bytes]:
        return self._zip.open(self._files[name])

    def _check_files(self) -> None:
        """Compare each file with the list, and the list with its signature."""
        try:
            text = self._read(contents.MANIFEST)
            manifest = contents.read_manifest(text)
        except NotStored:
            self._find("file_missing", contents.MANIFEST, "nothing says what belongs to the package")
            return
        except ValueError as error:
            self._find("manifest_wrong", contents.MANIFEST, str(error))
            return
        self._check_signature(text)
        for name, expected in manifest.items():
            if name not in self._files:
                self._find("file_missing", name, "the manifest names it")
            elif (found := self._sha256(name)) != expected:
                self._find("file_changed", name, f"its SHA-256 is {found}, and was {expected}")
        for name in self._files.keys() - manifest.keys() - _ALONE:
            self._find("file_foreign", name, "the manifest does not name it")

    def _check_signature(self, manifest: bytes) -> None:
        try:
            public = PublicKey.from_pem(self._read(contents.SIGNER))
            is_signed = public.signed(manifest, self._read(contents.SIGNATURE))
        except NotStored as error:
            self._find("file_missing", str(error), "so nothing says who made the package")
            return
        except ValueError as error:
            self._find("manifest_wrong", contents.MANIFEST, f"{contents.SIGNER} is {error}")
            return
        if not is_signed:
            self._find("manifest_wrong", contents.MANIFEST, f"its signature is not of it and the key {public.id}")
            return
        self._verdict.signer = public.id
        if self._signers and public.id not in self._signers:
            self._find("signer_unknown", public.id, f"known: {', '.join(sorted(self._signers))}")

    def _sha256(self, name: str) -> str:
        state = hashlib.sha256()
        try:
            with self._open(name) as stream:
                while chunk := stream.read(_CHUNK):
                    state.update(chunk)
        except _BROKEN as error:
            return f"not known: {error}"
        return state.hexdigest()

    # ---------------------------------------------------------------------------------------------------------- lines

    def _check_lines(self) -> None:
        """Compare each line with its place, and that with the object, where it was packed."""
        try:
            *lines, end = self._read(contents.EVENTS).split(b"\n")
            *said, said_end = self._read(contents.PLACES).split(b"\n")
            places = contents.read_places(said)
        except NotStored as error:
            self._find("file_missing", str(error), "so there is no evidence")
            return
        except ValueError as error:
            self._find("line_wrong", contents.PLACES, str(error))
            return
        self._verdict.lines = len(lines)
        if end or said_end or len(lines) != len(places):
            self._find("line_wrong", contents.PLACES, f"{len(places)} places are not of {len(lines)} lines")
            return
        named = self._named()
        by_object: dict[str, list[tuple[contents.Place, bytes]]] = {}
        for place, line in zip(places, lines, strict=True):
            if sha256(line) != place.sha256:
                self._find("line_wrong", f"{place.name}:{place.line}", "it is not the line that was packed")
            else:
                by_object.setdefault(place.name, []).append((place, line))
        for name, held in by_object.items():
            self._look_into(name, held, is_named=name in named)

    def _named(self) -> set[str]:
        """Return the names of the objects that a digest of the package names as they are."""
        found: set[str] = set()
        for name in self._files:
            if parse_digest(name.removeprefix(contents.ARCHIVE)) is None:
                continue
            try:
                entries = read_digest(self._read(name)).objects
            except (NotStored, ValueError):
                continue
            for entry in entries:
                packed = f"{contents.ARCHIVE}{entry.name}"
                if packed not in self._files or self._sha256(packed) == entry.sha256:
                    found.add(entry.name)
        return found

    def _look_into(self, name: str, held: list[tuple[contents.Place, bytes]], *, is_named: bool) -> None:
        try:
            data = self._read(f"{contents.ARCHIVE}{name}")
        except NotStored:
            self._bare_lines += len(held)
            return
        wanted = {place.line for place, _ in held}
        try:
            found = {number: line for number, line in enumerate(events_of(data), 1) if number in wanted}
        except DamagedEvidence as error:
            self._find("line_wrong", name, f"the object does not unpack: {error}")
            return
        for place, line in held:
            if found.get(place.line) != line:
                self._find("line_wrong", f"{name}:{place.line}", "another line stands there")
            elif is_named:
                self._verdict.proven_lines += 1
            else:
                self._open_lines += 1

    # ---------------------------------------------------------------------------------------------------------- words

    def _proven(self, part: Verdict, heads: Collection[str]) -> Iterator[str]:
        found = self._verdict
        kinds = {each.kind for each in found.findings}
        if found.signer and not kinds & set(contents.KINDS):
            yield f"no file was changed, added or removed since who has the key {found.signer} signed the package"
        if part.digests and not part.findings:
            who = f", signed with {', then '.join(part.keys)}" if part.keys else ""
            yield f"the digests of {part.since} to {part.until} follow each other unchanged{who}"
        if found.proven_lines and not found.findings:
            yield f"{found.proven_lines} of {found.lines} lines stand in objects that are as their digest says"
        if heads and "head_missing" not in kinds:
            yield "the digest that you know is among them"

    def _not_proven(self, heads: Collection[str], known_keys: Collection[str]) -> Iterator[str]:
        found = self._verdict
        if found.signer and not self._signers:
            yield f"that {found.signer} is the key of who made the package: ask for its id, and give it with --signer"
        if found.keys and not known_keys:
            yield f"that the key {found.keys[0]} is that of the archive: ask for its id, and give it with --key"
        if not found.keys:
            yield (
                "who wrote the digests: none has a signature" if found.digests else "what was stored: it has no digests"
            )
        if not heads:
            yield "that the digests were the same then: give the SHA-256 of a heartbeat from these hours with --head"
        if self._bare_lines:
            yield f"that {self._bare_lines} lines stand in the evidence: their objects were left out of the package"
        if self._open_lines:
            yield f"when {self._open_lines} lines were stored: their objects were in no digest yet"
        yield "that these are all events that answer the question, and that everything arrived in the archive"


class _Inside:
    """The piece of an archive in a package, as a place that can be read."""

    place = "the package"

    def __init__(self, files: Mapping[str, zipfile.ZipInfo], read: Callable[[str], bytes]) -> None:
        self._sizes = {
            name.removeprefix(contents.ARCHIVE): info.file_size
            for name, info in sorted(files.items())
            if name.startswith(contents.ARCHIVE)
        }
        self._read = read

    async def read(self, name: str) -> bytes:
        if name not in self._sizes:
            raise NotStored(name)
        return self._read(f"{contents.ARCHIVE}{name}")

    async def read_oldest(self, name: str) -> bytes:
        return await self.read(name)

    async def versions(self, name: str) -> int:
        return int(name in self._sizes)

    async def list(self, prefix: str) -> Sequence[StoredObject]:
        return [StoredObject(name, size) for name, size in self._sizes.items() if name.startswith(prefix)]
