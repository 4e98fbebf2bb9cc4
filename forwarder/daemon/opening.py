"""Opens the spool at the start: a full disk and a command that has it for a moment are waited for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from forwarder.admin.control import connected, socket_path
from forwarder.contracts import Clock, Held
from forwarder.contracts.log import get_logger
from forwarder.spool.contract import Spool, SpoolError, SpoolInUse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 10.0
"""Seconds for which a spool is waited for that another process has: a command, or a daemon that is ending."""

TRY_AGAIN = 0.1
"""Seconds between two tries to have it."""

DISK_FULL = 5.0
"""Seconds between two looks at a full disk."""


class Opening:
    """Opens a spool.

    Args:
        path: Where it is.
        clock: Monotonic time.
        stopping: Set when the end comes.
        tell: Told what is waited for, each time.
    """

    def __init__(self, path: Path, clock: Clock, stopping: asyncio.Event, tell: Callable[[str], None]) -> None:
        self._path = path
        self._clock = clock
        self._stopping = stopping
        self._tell = tell
        self._waits_until: float | None = None
        self._log = get_logger()

    async def open(self, spool: Spool) -> bool:
        """Open it; False when the end came first. Raises SpoolError."""
        while not self._stopping.is_set():
            try:
                await spool.open(stop=self._stopping.is_set)
            except SpoolInUse as error:
                await self._pause(self._in_use(error))
            except SpoolError:
                if not self._stopping.is_set():
                    raise  # else a migration was given up, and nothing of it is left
            except Held as error:
                if error.kind != "disk_full":
                    raise SpoolError(str(error)) from error
                self._log.warning("spool_held", reason=error.reason, fix=error.fix)
                self._tell("waiting for room on the disk of the spool")
                await self._pause(DISK_FULL)
            else:
                return True
        return False

    def _in_use(self, error: SpoolInUse) -> float:
        """Return after how many seconds to try again. Raises SpoolInUse when that is of no use."""
        now = self._clock.monotonic()
        if self._waits_until is None:
            self._waits_until = now + PATIENCE
            self._log.info("spool_in_use", reason=str(error), waits_seconds=PATIENCE)
        if _daemon_listens(self._path):
            raise error
        if now >= self._waits_until:
            raise SpoolInUse(f"{error} It did not let go of it within {PATIENCE:.0f} s.") from error
        self._tell("waiting for the spool, which another process has")
        return TRY_AGAIN

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _daemon_listens(spool: Path) -> bool:
    """Tell whether another daemon is at work there, which will not let go of it."""
    try:
        with connected(socket_path(spool), TRY_AGAIN):
            return True
    except OSError:
        return False
