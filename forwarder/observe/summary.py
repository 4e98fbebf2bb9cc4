"""The line of the log that says once a minute how it goes, and those of what is worth a look, each once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from forwarder.contracts import ForwarderError
from forwarder.contracts.log import get_logger
from forwarder.observe.looks import News, looks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from forwarder.observe.reports import DaemonReport, Report

FIRST, EVERY = 5.0, 60.0
"""Seconds from the start to the first summary, which whoever starts it by hand waits for, and between two."""


class Summary:
    """Writes summaries until the end.

    Args:
        report: Makes a report of this moment.
        stopping: Set when the end is wanted.
    """

    def __init__(self, report: Callable[[], Awaitable[DaemonReport]], stopping: asyncio.Event) -> None:
        self._report = report
        self._stopping = stopping
        self._news = News()
        self._log = get_logger()

    async def run(self) -> None:
        """Write the first one soon, then one a minute."""
        wait = FIRST
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
            except TimeoutError:
                await self._write()
                wait = EVERY

    async def _write(self) -> None:
        try:
            report = await self._report()
        except ForwarderError as error:  # the spool cannot be asked; who needs it for more than a summary says more
            self._log.warning("summary_failed", reason=str(error))
        else:
            self._log.info("summary", **summary(report))
            for look in self._news.of(looks(report)):
                say = self._log.warning if look.kind.startswith("credential") else self._log.info
                say(look.kind, source=look.source, what=look.what, fix=look.fix)


def summary(report: DaemonReport) -> dict[str, Any]:
    """Return the fields of the line; every number is the one that `status` shows, by the spool and over restarts."""
    spooled = {source.identity: source.spooled for source in report.spool.sources} if report.spool is not None else {}
    accepted = Counter[str]()
    for line in report.audit_books:
        accepted[line.sink] += line.accepted
    return {
        "sources": {
            one.name: {**_state(one, report.now), "spooled": spooled.get(one.identity, 0)} for one in report.sources
        },
        "sinks": {
            lane.name: {
                **_state(lane, report.now),
                "accepted": accepted[lane.name],
                "lag": lane.lag,
                "dead_letters": lane.dead_letters,
            }
            for lane in report.lanes
        },
    }


def _state(component: Report, now: float) -> dict[str, Any]:
    if component.well:
        return {"state": component.state}
    seconds = round(max(0.0, now - component.trouble_since))
    return {"state": component.state, "for_seconds": seconds, "reason": component.reason}
