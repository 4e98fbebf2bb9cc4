"""The metrics of what the daemon has done again and again: indexes and checks of archives, and heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.observe.metric_rows import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.observe.metric_rows import Sample
    from forwarder.observe.reports import DaemonReport


def _of_indexes(name: str, field: str, text: str) -> Metric:
    def samples(report: DaemonReport) -> Iterator[Sample]:
        for one in report.indexes:
            yield (one.sink,), getattr(one, field)

    return Metric(name, "gauge", text, ("sink",), f"IndexReport.{field}", samples)


INDEX_METRICS = (
    _of_indexes("forwarder_index_events", "events", "Events in the index of an archive (`index.every`)."),
    _of_indexes(
        "forwarder_index_failed_parts",
        "failed_parts",
        "Days and months that could not be made; questions read the evidence of these.",
    ),
    Metric(
        "forwarder_index_age_seconds",
        "gauge",
        "Time since the index of an archive was made last, or since the start; grows while it cannot be made.",
        ("sink",),
        "now - IndexReport.good",
        lambda report: (((one.sink,), report.now - (one.good or report.started)) for one in report.indexes),
    ),
    Metric(
        "forwarder_archive_check_age_seconds",
        "gauge",
        "Time since all of an archive was checked last (`verify.every`); where it never was, since the start.",
        ("sink",),
        "now - CheckReport.good",
        lambda report: (((one.sink,), report.now - (one.good or report.started)) for one in report.checks),
    ),
    Metric(
        "forwarder_archive_check_interval_seconds",
        "gauge",
        "Time between two checks of an archive (`verify.every`).",
        ("sink",),
        "CheckReport.every",
        lambda report: (((one.sink,), one.every) for one in report.checks),
    ),
    Metric(
        "forwarder_archive_findings",
        "gauge",
        "What was not as it was written in an archive at its last check, over restarts; absent before the first.",
        ("sink",),
        "CheckReport.findings",
        lambda report: (((one.sink,), one.findings) for one in report.checks if one.good),
    ),
    Metric(
        "forwarder_heartbeat_age_seconds",
        "gauge",
        "Time since a heartbeat was written for every sink last, or since the start; only with `heartbeat.every`.",
        (),
        "now - HeartReport.written",
        lambda report: [((), report.now - (report.heart.written or report.started))] if report.heart.every else [],
    ),
    Metric(
        "forwarder_heartbeat_interval_seconds",
        "gauge",
        "Time between two heartbeats (`heartbeat.every`); only where there are any.",
        (),
        "HeartReport.every",
        lambda report: [((), report.heart.every)] if report.heart.every else [],
    ),
)
"""Of what is done again and again."""
