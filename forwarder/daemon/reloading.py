"""Reads the configuration again and puts in force what can be while the daemon runs; one after the other.

A configuration that cannot work changes nothing, and is said why. What needs a restart keeps its old settings, and is
named. Neither loses an event: see `Running`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from forwarder.admin.reloads import Reloaded
from forwarder.config.origin import file_stamp
from forwarder.contracts import ForwarderError, Retryable
from forwarder.contracts.log import get_logger
from forwarder.daemon.judging import read_again
from forwarder.daemon.reload_plan import plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from forwarder.config.settings import Settings
    from forwarder.daemon.reporter import Reporter
    from forwarder.daemon.running import Running

LOOK = 1.0
"""Seconds between two looks at the file of the configuration."""


class Reloading:
    """Changes what runs.

    Args:
        running: Is changed.
        reporter: Knows since when everything runs.
        on_settings: Called with new settings before they are in force: secrets are to be known before they are used.
        stopping: Set when the end begins.

    Attributes:
        happened: Whether anything was changed since the start.
        asked: Set when a signal asks for it.
    """

    def __init__(
        self,
        running: Running,
        reporter: Reporter,
        on_settings: Callable[[Settings], None],
        stopping: asyncio.Event,
    ) -> None:
        self._running = running
        self._reporter = reporter
        self._on_settings = on_settings
        self.stopping = stopping
        self.happened = False
        self.asked = asyncio.Event()
        self._one = asyncio.Lock()
        self._log = get_logger()

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self._running.settings

    def ask(self) -> None:
        """Ask for it; it happens once everything has begun."""
        self.asked.set()

    async def over(self) -> None:
        """Wait for a change that is under way: the end comes after it."""
        async with self._one:
            return

    async def reload(self, who: str) -> Reloaded:
        """Read again and change. Raises ConfigError, and then nothing has changed."""
        async with self._one:
            try:
                done = await self._change()
            except ForwarderError as error:
                self._log.error("configuration_not_reloaded", reason=str(error), who=who)
                raise
        waiting = [change.path for change in done.changes if change.needs_restart]
        self._log.info(
            "configuration_reloaded",
            who=who,
            log_level=self.settings.log.level,
            changed=[change.path for change in done.changes],
            begun_anew=[*done.sources, *done.sinks],
            **({"needs_restart": waiting} if waiting else {}),
        )
        return done

    async def _change(self) -> Reloaded:
        if self.stopping.is_set():
            raise ForwarderError("the daemon is stopping; nothing was changed")
        if not self._running.has_begun:
            raise Retryable("the daemon is still starting; nothing was changed, try again")
        new = await asyncio.to_thread(read_again, self._running.settings)
        old = self._running.settings
        todo = plan(old, new)
        self._on_settings(todo.settings)
        self.happened = True
        try:
            await self._running.change(todo)
        except ForwarderError:
            self._on_settings(old)
            raise
        return Reloaded(todo.changes, todo.sources, todo.sinks)


class FileWatch:
    """Reloads when a signal asks for it, and, where `reload.watch` is set, when the file of the configuration changes.

    Args:
        reloading: Knows the settings in force, and whether a signal came.
        reload: Does it.
    """

    def __init__(self, reloading: Reloading, reload: Callable[[], Awaitable[Reloaded]]) -> None:
        self._reloading = reloading
        self._reload = reload
        self._known = file_stamp(reloading.settings.file)

    async def run(self) -> None:
        """Watch until the end."""
        changed = None
        while not self._reloading.stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._reloading.asked.wait()
            stamp = await asyncio.to_thread(file_stamp, self._reloading.settings.file)
            is_steady, changed = stamp == changed, stamp  # else somebody may be writing it
            has_changed = self._reloading.settings.reload.watch and is_steady and stamp != self._known
            if self._reloading.asked.is_set() or has_changed:
                self._reloading.asked.clear()
                self._known = stamp
                with suppress(ForwarderError):  # it is in the log, and nothing has changed
                    await self._reload()
