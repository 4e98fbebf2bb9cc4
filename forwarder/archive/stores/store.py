"""What every place of an archive can do, and the two answers that are no failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class AlreadyStored(Exception):
    """There is an object of that name; it was left as it is."""


class NotStored(Exception):
    """There is no object of that name."""


class StoredObject(msgspec.Struct, frozen=True, order=True):
    """An object as a listing shows it."""

    name: str
    size: int


class Readable(Protocol):
    """Gives immutable objects by names, whose parts are separated by `/`.

    Besides what each method says, every one raises Held (AuthFailed among them) for what a person must fix, with the
    fix, and Retryable for what may pass.
    """

    @property
    def place(self) -> str:
        """Where it is, for people and as the identity of what is stored. Never holds a secret."""
        ...

    async def read(self, name: str) -> bytes:
        """Return an object as it is now. Raises NotStored."""
        ...

    async def read_oldest(self, name: str) -> bytes:
        """Return an object as it was first stored, where the place keeps versions; else as it is. Raises NotStored."""
        ...

    async def versions(self, name: str) -> int:
        """Return how many versions of an object the place keeps, markers of a deletion among them; 0 for none."""
        ...

    async def list(self, prefix: str) -> Sequence[StoredObject]:
        """Return all objects whose names begin with `prefix`, which ends in `/` or is empty, sorted by name."""
        ...


class Store(Readable, Protocol):
    """Holds such objects."""

    async def create(self, name: str, data: bytes) -> None:
        """Store an object durably, all of it or nothing. Raises AlreadyStored when the name is taken."""
        ...

    async def folders(self, prefix: str) -> Sequence[str]:
        """Return what lies directly below `prefix` and has objects below it, each ending in `/`, sorted."""
        ...

    async def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error. Raises Held when the place protects it."""
        ...

    async def room(self) -> str:
        """Return what could be found out about writing here without doing it, as words that go on from "can be"."""
        ...

    async def close(self) -> None:
        """Release. Safe to call twice."""
        ...
