"""What the daemon runs, built from the settings: sources with their budgets, sinks, and a report of each."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from forwarder.assembly import build_sink, build_source, format_name
from forwarder.config.problems import SettingsError, not_built
from forwarder.contracts import ConfigError, SinkTraits
from forwarder.delivery.ages import objective_of
from forwarder.net.others import SeenLimit
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import LaneReport, SourceReport

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from forwarder.config.settings import Settings
    from forwarder.contracts import Clock, Sink, Source


class Parts(NamedTuple):
    """All by the name of their source or sink."""

    sources: dict[str, Source]
    budgets: dict[str, RequestBudget]
    source_reports: dict[str, SourceReport]
    sinks: dict[str, Sink]
    lane_reports: dict[str, LaneReport]


def shared_budgets(settings: Settings, clock: Clock) -> dict[str, RequestBudget]:
    """Make the budgets that sources share, by name."""
    return {name: RequestBudget(clock, budget.requests_per_minute) for name, budget in settings.budgets.items()}


def build_parts(
    settings: Settings,
    clock: Clock,
    shared: Mapping[str, RequestBudget],
    *,
    sources: Collection[str] | None = None,
    sinks: Collection[str] | None = None,
) -> Parts:
    """Make sources and sinks, of these names or all; nothing is touched outside the process. Raises ConfigError."""
    parts = Parts({}, {}, {}, {}, {})
    for name, config in settings.readers.items():
        if sources is not None and name not in sources:
            continue
        budget = shared.get(config.budget or "") or RequestBudget(clock)
        with _named(f"sources.{name}", settings):
            parts.sources[name] = source = build_source(name, config, clock, SeenLimit(budget, clock, name))
        parts.budgets[name] = budget
        parts.source_reports[name] = SourceReport(name, config.type, identity=source.origin.identity)
    every = [config.every for config in settings.readers.values()]
    for name, sink_config in settings.sinks.items():
        if sinks is not None and name not in sinks:
            continue
        with _named(f"sinks.{name}", settings):
            parts.sinks[name] = sink = build_sink(name, sink_config, clock)
        parts.lane_reports[name] = LaneReport(
            name,
            sink_config.type,
            target=sink.target,
            proof=sink.proof,
            format=format_name(sink_config),
            dead_letters_max=sink_config.max_dead_letters,
            objective=objective_of(every, SinkTraits.of(sink).gathers_for),
        )
    return parts


def refuse_twice(sources: Collection[Source]) -> None:
    """Raise ConfigError when two sources follow the same log."""
    identities = [source.origin.identity for source in sources]
    twice = next((identity for identity in identities if identities.count(identity) > 1), None)
    if twice is not None:
        raise ConfigError(f"two sources follow the same {twice}; remove one: every event would come once anyway")


@contextmanager
def _named(path: str, settings: Settings) -> Iterator[None]:
    """Name the part of the configuration that cannot be built."""
    try:
        yield
    except ConfigError as error:
        raise SettingsError(settings.located([not_built(path, error)])) from error
