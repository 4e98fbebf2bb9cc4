"""Components built for a moment, to learn what they are about to do: where sinks write, whom sources follow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from forwarder.clock import SystemClock
from forwarder.contracts import SinkContext, SourceContext
from forwarder.registry import SINKS, SOURCES
from forwarder.retry import RequestBudget

if TYPE_CHECKING:
    from forwarder.settings import Settings


def targets_and_identities(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Return the target of each sink and the identity of each source; those that cannot be built say so elsewhere."""
    clock = SystemClock()
    made: list[Any] = []
    targets: dict[str, str] = {}
    identities: dict[str, str] = {}
    for name, sink in settings.sinks.items():
        with suppress(Exception):
            made.append(built := SINKS.load(sink.type)(sink, SinkContext(name, sink.window, clock)))
            targets[name] = built.target
    for name, source in settings.sources.items():
        with suppress(Exception):
            made.append(built := SOURCES.load(source.type)(source, SourceContext(name, clock, RequestBudget(clock))))
            identities[name] = built.origin.identity
    asyncio.run(_close(made))
    return targets, identities


async def _close(made: list[Any]) -> None:
    for component in made:
        with suppress(Exception):
            await component.close()
