"""Whether an archive can be used, asked without writing to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.archive import layout
from forwarder.archive.chain import newest_digest
from forwarder.archive.keys import read_signing_key
from forwarder.contracts import ConfigError, Finding, Held, Retryable

if TYPE_CHECKING:
    from forwarder.archive.chain import ArchiveKeys
    from forwarder.archive.stores import Store


async def examine(store: Store, keys: ArchiveKeys) -> list[Finding]:
    """Return what is found: whether it can be read, as far as can be told whether it can be written, and what is in."""
    place = await _examine_place(store)
    return [*place, await _examine_chain(store, keys)] if place[0].ok else place


async def _examine_chain(store: Store, keys: ArchiveKeys) -> Finding:
    """Look whether the digests can be gone on with, and whether they prove who wrote them."""
    subject = f"digests in {store.place}"
    try:
        files = [path for path in (keys.key, keys.old_key) if path is not None]
        ours = [read_signing_key(path).id for path in files]
        newest = await newest_digest(store)
    except (Held, Retryable) as error:
        return Finding(subject, ok=False, detail=str(error), fix=error.fix)
    except ConfigError as error:
        return Finding(subject, ok=False, detail=str(error), fix="Name a file with a key of Ed25519 as key_file.")
    signs = (newest.next_key or newest.key) if newest is not None else ""
    known = f"{newest.seq} digests until {newest.until}" if newest is not None else "none yet"
    if signs and (signs not in ours or keys.key is None):
        fix = "Name the file of that key as key_file; to change keys, name the new one so, and that as old_key_file."
        return Finding(
            subject, ok=False, detail=f"{known}, signed with the key {signs}, which is not configured", fix=fix
        )
    if not ours:
        fix = "To sign them: audit-forwarder archive keygen FILE, and name that file as key_file."
        return Finding(
            subject, ok=True, detail=f"{known}; they are not signed: whoever can write here can forge all", fix=fix
        )
    return Finding(subject, ok=True, detail=f"{known}; signed with the key {ours[0]}")


async def _examine_place(store: Store) -> list[Finding]:
    try:
        room = await store.room()
        sources = await store.folders(layout.EVIDENCE)
    except Held as held:
        return [Finding(store.place, ok=False, detail=held.reason, fix=held.fix)]
    except Retryable as error:
        return [Finding(store.place, ok=False, detail=str(error), fix=error.fix)]
    has = f"has evidence of {len(sources)} sources" if sources else "is empty"
    return [Finding(store.place, ok=True, detail=f"can be {room}; {has}")]
