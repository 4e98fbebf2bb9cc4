"""What a source keeps: one audit log that can be followed."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

from forwarder.contracts.clock import Clock
from forwarder.contracts.event import ListedAction
from forwarder.contracts.finding import Finding
from forwarder.contracts.page import CursorState, Origin, Page
from forwarder.contracts.record import Normalizer
from forwarder.contracts.settings import (
    SourceConfig,
)


class SourceContext(msgspec.Struct, frozen=True):
    """What the engine gives a source."""

    name: str
    clock: Clock
    budget: Any  # forwarder.net.retry.RequestBudget; shared by sources of one key owner


class Source(Protocol):
    """One audit log that can be followed. Built as `Type(config, context)`.

    The engine fetches for live events and for history side by side, two at a time at most. One that connects somewhere
    has `Connects`, too.
    """

    Config: ClassVar[type[SourceConfig]]
    feed: ClassVar[str]
    origin: Origin

    def walk(self, since_ms: int) -> CursorState:
        """Return the state of a cursor that begins at `since_ms` (epoch milliseconds, processing time)."""
        ...

    async def fetch(self, state: CursorState) -> Page:
        """Fetch the page at `state`. Raises Retryable, Held, AuthFailed or CursorLost."""
        ...

    async def probe(self) -> list[Finding]:
        """Ask the API with the smallest request and say what works: key, scope, plan, clock, budget."""
        ...

    async def close(self) -> None:
        """Release connections. Safe to call twice."""
        ...

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives this feed's events their meaning."""
        ...


@runtime_checkable
class GoesOnByTime(Protocol):
    """A source that can go on without a cursor, from the time of what it read last."""

    def by_time(self, walk: CursorState, from_ms: int) -> CursorState:
        """Return the state of a walk that goes on at `from_ms`."""
        ...


@runtime_checkable
class ListsActions(Protocol):
    """A source whose API lists the actions there are; asked at the start and once a day."""

    async def actions(self) -> list[ListedAction]:
        """Ask for the list, by a client of its own and outside the request budget. Raises ForwarderError."""
        ...
