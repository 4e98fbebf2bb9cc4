"""Keeps what only time shows: the worst of each hour, dead letters by reason, and whether the file is what runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from forwarder.admin.advice import advice_for
from forwarder.config.in_force import differences, in_force
from forwarder.config.origin import file_stamp
from forwarder.contracts.errors import ForwarderError, Held
from forwarder.contracts.log import get_logger
from forwarder.daemon.judging import read_again
from forwarder.observe.record import Letters
from forwarder.spool.hours import KEPT, PartHour

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.config.settings import Settings
    from forwarder.contracts import Clock
    from forwarder.daemon.reporter import Reporter
    from forwarder.observe.record import Configuration
    from forwarder.spool.contract import Spool
    from forwarder.spool.hours import Hours

BEAT, LOOK, KEEP = 1.0, 10, 60
"""Seconds between two looks at the states; so many of them between two looks at all else, and between two writes."""

_WORST = ("idle", "working", "paused", "retrying", "held")
"""States that an hour can have, from the best to the worst; starting and ending say nothing of it."""


class WorstHours:
    """The worst of every part by the hour.

    Args:
        rows: What was kept so far.
    """

    def __init__(self, rows: list[PartHour]) -> None:
        self._rows = {(row.kind, row.name, row.hour): row for row in rows}
        self._changed: set[tuple[str, str, int]] = set()

    def note(self, row: PartHour) -> None:
        """Take in how a part is; what is worse than the hour so far is kept."""
        if row.state not in _WORST:
            return
        key = (row.kind, row.name, row.hour)
        before = self._rows.get(key, row)
        worse = max(before.state, row.state, key=_WORST.index)
        worst = PartHour(*key, worse, max(before.lag_seconds, row.lag_seconds))
        if self._rows.get(key) != worst:
            self._rows[key] = worst
            self._changed.add(key)

    def recent(self, hour: int) -> list[PartHour]:
        """Return the rows of the last two days; older ones, and those of the future, are forgotten."""
        self._rows = {key: row for key, row in self._rows.items() if hour - KEPT < row.hour <= hour}
        return sorted(self._rows.values(), key=lambda row: row.hour)

    async def keep(self, hours: Hours) -> None:
        """Write what changed since the last time."""
        changed = {key: self._rows[key] for key in self._changed if key in self._rows}
        if changed:
            await hours.keep(list(changed.values()))
        self._changed -= changed.keys()


class RecordWatch:
    """Looks until the end.

    Args:
        spool: Open.
        settings: Returns those in force.
        reporter: Says how things are, and is told what they were.
        clock: Time.
        stopping: Set when the end begins.
    """

    def __init__(
        self, spool: Spool, settings: Callable[[], Settings], reporter: Reporter, clock: Clock, stopping: asyncio.Event
    ) -> None:
        self._spool = spool
        self._settings = settings
        self._reporter = reporter
        self._clock = clock
        self._stopping = stopping
        self._file = FileWatch(settings)
        self._log = get_logger()

    async def run(self) -> None:
        """Look at the states each second, at all else sometimes, and write now and then, and at the end."""
        worst = WorstHours(await self._spool.hours.all())
        beats = 0
        while not self._stopping.is_set():
            if beats % LOOK == 0:
                await self._look(worst)
            self._note_states(worst)
            self._reporter.hours = worst.recent(self._hour)
            if beats % KEEP == KEEP - 1:
                await self._keep(worst)
            beats += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._stopping.wait()
        await self._keep(worst)

    @property
    def _hour(self) -> int:
        return int(self._clock.time()) // 3600

    async def _look(self, worst: WorstHours) -> None:
        report = await self._reporter.report()
        for lane in report.lanes:
            lag = max(0.0, report.now - lane.oldest_waiting) if lane.oldest_waiting else 0.0
            worst.note(PartHour("sink", lane.name, int(report.now) // 3600, lane.state, lag))
        counts = await self._spool.count_letters() if any(lane.dead_letters for lane in report.lanes) else []
        sinks = self._settings().sinks
        self._reporter.letters = [Letters(each, advice_for(each.reason, sinks.get(each.lane))) for each in counts]
        self._reporter.replays = [each for each in await self._spool.operations.replays() if each.is_open]
        self._reporter.configuration = await asyncio.to_thread(self._file.look)

    def _note_states(self, worst: WorstHours) -> None:
        now, hour = self._clock.time(), self._hour
        for source in self._reporter.source_reports.values():
            asked = source.last_good_poll and not source.is_pushed
            lag = max(0.0, now - source.last_good_poll) if asked else 0.0
            worst.note(PartHour("source", source.name, hour, source.state, lag))
        for lane in self._reporter.lane_reports.values():
            worst.note(PartHour("sink", lane.name, hour, lane.state, 0.0))

    async def _keep(self, worst: WorstHours) -> None:
        try:
            await worst.keep(self._spool.hours)
        except Held as error:  # tried again; the disk is another part's trouble, which says so
            self._log.debug("hours_not_kept", reason=error.reason)


class FileWatch:
    """Sees whether the file of the configuration is still what runs."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._running: Settings | None = None
        self._seen: tuple[int, ...] = ()
        self._found: Configuration | None = None

    def look(self) -> Configuration:
        """Return the configuration in force; the file is read again only when it changed."""
        settings = self._settings()
        seen = file_stamp(settings.file)
        if self._found is None or settings is not self._running or seen != self._seen:
            self._found = in_force(settings) if seen == settings.stamp else _compared(settings)
            self._running, self._seen = settings, seen
        return self._found


def _compared(settings: Settings) -> Configuration:
    running = in_force(settings)
    try:
        return running._replace(differs=differences(settings, read_again(settings, judge=False)))
    except ForwarderError as error:
        return running._replace(problem=str(error))
