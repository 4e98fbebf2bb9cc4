"""What a sink that is an archive lets commands see of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from forwarder.archive.chain import ArchiveKeys
from forwarder.archive.stores import Store


class KeptArchive(NamedTuple):
    """Where an archive lies, what signs its digests, and how many whole months are kept (None: all)."""

    store: Store
    keys: ArchiveKeys = ArchiveKeys()
    retain_months: int | None = None


@runtime_checkable
class KeepsArchive(Protocol):
    """A sink that is an archive."""

    @property
    def kept(self) -> KeptArchive:
        """Return what it is made of; nothing is opened."""
        ...
