"""Backups of a spool: who makes them, and what one came to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec


class Backup(msgspec.Struct, frozen=True):
    """A backup that is whole and durable.

    Attributes:
        path: Where it lies.
        bytes: Its size.
        at_ms: Of which moment it is, epoch milliseconds.
        newest: The newest number of the spool at that moment.
    """

    path: str
    bytes: int
    at_ms: int
    newest: int


class MakesBackups(Protocol):
    """Makes backups of an open spool, one at a time."""

    async def make(self, target: Path, note: Callable[[int, int], None]) -> Backup:
        """Make a backup while all goes on.

        Args:
            target: Where, absolute; nothing is overwritten.
            note: Told how much of it is done, of how much; in another thread.

        Raises:
            ConfigError: There is something at the target, or no file can be made there.
            Held: There is no room, or a backup is being made.
            ForwarderError: It was given up or failed; nothing is left of it.
        """
        ...
