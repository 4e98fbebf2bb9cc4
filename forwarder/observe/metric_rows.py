"""What a row of the metric table is, and how rows read a report; the table itself is in `forwarder.observe.metrics`.

A reader looks at one snapshot and yields samples; it keeps nothing. Label values come from the configuration or from
closed sets: an unknown kind of error counts as `other`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from forwarder.contracts.errors import ErrorKind
from forwarder.contracts.event import LateKind
from forwarder.observe.looks import is_quieter_than_ever, spooled_of
from forwarder.observe.reports import ComponentState, DaemonReport, LaneReport, Report, SourceReport
from forwarder.spool.books import Books
from forwarder.spool.contract import SpoolStatus
from forwarder.spool.gap import Gap
from forwarder.spool.volume import Volume

MetricType = Literal["counter", "gauge", "histogram"]
GAP_CAUSES: tuple[str, ...] = get_args(get_type_hints(Gap)["cause"])
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's value: upper bounds, counts per bucket (not cumulative, the last is beyond them), and the sum."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


Sample = tuple[Labels, float | Distribution]
Reader = Callable[[DaemonReport], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table.

    Attributes:
        name: As Prometheus shows it, with `_total` when it is a counter.
        origin: Which field of the report it comes from, for people.
        read: Yields label values and the value; yields nothing when there is nothing to say.
    """

    name: str
    type: MetricType
    help: str
    labels: Labels
    origin: str
    read: Reader


# ------------------------------------------------------------------------------------------------------- readers


def of_sources(
    name: str, kind: MetricType, field: str, text: str, read: Callable[[SourceReport], float | None] | None = None
) -> Metric:
    """Make a row with one sample per source; `read` takes the place of the plain field."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        for source in report.sources:
            value = read(source) if read else getattr(source, field)
            if value is not None:
                yield (source.name,), value

    return Metric(name, kind, text, ("source",), f"SourceReport.{field}", samples)


def age_of_sources(name: str, field: str, text: str, *, since_start: bool) -> Metric:
    """Make a row of ages: since the moment in `field`, and with `since_start` since the start when there was none."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        for source in report.sources:
            since = getattr(source, field) or (report.started if since_start and not source.is_pushed else 0.0)
            if since:
                yield (source.name,), max(0.0, report.now - since)

    return Metric(name, "gauge", text, ("source",), f"now - SourceReport.{field}", samples)


def of_lanes(
    name: str,
    kind: MetricType,
    field: str,
    text: str,
    read: Callable[[LaneReport], float | Distribution | None] | None = None,
) -> Metric:
    """Make a row with one sample per lane; `read` takes the place of the plain field."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        for lane in report.lanes:
            value = read(lane) if read else getattr(lane, field)
            if value is not None:
                yield (lane.name,), value

    return Metric(name, kind, text, ("sink",), f"LaneReport.{field}", samples)


def of_spool(name: str, field: str, text: str, read: Callable[[SpoolStatus], float | None] | None = None) -> Metric:
    """Make a gauge of the spool; silent while there is no spool."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        if report.spool is not None:
            value = read(report.spool) if read else getattr(report.spool, field)
            if value is not None:
                yield (), value

    return Metric(name, "gauge", text, (), f"SpoolStatus.{field}", samples)


def next_tries(name: str, label: str, text: str, read: Callable[[DaemonReport], Sequence[Report]]) -> Metric:
    """Make a gauge of when each component that failed is tried again."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        yield from (((each.name,), each.next_try) for each in read(report) if each.next_try)

    return Metric(name, "gauge", text, (label,), f"{label}: Report.next_try", samples)


def trouble_ages(name: str, label: str, text: str, read: Callable[[DaemonReport], Sequence[Report]]) -> Metric:
    """Make a gauge of how long each component has not been well."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        for each in read(report):
            yield (each.name,), max(0.0, report.now - each.trouble_since) if each.trouble_since else 0.0

    return Metric(name, "gauge", text, (label,), f"now - {label}: Report.trouble_since", samples)


def of_books(name: str, kind: MetricType, field: str, text: str) -> Metric:
    """Make a row with one sample per line of the books."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        for line in report.books:
            yield (line.source, line.sink), getattr(line, field)

    return Metric(name, kind, text, ("source", "sink"), f"Books.{field}", samples)


def of_completeness(name: str, field: str, text: str) -> Metric:
    """Make a gauge with one sample per source and sink."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        for line in report.completeness:
            yield (line.source, line.sink), getattr(line, field)

    return Metric(name, "gauge", text, ("source", "sink"), f"Completeness.{field}", samples)


def of_daemon(name: str, field: str, text: str, read: Callable[[DaemonReport], float | None]) -> Metric:
    """Make a gauge of the whole daemon."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        value = read(report)
        if value is not None:
            yield (), value

    return Metric(name, "gauge", text, (), f"DaemonReport.{field}", samples)


def states(components: Iterable[Report]) -> Iterator[Sample]:
    """Yield one sample per component and possible state."""
    for component in components:
        for state in get_args(ComponentState):
            yield (component.name, state), float(component.state == state)


def unclaimed(report: DaemonReport) -> Iterator[Sample]:
    """Yield what waits in lanes whose sink is not configured."""
    configured = {lane.name for lane in report.lanes}
    yield from (((name,), 0) for name in sorted(configured))
    for lane in report.spool.lanes if report.spool is not None else ():
        if lane.name not in configured:
            yield (lane.name,), lane.lag


def unconfigured(report: DaemonReport) -> Iterator[Sample]:
    """Yield how many lanes have no sink any more, of those that are not forgotten yet."""
    if report.spool is not None:
        configured = {lane.name for lane in report.lanes}
        kept = (lane for lane in report.spool.lanes if (lane.forgotten_ms or math.inf) > report.now * 1000)
        yield (), len({lane.name for lane in kept} - configured)


def filtered_ratios(report: DaemonReport) -> Iterator[Sample]:
    """Yield the part that filters left out, of what is settled; nothing while nothing is."""
    settled, filtered = Counter[Labels](), Counter[Labels]()
    for line in report.books:
        settled[line.source, line.sink] += line.spooled - line.waiting
        filtered[line.source, line.sink] += line.filtered
    yield from ((labels, filtered[labels] / count) for labels, count in settled.items() if count > 0)


def errors(components: Iterable[Report]) -> Iterator[Sample]:
    """Yield every kind, seen or not, so that the first error of a kind is an increase; unknown kinds are `other`."""
    kinds = get_args(ErrorKind)
    for component in components:
        counts = dict.fromkeys(kinds, 0)
        for kind, count in component.errors.items():
            counts[kind if kind in counts else "other"] += count
        for kind, count in counts.items():
            yield (component.name, kind), count


def late_events(lanes: Iterable[LaneReport]) -> Iterator[Sample]:
    """Yield every kind of late events, met or not."""
    for lane in lanes:
        yield from (((lane.name, kind), lane.late[kind]) for kind in get_args(LateKind))


def refusals(report: DaemonReport) -> Iterator[Sample]:
    """Yield why requests were refused, of the sources that receive."""
    for source in report.sources:
        if source.receives:
            yield from (((source.name, reason), count) for reason, count in source.refused.items())


def reader_requests(report: DaemonReport) -> Iterator[Sample]:
    """Yield the requests of each reader, of the sources that are asked."""
    for source in report.sources:
        yield from (((source.name, reader), count) for reader, count in source.requests_by_reader.items())


def reader_shares(report: DaemonReport) -> Iterator[Sample]:
    """Yield the part of the last requests of the budget that each reader had, of the sources that are asked."""
    for source in report.sources:
        shares = dict.fromkeys(source.requests_by_reader, 0.0)
        for each in source.readers:
            shares[each.reader] = shares.get(each.reader, 0.0) + each.share
        yield from (((source.name, reader), share) for reader, share in shares.items())


def credentials_left(report: DaemonReport) -> Iterator[Sample]:
    """Yield the seconds until each credential ends, of those whose end is written down."""
    for source in report.sources:
        yield from (((source.name, each.setting), each.ends - report.now) for each in source.credentials if each.ends)


def credentials_in_use(report: DaemonReport) -> Iterator[Sample]:
    """Yield 1 for the credential that is presented, 0 for the others."""
    for source in report.sources:
        yield from (((source.name, each.setting), float(each.in_use)) for each in source.credentials)


def of_volumes(name: str, field: str, text: str, read: Callable[[SourceReport, Volume], float | None]) -> Metric:
    """Make a row with one sample per source of which the spool knows how much an hour brings."""

    def samples(report: DaemonReport) -> Iterator[Sample]:
        for source in report.sources:
            row = spooled_of(source, report)
            value = read(source, row.volume) if row is not None and row.volume is not None else None
            if value is not None:
                yield (source.name,), value

    return Metric(name, "gauge", text, ("source",), f"Volume.{field}", samples)


def quieter_than_ever(source: SourceReport, volume: Volume) -> float | None:
    """Return 1 while the last hour brought less than ever, 0 while not, None while that cannot be said."""
    found = is_quieter_than_ever(source, volume)
    return None if found is None else float(found)


def lag_seconds(report: DaemonReport) -> Iterator[Sample]:
    """Yield how long the oldest waiting event of each lane has waited."""
    for lane in report.lanes:
        yield (lane.name,), max(0.0, report.now - lane.oldest_waiting) if lane.oldest_waiting else 0.0


def open_gaps(report: DaemonReport) -> Iterator[Sample]:
    """Yield how many gaps are open, for every cause."""
    return _gaps(report, lambda gap: gap.is_open)


def lost_gaps(report: DaemonReport) -> Iterator[Sample]:
    """Yield how many gaps are lost for good, for every cause."""
    return _gaps(report, lambda gap: gap.state == "lost")


def oldest_open_gap(report: DaemonReport) -> Iterator[Sample]:
    """Yield how far the oldest open gap reaches back: to the time it covers, or to when it was found; 0 without one."""
    if report.spool is not None:
        begun = [gap.from_ms or gap.opened_ms for gap in report.spool.gaps if gap.is_open]
        yield (), max(0.0, report.now - min(begun) / 1000) if begun else 0.0


def _gaps(report: DaemonReport, counts_one: Callable[[Gap], bool]) -> Iterator[Sample]:
    if report.spool is not None:
        counts: dict[str, int] = dict.fromkeys(GAP_CAUSES, 0)
        for gap in filter(counts_one, report.spool.gaps):
            counts[gap.cause] = counts.get(gap.cause, 0) + 1
        for cause, count in counts.items():
            yield (cause,), count


def imbalances(report: DaemonReport) -> Iterator[Sample]:
    """Yield the worst line of each pair: two wrong lines must never cancel each other."""
    worst: dict[Labels, Books] = {}
    for line in report.books:
        known = worst.get((line.source, line.sink))
        if known is None or abs(line.balance) > abs(known.balance):
            worst[line.source, line.sink] = line
    for labels, line in worst.items():
        yield labels, line.balance


def moment(seconds: float) -> float | None:
    """Return None for a moment that never was."""
    return seconds or None
