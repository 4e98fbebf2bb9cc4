"""Puts on record, once a minute, which stretches of a source's log cannot be vouched for, and what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from forwarder.contracts import Held
from forwarder.contracts.log import get_logger
from forwarder.polling import progress
from forwarder.polling.plan import HEAL, TAIL
from forwarder.reconcile.doubts import SourceSeen, doubts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.contracts import Clock, Source
    from forwarder.observe.reports import SourceReport
    from forwarder.spool.contract import SourceStatus, Spool


class DoubtWatch:
    """Compares what the pollers report with the gaps on record.

    Args:
        spool: Holds the gaps.
        sources: Those that are followed, by name.
        reports: Of them, by name.
        clock: Wall time.
        stopping: Set when the end begins.
        every: Seconds between two looks.
    """

    def __init__(
        self,
        spool: Spool,
        sources: Mapping[str, Source],
        reports: Mapping[str, SourceReport],
        clock: Clock,
        stopping: asyncio.Event,
        *,
        every: float,
    ) -> None:
        self._spool = spool
        self._sources = sources
        self._reports = reports
        self._clock = clock
        self._stopping = stopping
        self._every = every
        self._began_ms = int(clock.time() * 1000)
        self._good: dict[str, tuple[float, Counter[str]]] = {}  # last good answer, and the errors up to then
        self._log = get_logger()

    async def run(self) -> None:
        """Look until the end."""
        while not self._stopping.is_set():
            try:
                await self.look()
            except Held as error:
                self._log.warning("gaps_not_written", reason=error.reason, fix=error.fix)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()

    async def look(self) -> None:
        """Look once."""
        status = await self._spool.status()
        seen = [self._seen(row) for row in status.sources if self._is_followed(row)]
        opened, changes = doubts(seen, await self._spool.gaps_that_matter(), int(self._clock.time() * 1000))
        if not (opened or changes):
            return
        await self._spool.change_gaps(opened, changes)
        for gap in opened:
            self._log.warning(
                "gap_opened", cause=gap.cause, reason=gap.detail, source=_name(status.sources, gap.source)
            )
        for change in changes:
            self._log.info("gap_changed", gap=change.number, state=change.state, by=change.by, reason=change.why)

    def _is_followed(self, row: SourceStatus) -> bool:
        return row.name in self._reports and row.name in self._sources and self._sources[row.name].reads != "pushed"

    def _seen(self, row: SourceStatus) -> SourceSeen:
        report, source = self._reports[row.name], self._sources[row.name]
        errors = Counter(report.errors)
        if self._good.get(row.name, (-1.0, errors))[0] != report.last_good_poll:
            self._good[row.name] = (report.last_good_poll, errors)
        kinds = frozenset(errors - self._good[row.name][1])
        tail, heal = row.cursors.get(TAIL), row.cursors.get(HEAL)
        return SourceSeen(
            number=row.number,
            good_ms=max(int(report.last_good_poll * 1000), self._began_ms),
            tip_ms=int(report.tip_reached * 1000),
            began_ms=self._began_ms,
            kinds=kinds,
            high_ms=None if tail is None or "high" not in tail.state else progress.read_up_to(tail.state),
            heals=heal is not None and heal.state.get("walk") is not None,
            retention_ms=source.retention_ms,
        )


def _name(sources: list[SourceStatus], number: int | None) -> str:
    return next((row.name for row in sources if row.number == number), "")
