"""A copy of what was read from a bucket, so that a second question does not fetch it again, and works without network.

Objects of evidence and digests never change, so what was fetched is kept, in a folder laid out like the archive. What
the archive does not list any more is removed from it: what was deleted there must not live on here. The copy is for
questions only; `archive verify` reads the archive itself.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.archive import layout
from forwarder.archive.stores import AlreadyStored, NotStored, Store
from forwarder.archive.stores.local import LocalStore
from forwarder.contracts import Held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.archive.stores import StoredObject

_KEPT = (layout.EVIDENCE, layout.DIGESTS)


class LocalCopy:
    """A store that reads another one, and keeps what it read.

    Args:
        store: The archive.
        folder: Where copies are kept.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._copies = LocalStore(folder, 0o600)
        self._sizes: dict[str, int] = {}
        self.fetched = 0

    @property
    def place(self) -> str:
        """Where the archive lies."""
        return self._store.place

    async def create(self, name: str, data: bytes) -> None:
        """Store an object in the archive."""
        await self._store.create(name, data)

    async def read(self, name: str) -> bytes:
        """Return an object as it is now."""
        return await self._store.read(name)

    async def read_oldest(self, name: str) -> bytes:
        """Return an object as it was first stored: the copy, where there is one of the size that was listed."""
        if not name.startswith(_KEPT):
            return await self._store.read_oldest(name)
        try:
            data = await self._copies.read(name)
            if len(data) == self._sizes.get(name, len(data)):
                return data
            await self._copies.delete(name)
        except NotStored:
            pass
        data = await self._store.read_oldest(name)
        self.fetched += 1
        await self._keep(name, data)
        return data

    async def versions(self, name: str) -> int:
        """Return how many versions of an object the archive keeps."""
        return await self._store.versions(name)

    async def list(self, prefix: str) -> Sequence[StoredObject]:
        """Return what the archive lists, and remove copies of what it does not."""
        found = await self._store.list(prefix)
        self._sizes.update((one.name, one.size) for one in found)
        if prefix.startswith(_KEPT):
            there = {one.name for one in found}
            for copy in await self._copies.list(prefix):
                if copy.name not in there:
                    await self._copies.delete(copy.name)
        return found

    async def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders that the archive lists, and remove copies of others."""
        found = await self._store.folders(prefix)
        if prefix.startswith(_KEPT):
            for folder in set(await self._copies.folders(prefix)) - set(found):
                for copy in await self._copies.list(folder):
                    await self._copies.delete(copy.name)
        return found

    async def delete(self, name: str) -> None:
        """Delete an object in the archive, and its copy."""
        await self._store.delete(name)
        await self._copies.delete(name)

    async def room(self) -> str:
        """Return what the archive says of its room."""
        return await self._store.room()

    async def close(self) -> None:
        """Release the archive. Safe to call twice."""
        await self._store.close()

    async def _keep(self, name: str, data: bytes) -> None:
        try:
            await self._copies.create(name, data)
        except AlreadyStored:
            pass  # another question was quicker
        except Held as error:
            if error.kind != "disk_full":
                raise
            # a copy only saves time: the answer does not need it


def copy_folder(place: str) -> Path:
    """Return the folder for copies of an archive, and for its index: in the user's cache, one for each place."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "audit-forwarder" / hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def near(store: Store) -> Store:
    """Return a store whose objects are kept here once they were read; a folder is near enough."""
    return LocalCopy(store, copy_folder(store.place)) if "://" in store.place else store


def index_folder(place: str) -> Path:
    """Return where the index of an archive lies: in its folder, or beside the copy of a bucket."""
    return (copy_folder(place) if "://" in place else Path(place)) / layout.INDEX
