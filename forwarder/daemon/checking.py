"""Has each archive checked again and again, by a process of its own: is everything there as it was written?

The process is `audit-forwarder archive verify`: it has less priority, reads the configuration for where the archive is
and whose keys sign it, and ends when the daemon does.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import structlog

from forwarder.daemon.chore import chore
from forwarder.observe.record import CheckReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forwarder.admin.kept_places import Place
    from forwarder.contracts import Clock

FIRST = 300.0
"""Seconds after the start until the first check: one that is started again and again does not read its archives."""


class _Found(msgspec.Struct):
    kind: str
    name: str


class _Outcome(msgspec.Struct):
    """What the command prints."""

    findings: list[_Found]


class Checking:
    """Checks the archives until the end, one after the other.

    Args:
        places: The archives, by the names of their sinks.
        reports: Told of each what became of it.
        every: Seconds between two times.
        clock: Time.
        stopping: Set when the end begins.
        clean: Takes secrets out of a text.
        first: Seconds until the first time.
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        reports: dict[str, CheckReport],
        *,
        every: float,
        clock: Clock,
        stopping: asyncio.Event,
        clean: Callable[[str], str] = str,
        first: float = FIRST,
    ) -> None:
        self._places = places
        self._reports = reports
        self._every = every
        self._first = min(first, every)
        self._clock = clock
        self._stopping = stopping
        self._clean = clean
        self._log = structlog.get_logger()
        reports |= {name: CheckReport(name, every) for name in places if name not in reports}

    async def run(self) -> None:
        """Wait, and check them, until the end."""
        wait = self._first
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
            for name, place in self._places.items():
                if not self._stopping.is_set():
                    await self._check(name, place)
            wait = self._every

    async def _check(self, name: str, place: Place) -> None:
        report = self._reports[name]
        report.began = self._clock.time()
        try:
            words = ["archive", "verify", "--json", "--for-daemon", *place.words()]
            done = await chore(words, place.environment(os.environ), self._stopping)
        except OSError as error:
            report.reason = f"it could not be checked: {error}"
            self._log.warning("archive_not_checked", sink=name, reason=report.reason)
            return
        if done is None:
            return
        try:
            outcome = msgspec.json.decode(done.printed, type=_Outcome)
        except msgspec.MsgspecError:
            report.reason = self._clean(done.why())
            self._log.warning("archive_not_checked", sink=name, reason=report.reason)
            return
        report.good, report.reason, report.findings = self._clock.time(), "", len(outcome.findings)
        if outcome.findings:
            first = outcome.findings[0]
            self._log.error("archive_changed", sink=name, findings=report.findings, first=f"{first.kind}: {first.name}")
        else:
            self._log.info("archive_checked", sink=name)
