"""Tasks that look after the spool: one gives back room in it, one sees whether its file is still there."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from forwarder.contracts import Held
from forwarder.contracts.log import get_logger
from forwarder.spool.contract import Spool


class SpoolWatch:
    """Looks again and again whether the spool's file is still the one that was opened."""

    def __init__(self, spool: Spool, stopping: asyncio.Event, *, every: float) -> None:
        self._spool = spool
        self._stopping = stopping
        self._every = every

    async def run(self) -> None:
        """Watch until the end. Raises SpoolLost."""
        while not self._stopping.is_set():
            await self._spool.verify()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()


class CleanUp:
    """Removes what every lane settled, a chunk at a time, whenever its bell's time has come."""

    def __init__(self, spool: Spool, stopping: asyncio.Event, *, every: float) -> None:
        self._spool = spool
        self._stopping = stopping
        self._every = every
        self._log = get_logger()

    async def run(self) -> None:
        """Clean up until the end."""
        while not self._stopping.is_set():
            try:
                removed = await self._spool.clean_up()
            except Held as error:
                self._log.warning("clean_up_held", reason=error.reason, fix=error.fix)
                removed = 0
            try:
                async with asyncio.timeout(0 if removed else self._every):
                    await self._stopping.wait()
            except TimeoutError:
                continue
