"""What becomes of late events at each sink, and receivers that rewrite or refuse the time of an old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.config.problems import Problem
from forwarder.contracts import SinkTraits
from forwarder.contracts.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from forwarder.contracts import LateConfig, Sink, SinkConfig

OLDEST = 180 * 86_400.0
"""Seconds for which Atlassian keeps events: how old one can be that is read from there."""


def late_in_words(config: LateConfig) -> str:
    """Return what a sink does with events that did not come as they happened."""
    if config.events == "deliver":
        return f"marked and delivered; late is what is older than {duration_text(config.after)} when it is read"
    what = "written elsewhere" if config.events == "elsewhere" else "held back: this sink never gets them"
    return f"those older than {duration_text(config.after)} when they are read are {what}; the others are marked"


def refused_times(sinks: Mapping[str, Sink], configs: Mapping[str, SinkConfig]) -> Iterator[Problem]:
    """Yield the sinks whose receivers do not take the time of every event that may come, as they are set."""
    for name, sink in sinks.items():
        found = SinkTraits.of(sink).old_times
        late = configs[name].late
        if found is None or not found.fix or found.seconds >= OLDEST:
            continue
        if late.events == "deliver" or late.after > found.seconds:
            yield Problem(f"sinks.{name}.late", f"{found.what} what is older than {_age(found.seconds)}", found.fix)


def limits_in_words(sink: Sink) -> str:
    """Return what the receiver of a sink does with old times; empty when nothing is known of it."""
    found = SinkTraits.of(sink).old_times
    return f"{found.what} what is older than {_age(found.seconds)}" if found is not None else ""


def _age(seconds: float) -> str:
    return duration_text(seconds) if seconds < OLDEST else f"{round(seconds / 86_400)} days"
