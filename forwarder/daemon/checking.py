"""Has each archive checked again and again, by a process of its own: is everything there as it was written?

The process is `audit-forwarder archive verify`: it has less priority, reads the configuration for where the archive is
and whose keys sign it, and ends when the daemon does. What it found is kept beside the spool, so that a restart ends no
alert; what is in order is checked again when it is due, everything else soon after the start.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from forwarder.catalogue.state_files import read_state, state_file, write_state
from forwarder.contracts.log import get_logger
from forwarder.daemon.chore import chore
from forwarder.observe.record import CheckReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from forwarder.admin.kept_places import Place
    from forwarder.contracts import Clock

FIRST = 300.0
"""Least seconds after the start until the first check: one that is started again and again does not read archives."""


class _Found(msgspec.Struct):
    kind: str
    name: str


class _Outcome(msgspec.Struct):
    """What the command prints."""

    findings: list[_Found]


class _Kept(msgspec.Struct):
    """What became of the check of an archive, and of which."""

    target: str
    report: CheckReport


def kept_check(folder: Path, name: str, target: str, every: float) -> CheckReport:
    """Return what became of the last check of an archive, by what a daemon kept of it.

    Args:
        folder: The state folder.
        name: Of the sink.
        target: What tells its archive from another; the check of another is none of this one.
        every: Seconds between two checks.
    """
    kept = read_state(_file(folder, name), _Kept)
    if kept is None or kept.target != target:
        return CheckReport(name, every)
    return replace(kept.report, sink=name, every=every)


def keep_check(folder: Path, target: str, report: CheckReport) -> None:
    """Keep it in the state folder for the next process. Raises OSError."""
    write_state(_file(folder, report.sink), _Kept(target, report))


def _file(folder: Path, name: str) -> Path:
    return state_file(folder, "archive-check", name)


class Checking:
    """Checks the archives until the end, one after the other.

    Args:
        places: The archives, by the names of their sinks.
        targets: What tells the archive of a sink from another.
        folder: The state folder.
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
        targets: Mapping[str, str],
        folder: Path,
        every: float,
        clock: Clock,
        stopping: asyncio.Event,
        clean: Callable[[str], str] = str,
        first: float = FIRST,
    ) -> None:
        self._places = places
        self._targets = targets
        self._folder = folder
        self._reports = reports
        self._every = every
        self._first = min(first, every)
        self._clock = clock
        self._stopping = stopping
        self._clean = clean
        self._log = get_logger()
        recalled = {name: kept_check(folder, name, targets[name], every) for name in places if name not in reports}
        reports |= recalled

    @property
    def until_first(self) -> float:
        """Return the seconds until the first check: the rest of the period while all is known to be in order."""
        now, reports = self._clock.time(), [self._reports[name] for name in self._places]
        due = [one.good + self._every - now for one in reports if not one.findings and not one.reason]
        return max(self._first, min([*due, self._every])) if len(due) == len(reports) else self._first

    async def run(self) -> None:
        """Wait, and check them, until the end."""
        wait = self.until_first
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
            for name, place in self._places.items():
                if not self._stopping.is_set():
                    await self._check(name, place)
                    await self._keep(name)
            wait = self._every

    async def _keep(self, name: str) -> None:
        try:
            await asyncio.to_thread(keep_check, self._folder, self._targets[name], replace(self._reports[name]))
        except OSError as error:
            self._log.warning("archive_check_not_kept", sink=name, reason=error.strerror)

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
