"""What a source keeps: one audit log that can be followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from forwarder.contracts.clock import Clock
from forwarder.contracts.event import ListedAction
from forwarder.contracts.finding import Finding
from forwarder.contracts.page import CursorState, Origin, Page
from forwarder.contracts.record import Normalizer
from forwarder.contracts.settings import (
    SourceConfig,
    WebhookConfig,
)


class Budget(Protocol):
    """What a source tells of the answers it gets, so that it is asked as often as the API likes."""

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers (lower-case names) of an answer that was not an objection."""
        ...

    def on_rate_limited(self, headers: Mapping[str, str]) -> float:
        """Learn from an answer with status 429 and return the seconds it makes everybody wait."""
        ...


class SourceContext(msgspec.Struct, frozen=True):
    """What the engine gives a source; the budget is shared by the sources of one key owner."""

    name: str
    clock: Clock
    budget: Budget


class Source(Protocol):
    """One audit log that can be followed. Built as `Type(config, context)`.

    The engine fetches for live events and for history side by side, two at a time at most. One that connects somewhere
    has `Connects`, too.

    Attributes:
        feed: Frozen constant of the kind of log; part of every document id.
        origin: Where its events come from.
        reads: How the log can be read. `stream`: oldest first by a cursor that can be kept at the tip. `windows`: in
            whatever order and by whatever paging, between two moments, each of such windows as a whole. `places`:
            oldest first, by places that nothing but the log itself can move, as in files, and without a budget.
            `pushed`: not at all, what it has is sent to us; it has neither `walk` nor `fetch`, and keeps `Receives`.
        retention_ms: How long the API keeps events, milliseconds; None when it says nothing of that.
    """

    Config: ClassVar[type[SourceConfig]]
    feed: ClassVar[str]
    reads: ClassVar[Literal["stream", "windows", "places", "pushed"]]
    retention_ms: ClassVar[int | None]
    origin: Origin

    def walk(self, since_ms: int, until_ms: int | None = None) -> CursorState:
        """Return the state of a cursor that begins at `since_ms` (epoch milliseconds, processing time).

        It ends at `until_ms`, included. `windows` are always asked for an end; a `stream` only when it says that it
        keeps to one (`KeepsToAnEnd`).
        """
        ...

    async def fetch(self, state: CursorState) -> Page:
        """Fetch the page at `state`. Raises Retryable, Held, AuthFailed or CursorLost.

        Of a window, `more` says that the page is as full as a page can be, `next` is where it goes on (by offset or
        cursor), and an empty page is its end. A member `kept` of `next` is given to every window that the walk begins
        later, also in another life.
        """
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
class KeepsToAnEnd(Protocol):
    """A stream that can be walked to an end, so that closed windows of it can be read again.

    A walk ends at `until_ms`, included, whatever the API makes of that bound; what lies beyond is not given.

    Attributes:
        keeps_to_an_end: True.
    """

    keeps_to_an_end: ClassVar[bool]


def read_again_after(source: Source | type[Source], config: SourceConfig) -> tuple[float, ...]:
    """Return how long after a window each pass reads it again, seconds; none for a log of which nothing is."""
    can_be_asked = source.reads == "windows" or isinstance(source, KeepsToAnEnd)
    return config.reconcile.delays if can_be_asked else ()


@runtime_checkable
class ListsActions(Protocol):
    """A source whose API lists the actions there are; asked at the start and once a day."""

    async def actions(self) -> list[ListedAction]:
        """Ask for the list, by a client of its own and outside the request budget. Raises ForwarderError."""
        ...


class InUse(Protocol):
    """Which of several credentials is presented."""

    @property
    def in_use(self) -> str:
        """Return the setting of the one that is, such as `api_key_next`; empty when there is none."""
        ...


@runtime_checkable
class PresentsCredentials(Protocol):
    """A source that presents one of the credentials that its settings name."""

    credentials: InUse


@runtime_checkable
class TakesBack(Protocol):
    """A source that gives events which were kept in an archive the identity they have when it reads them itself."""

    def why_foreign(self, body: bytes) -> str:
        """Say why a sound JSON object is no event of this kind of log, or nothing. Raises ConfigError: takes none."""
        ...

    def pages_of(self, bodies: Sequence[bytes]) -> list[Page]:
        """Return events, as the API sent them, as pages; their `next` counts for nothing. Nothing is asked."""
        ...


@runtime_checkable
class Coarse(Protocol):
    """A source that is read in windows, and whose API does not tell times apart that lie closer together than a step.

    Attributes:
        step_ms: The step, milliseconds. No narrower window is asked for.
    """

    step_ms: ClassVar[int]


class Received(msgspec.Struct, frozen=True):
    """What one request brought.

    Attributes:
        page: What is to be spooled, also of what could not be read; its `next` counts for nothing.
        unreadable: How many parts of the body could not be read as events.
        reason: Why not, of the first; words that can be shown.
        events: How many parts are events; None: all that are in the page but the unreadable ones, which are in it, too.
    """

    page: Page
    unreadable: int = 0
    reason: str = ""
    events: int | None = None


@runtime_checkable
class Receives(Protocol):
    """A source whose events are sent to us: only so when it `reads` what is `pushed`, else beside being followed.

    Attributes:
        webhook: Where and with which secrets; None: nothing is received.
    """

    webhook: WebhookConfig | None

    def receive(self, body: bytes) -> Received:
        """Read the body of a request whose secret was right. Never raises; called in whatever thread, one at a time.

        What cannot be read is an event, too: of bytes that the normaliser refuses, so that it becomes a dead letter.
        """
        ...
