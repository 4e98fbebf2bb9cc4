"""An archive with a history, and the two that check it: the command's code, and the script that shares none with it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from forwarder.archive import layout
from forwarder.archive.chain import ArchiveKeys, HourDigests
from forwarder.archive.digest import Digest, canonical, read_digest, sha256
from forwarder.archive.keys import SigningKey, read_signing_key, write_new_key
from forwarder.archive.verify import verify
from tests.archive.places import HOUR, SPOOL, MemoryStore, digest_names, store_object

SCRIPT = Path(layout.__file__).with_name("verify_archive.py")
PACKAGE_SCRIPT = SCRIPT.with_name("verify_package.py")
BEGIN = 1_793_476_800.0 + 600
"""2026-10-31T20:10 UTC: the fifth hour is of another month."""
HOURS = 9


class Archive(NamedTuple):
    """One with two sources, an hour in which nothing came, and a key that was followed by another."""

    store: MemoryStore
    old: SigningKey
    new: SigningKey
    keys: ArchiveKeys

    @property
    def digests(self) -> list[str]:
        return digest_names(self.store)

    @property
    def objects(self) -> list[str]:
        return [name for name in sorted(self.store.files) if name.startswith(layout.EVIDENCE)]

    @property
    def head(self) -> str:
        return sha256(self.store.files[self.digests[-1]])

    def digest(self, at: int) -> Digest:
        return read_digest(self.store.files[self.digests[at]])

    def signer(self, digest: Digest) -> SigningKey | None:
        return {self.old.id: self.old, self.new.id: self.new}.get(digest.key)

    def write_anew(
        self, at: int, change: Callable[[Digest], Digest], *, signer: SigningKey | None = None, to: int | None = None
    ) -> None:
        """Do as someone who has the keys, or one of their own: change a digest and chain and sign all after it."""
        found = [read_digest(self.store.files[name]) for name in self.digests]
        previous = found[at].previous
        for number, (digest, name) in enumerate(zip(found, self.digests, strict=True)):
            if number < at:
                continue
            made = msgspec.structs.replace(digest, previous=previous)
            if number == at or (to is not None and number < to):
                made = change(made)
            data = canonical(made)
            self.store.put(name, data)
            by = signer or self.signer(made)
            self.store.put(layout.signature_name(name), by.sign(data) if by is not None and made.key else None)
            previous = sha256(data)


async def build(folder: Path) -> Archive:
    store = MemoryStore()
    old, new = write_new_key(folder / "old.pem"), write_new_key(folder / "new.pem")
    keys = ArchiveKeys(folder / "old.pem")
    number = 1
    digests = HourDigests(store, SPOOL, keys)
    for hour in range(HOURS):
        now = BEGIN + hour * HOUR
        if hour == 3:
            keys = ArchiveKeys(folder / "new.pem", folder / "old.pem")
            digests = HourDigests(store, SPOOL, keys)
        await digests.close_due(now)
        if hour != 2:
            for source in ("acme", "Größe/1"):
                await store_object(digests, store, source, number, 3, now)
                number += 4
    await digests.close_due(BEGIN + HOURS * HOUR)
    return Archive(store, old, new, ArchiveKeys(folder / "new.pem"))


def copy(store: MemoryStore, folder: Path) -> Path:
    for name, data in store.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


async def by_command(
    store: MemoryStore, heads: Sequence[str] = (), keys: Sequence[str] = ()
) -> list[tuple[str, str]]:  # fmt: skip
    found = await verify(store, heads=heads, known_keys=keys)
    return [(each.kind, each.name) for each in found.findings]


def by_script(
    store: MemoryStore, folder: Path, heads: Sequence[str] = (), keys: Sequence[str] = ()
) -> list[tuple[str, str]]:  # fmt: skip
    folder.mkdir()
    asked = [*(["--head", *heads] if heads else []), *(["--key", *keys] if keys else [])]
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(copy(store, folder)), *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ran.stderr, ran.stderr
    found = re.findall(r"^FOUND (\w+): (\S+)", ran.stdout, re.MULTILINE)
    assert ran.returncode == bool(found), ran.stdout
    return found


def of_script(found: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return what the script finds of it: not what takes unpacking."""
    return {each for each in found if each[0] != "object_damaged"}


__all__ = ["Archive", "build", "by_command", "by_script", "copy", "of_script", "read_signing_key"]
