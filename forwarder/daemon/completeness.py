"""Judges again and again whether everything arrived, for status and metrics: once a few seconds, over all days."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from forwarder.observe.reports import Completeness
from forwarder.reconcile.verdict import Chosen

if TYPE_CHECKING:
    from forwarder.admin.reconcile import Reconciliation
    from forwarder.daemon.reporter import Reporter
    from forwarder.reconcile.verdict import Verdict


class CompletenessWatch:
    """Keeps what the reporter says of completeness true.

    Args:
        reconciliation: Judges.
        reporter: Is told.
        stopping: Set when the end begins.
        every: Seconds between two verdicts.
    """

    def __init__(
        self, reconciliation: Reconciliation, reporter: Reporter, stopping: asyncio.Event, *, every: float
    ) -> None:
        self._reconciliation = reconciliation
        self._reporter = reporter
        self._stopping = stopping
        self._every = every

    async def run(self) -> None:
        """Judge until the end."""
        while not self._stopping.is_set():
            verdict = await self._reconciliation.verdict(Chosen())
            self._reporter.completeness = completeness_of(verdict)
            self._reporter.read_again = {
                name: closed / 1000 for name, closed in (await self._reconciliation.read_again()).items()
            }
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()


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
