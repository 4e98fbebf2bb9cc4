"""The metrics of indexes that the daemon has made again and again, and what the status says of them."""

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
)
"""Of the indexes."""
