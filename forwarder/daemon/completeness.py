"""Judges again and again whether everything arrived, for status and metrics: once a few seconds, over all days."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from forwarder.contracts.log import get_logger
from forwarder.observe.record import Completeness, Day
from forwarder.reconcile.verdict import JUDGEMENTS, Chosen

if TYPE_CHECKING:
    from forwarder.admin.reconcile import Reconciliation
    from forwarder.daemon.reporter import Reporter
    from forwarder.reconcile.reports import ReportFolder
    from forwarder.reconcile.verdict import Verdict

SHOWN = 14
"""Days of the books that are shown one by one, today included."""


class CompletenessWatch:
    """Keeps what the reporter says of completeness true.

    Args:
        reconciliation: Judges.
        reporter: Is told.
        stopping: Set when the end begins.
        every: Seconds between two verdicts.
        reports: Where daily reports are written, None for nowhere.
    """

    def __init__(
        self,
        reconciliation: Reconciliation,
        reporter: Reporter,
        stopping: asyncio.Event,
        *,
        every: float,
        reports: ReportFolder | None = None,
    ) -> None:
        self._reconciliation = reconciliation
        self._reporter = reporter
        self._stopping = stopping
        self._every = every
        self._reports = reports
        self._log = get_logger()

    async def run(self) -> None:
        """Judge until the end."""
        while not self._stopping.is_set():
            verdict = await self._reconciliation.verdict(Chosen())
            self._reporter.completeness = completeness_of(verdict)
            self._reporter.days = days_of(verdict)
            self._reporter.read_again = {
                name: closed / 1000 for name, closed in (await self._reconciliation.read_again()).items()
            }
            await self._report(verdict)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()

    async def _report(self, verdict: Verdict) -> None:
        """Write the reports that are due; one that cannot be written is tried again, and is no fault of delivery."""
        if self._reports is None:
            return
        today = datetime.fromtimestamp(verdict.made_ms / 1000, UTC).date().isoformat()
        try:
            names = await asyncio.to_thread(self._reports.update, verdict, today, self._reporter.archive_heads())
        except OSError as error:
            self._log.warning(
                "report_not_written",
                reason=f"{self._reports.folder}: {error.strerror or type(error).__name__}",
                fix="Let the user of the daemon write there, make room, or name another reports.folder.",
            )
        else:
            for name in names:
                self._log.info("report_written", file=name)


def completeness_of(verdict: Verdict) -> list[Completeness]:
    """Return the sums over all days, for each source and sink."""
    sums: dict[tuple[str, str], Completeness] = {}
    for line in verdict.lines:
        before = sums.get((line.source, line.sink), Completeness(line.source, line.sink))
        sums[line.source, line.sink] = Completeness(
            line.source,
            line.sink,
            expected=before.expected + line.expected,
            delivered=before.delivered + line.delivered,
            recovered=before.recovered + line.recovered,
            missing=before.missing + line.missing,
            incomplete_days=before.incomplete_days + (line.judgement == "gap"),
        )
    return list(sums.values())


def days_of(verdict: Verdict) -> list[Day]:
    """Return today by source and sink, and the days before by sink: the worst judgement, and the sums.

    A line without a day, or of the future, is of no day that is shown.
    """
    now = datetime.fromtimestamp(verdict.made_ms / 1000, UTC).date()
    first, today = (now - timedelta(days=SHOWN - 1)).isoformat(), now.isoformat()
    days: dict[tuple[str, str, str], Day] = {}
    for line in verdict.lines:
        if first <= line.day <= today:
            key = (line.day, line.source if line.day == today else "", line.sink)
            before = days.get(key, Day(*key, line.judgement))
            days[key] = Day(
                *key,
                min(before.judgement, line.judgement, key=JUDGEMENTS.index),
                before.expected + line.expected,
                before.delivered + line.delivered,
                before.rejected + line.rejected,
                before.filtered + line.filtered,
                before.waiting + line.waiting,
                before.missing + line.missing,
            )
    return list(days.values())
