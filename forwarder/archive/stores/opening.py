"""From what a person writes to the place that it names."""

from __future__ import annotations

from pathlib import Path

from forwarder.archive.stores.local import LocalStore
from forwarder.archive.stores.store import Store


def open_store(place: str, *, mode: int = 0o440) -> Store:
    """Return the store that a path names; nothing is touched yet.

    Args:
        place: A path.
        mode: Permissions of new objects in a folder.
    """
    return LocalStore(Path(place).expanduser().absolute(), mode)
