"""The page that Prometheus reads. The one importer of prometheus_client.

::

    components ──write──► reports (plain counters) ──snapshot──► DaemonReport ──at scrape time──► METRICS ──► page

Nothing here is called per event or per page: a scrape reads one snapshot and turns it into samples. Every application
object has a registry of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder

from forwarder.observe.metric_rows import Distribution, Labels, Metric
from forwarder.observe.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric as Family

    from forwarder.observe.reports import DaemonReport


def _family(metric: Metric, report: DaemonReport) -> Family:
    """Turn one row into what the client library renders. Equal labels are added: a double sample breaks the page."""
    values: dict[Labels, float] = {}
    if metric.type == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in metric.read(report):
            if isinstance(value, Distribution):
                histogram.add_metric(labels, _buckets(value), value.total)
        return histogram
    for labels, value in metric.read(report):
        if not isinstance(value, Distribution):
            values[labels] = values.get(labels, 0.0) + value
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _buckets(value: Distribution) -> list[tuple[str, float]]:
    seen = 0
    buckets = []
    for bound, count in zip((*map(str, value.bounds), "+Inf"), value.counts, strict=True):
        seen += count
        buckets.append((bound, float(seen)))
    return buckets


class ReportCollector:
    """Turns the latest snapshot into samples whenever someone scrapes; without one there is nothing to say."""

    def __init__(self, report: Callable[[], DaemonReport | None]) -> None:
        self._report = report

    def collect(self) -> Iterator[Family]:
        """Yield one family per row of the table."""
        report = self._report()
        if report is not None:
            for metric in METRICS:
                yield _family(metric, report)


class Exposition:
    """The page of one application: our table, the process, the platform and the garbage collector.

    Args:
        report: Returns the latest snapshot, at once; None while there is none.
    """

    def __init__(self, report: Callable[[], DaemonReport | None]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(ReportCollector(report))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page and its content type: OpenMetrics when `accept` asks for it, else the Prometheus text."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
