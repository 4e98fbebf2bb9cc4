"""The verbs that make a backup of the spool: one begins it, one tells how far it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError, ForwarderError
from forwarder.contracts.log import get_logger
from forwarder.spool.backup import Backup

if TYPE_CHECKING:
    from forwarder.spool.contract import Spool


class BackupWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for a backup at this absolute path, or how far it is."""

    target: str


class BackupState(msgspec.Struct, frozen=True):
    """How far it is.

    Attributes:
        done, of: Parts that are copied, of how many.
        backup: Set when it is whole and durable.
    """

    done: int
    of: int
    backup: Backup | None = None


class SpoolBackups:
    """Backups of an open spool.

    Args:
        spool: Open.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._target = ""
        self._task: asyncio.Task[Backup] | None = None
        self._far = (0, 0)
        self._log = get_logger()

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked, by name."""
        return {"backup.begin": Verb(BackupWanted, self.begin), "backup.look": Verb(BackupWanted, self.look)}

    async def begin(self, wanted: BackupWanted, who: str) -> BackupState:
        """Begin one. Raises ConfigError when another is being made, or the path is not absolute."""
        target = Path(wanted.target)
        if not target.is_absolute():
            raise ConfigError(f"{target} is not an absolute path")
        if self._task is not None and not self._task.done():
            raise ConfigError(f"a backup is being made already, at {self._target}; wait for its end")
        self._target, self._far = wanted.target, (0, 0)
        self._task = asyncio.create_task(self._make(target, who), name="backup")
        await asyncio.wait({self._task}, timeout=0.2)  # most refusals come at once
        return await self.look(wanted)

    async def _make(self, target: Path, who: str) -> Backup:
        try:
            made = await self._spool.backups.make(target, self._note)
        except ForwarderError as error:
            self._log.warning("backup_failed", path=str(target), who=who, reason=str(error))
            raise
        self._log.info("backup_made", path=made.path, bytes=made.bytes, newest=made.newest, who=who)
        return made

    def _note(self, done: int, of: int) -> None:
        self._far = done, of

    async def look(self, wanted: BackupWanted, _: str = "") -> BackupState:
        """Say how far it is. Raises ConfigError for one that was not begun, and what it failed for."""
        if self._task is None or wanted.target != self._target:
            raise ConfigError(f"no backup is being made at {wanted.target}")
        if not self._task.done():
            return BackupState(*self._far)
        if self._task.cancelled():
            raise ForwarderError("the backup was given up")
        return BackupState(*self._far, backup=self._task.result())
