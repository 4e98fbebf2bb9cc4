"""Makes heartbeats: for every source and sink one event every so often, with what the books counted since the last.

The counts and the event are durable together, so that the sum of all heartbeats is what the books hold, over restarts.
One that cannot be written is left out, and the next one counts from where the last one did.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from forwarder.contracts import Held
from forwarder.contracts.log import get_logger
from forwarder.contracts.moments import iso
from forwarder.observe.record import HeartReport
from forwarder.records.heartbeats import COUNTED, Heartbeat, new_id, page_of
from forwarder.spool.contract import CursorMove, CursorRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from forwarder.daemon.own_events import OwnEvents
    from forwarder.observe.reports import DaemonReport, SourceReport
    from forwarder.spool.books import Books

AGAIN = 5.0
"""Seconds until it is tried again to take the place in the spool, or seen whether heartbeats are wanted now."""


class Heart:
    """Writes heartbeats until the end; a runner.

    Args:
        every: Returns the seconds between two, None while there are to be none.
        own: Writes them, for each sink by itself.
        report: Makes a report of this moment.
        sinks: For whom.
        stopping: Set when the end begins.
        announce: Called when there is something new.
        told: Told how it goes.
    """

    def __init__(
        self,
        every: Callable[[], float | None],
        *,
        own: OwnEvents,
        report: Callable[[], Awaitable[DaemonReport]],
        sinks: Collection[str],
        stopping: asyncio.Event,
        announce: Callable[[], None],
        told: HeartReport | None = None,
    ) -> None:
        self._every = every
        self._own = own
        self._report = report
        self._sinks = sinks
        self._stopping = stopping
        self._announce = announce
        self._told = told or HeartReport()
        self._rows: dict[str, CursorRow] = {}
        self._log = get_logger()

    async def run(self) -> None:
        """Beat soon after the start, then every so often, until the end."""
        is_open = False
        while not self._stopping.is_set():
            every = self._every()
            self._told.every = every or 0.0
            if every is None:
                await self._rest(AGAIN)
                continue
            try:
                if not is_open:
                    await self._open()
                    is_open = True
            except Held as error:
                self._log.warning("heartbeat_not_written", reason=error.reason, fix=error.fix)
                await self._rest(AGAIN)
                continue
            await self.beat(every)
            await self._rest(every)

    async def _open(self) -> None:
        self._rows = dict(await self._own.open())

    async def beat(self, every: float) -> None:
        """Write one heartbeat of every source for every sink."""
        try:
            report = await self._report()
            for sink in list(self._sinks):
                await self._beat_for(sink, report, every)
            self._told.written = report.now
        except Held as error:
            self._log.warning("heartbeat_not_written", reason=error.reason, fix=error.fix)
        self._announce()

    async def _beat_for(self, sink: str, report: DaemonReport, every: float) -> None:
        row = self._rows.get(sink)
        before: Mapping[str, list[int]] = row.state["books"] if row is not None else {}
        lines = {line.source: line for line in report.books if line.sink == sink}
        since = row.state["at"] if row is not None else None
        beats = [
            self._heartbeat(source, sink, lines[source.name], before.get(source.name), since, report, every)
            for source in report.sources
            if source.name in lines
        ]
        if not beats:
            return
        state = {"at": iso(report.now), "books": {name: _counts(line) for name, line in lines.items()}}
        move = CursorMove(sink, row.version if row is not None else None, state)
        done = await self._own.write(page_of(beats), sink, reader="heartbeat", moves=[move])
        self._rows[sink] = CursorRow(sink, state, done.versions[sink])

    def _heartbeat(
        self,
        source: SourceReport,
        sink: str,
        line: Books,
        before: list[int] | None,
        since: str | None,
        report: DaemonReport,
        every: float,
    ) -> Heartbeat:
        counts = _counts(line)
        if (
            before is None or len(before) != len(counts) or counts[0] < before[0]
        ):  # another target: the books began anew
            before = [0] * len(counts)
        return Heartbeat(
            id=new_id(),
            time=iso(report.now) or "",
            audit_source=source.name,
            audit_sink=sink,
            state=source.state,
            every_seconds=every,
            since=since,
            events={name: count - known for name, count, known in zip(COUNTED, counts, before, strict=True)},
            waiting=line.waiting,
            newest_event=iso(source.newest_event or None),
            last_good_poll=iso(source.last_good_poll or None),
            archive_heads=report.archive_heads,
        )

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _counts(line: Books) -> list[int]:
    return [getattr(line, name) for name in COUNTED]
