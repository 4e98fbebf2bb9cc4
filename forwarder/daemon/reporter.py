"""Makes the report of the daemon: everything at one moment (ADR 34)."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from forwarder import __version__
from forwarder.admin.repairs import repairs
from forwarder.contracts import IsChained, PresentsCredentials
from forwarder.observe.record import HeartReport
from forwarder.observe.reports import CredentialReport, DaemonReport, SourceReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forwarder.config.settings import Settings
    from forwarder.contracts import Clock, Sink, Source
    from forwarder.observe.record import Act, CheckReport, Completeness, Configuration, Day, IndexReport, Letters
    from forwarder.observe.reports import LaneReport
    from forwarder.spool.contract import Spool
    from forwarder.spool.hours import PartHour
    from forwarder.spool.operations import Replay

_MOST_ACTS = 20


class Reporter:
    """Reports what components say of themselves and what the spool holds.

    Args:
        settings: What is configured.
        clock: Time.
        stopping: Set when the end begins.
        log_lines_left_out: Counts what the reader of the log did not take.

    Attributes:
        spool: The open spool, None before.
        settings: In force. sources, sinks: Each by name. source_reports, lane_reports: what each component says.
        restarts: How often each task was started again.
        indexes, checks: Of the archives whose index is made, and that are checked, again and again, by sink.
        heart: Of the heartbeats.
        completeness, read_again, days, hours, letters, replays, acts, configuration: As known last; see `DaemonReport`.
    """

    def __init__(
        self, settings: Settings, clock: Clock, stopping: asyncio.Event, log_lines_left_out: Callable[[], int]
    ) -> None:
        self.spool: Spool | None = None
        self.sources: Mapping[str, Source] = {}
        self.sinks: Mapping[str, Sink] = {}
        self.source_reports: dict[str, SourceReport] = {}
        self.lane_reports: dict[str, LaneReport] = {}
        self.restarts: dict[str, int] = {}
        self.completeness: list[Completeness] = []
        self.read_again: dict[str, float] = {}
        self.indexes: dict[str, IndexReport] = {}
        self.checks: dict[str, CheckReport] = {}
        self.heart = HeartReport()
        self.days: list[Day] = []
        self.hours: list[PartHour] = []
        self.letters: list[Letters] = []
        self.replays: list[Replay] = []
        self.acts: deque[Act] = deque(maxlen=_MOST_ACTS)
        self.configuration: Configuration | None = None
        self.settings = settings
        self._clock = clock
        self._stopping = stopping
        self._log_lines_left_out = log_lines_left_out
        self._started = clock.time()
        self._beat = 0.0

    def beat(self) -> None:
        """Note that the event loop turns."""
        self._beat = self._clock.monotonic()

    def hold(self, task: str, reason: str) -> None:
        """Say that the source or sink of a task waits for another configuration."""
        kind, _, name = task.partition(" ")
        report = {"source": self.source_reports.get(name), "sink": self.lane_reports.get(name)}.get(kind)
        if report is not None:
            report.turn("held", self._clock.time(), reason, "Change the configuration: audit-forwarder reload")

    async def report(self) -> DaemonReport:
        """Return everything at one moment."""
        spool = self.spool
        status, books = await spool.overview() if spool is not None else (None, [])
        # Nothing is awaited from here on: the copies are of the moment at which the spool's answer came.
        rows = {(row.name, row.target): row for row in status.lanes} if status is not None else {}
        return DaemonReport(
            version=__version__,
            started=self._started,
            now=self._clock.time(),
            pid=os.getpid(),
            config_digest=self.settings.digest(),
            draining=self._stopping.is_set(),
            sources=[self._source(name, source) for name, source in self.source_reports.items()],
            lanes=[lane.seen_with(rows.get((lane.name, lane.target))) for lane in self.lane_reports.values()],
            spool=status,
            books=books,
            task_restarts=dict(self.restarts),
            log_lines_left_out=self._log_lines_left_out(),
            tasks=len(asyncio.all_tasks()),
            completeness=self.completeness,
            read_again=self.read_again,
            days=self.days,
            hours=self.hours,
            letters=self.letters,
            replays=self.replays,
            acts=list(self.acts),
            configuration=self.configuration,
            time_zone=self.settings.admin.time_zone,
            archive_heads=self.archive_heads(),
            indexes=[replace(one) for one in self.indexes.values()],
            checks=[replace(one) for one in self.checks.values()],
            heart=replace(self.heart),
            repairs={} if status is None else repairs(status.gaps, status, self.settings.sinks, self._now_ms()),
            monotonic=self._clock.monotonic(),
            loop_alive=self._beat,
            spool_alive=spool.last_turn if spool is not None else 0.0,
        )

    def archive_heads(self) -> dict[str, str]:
        """Return the SHA-256 of the newest digest of each archive, by the name of its sink."""
        chained = {name: sink.head for name, sink in self.sinks.items() if isinstance(sink, IsChained)}
        return {name: head for name, head in chained.items() if head}

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)

    def _source(self, name: str, report: SourceReport) -> SourceReport:
        made, source = report.snapshot(), self.sources.get(name)
        in_use = source.credentials.in_use if isinstance(source, PresentsCredentials) else ""
        config = self.settings.readers.get(name)
        made.credentials = tuple(
            CredentialReport(each.setting, each.ends or 0.0, each.setting == in_use)
            for each in (config.credentials if config is not None else ())
        )
        made.next_poll = 0.0 if config is None else next_poll(made, config.every)
        return made


def next_poll(report: SourceReport, every: float) -> float:
    """Return when a source is asked again at the latest: by its events, the bell, or the back-off, and its budget."""
    if report.is_pushed or report.state in {"starting", "stopped"}:
        return 0.0
    if report.next_try or report.next_look:
        return report.next_try or report.next_look
    spaced = 60.0 / report.requests_per_minute if report.requests_per_minute else 0.0
    return report.last_good_poll + max(every * 1.1, spaced) if report.last_good_poll else 0.0
