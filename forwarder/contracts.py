"""The one module a plugin author imports: what flows, who carries it, and what an error makes the engine do.

::

    Source.fetch(state) -> Page ─► spool ─► lane: normalise → Record → Format.render → Sink.send → Delivery

    ForwarderError
    ├─ ConfigError        exit at start; nothing else may stop the process
    ├─ Retryable          the same again after max(back-off, retry_after)
    ├─ Held               wait, say why and how to fix it; nothing is lost meanwhile
    │  └─ AuthFailed      the same, and the secret is read again before the next try
    ├─ PayloadTooLarge    the lane halves the batch; a single record is rejected
    ├─ ContentRefused     something in the batch is refused: the lane takes it apart, and rejects what is refused alone
    ├─ CursorLost         the source refuses the cursor: `tail` goes on near now, `heal` re-reads an overlap
    └─ UnexpectedPayload  this one event becomes a dead letter in the lanes that need its meaning

Plain data and protocols only. Errors live in `errors`, the canonical event in `event`, the page in `page`, settings in
`fields`; all of them are imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from forwarder.clock import Clock, SystemClock
from forwarder.errors import (
    AuthFailed,
    ConfigError,
    ContentRefused,
    CursorLost,
    ErrorKind,
    ForwarderError,
    Held,
    PayloadTooLarge,
    Retryable,
    UnexpectedPayload,
)
from forwarder.event import Actor, Also, AuditEvent, Authentication, Change, ListedAction, Thing
from forwarder.fields import (
    BatchConfig,
    ByteSize,
    ComponentConfig,
    Duration,
    FieldsConfig,
    HttpConfig,
    RetryConfig,
    Secret,
    SinkConfig,
    SourceConfig,
    TlsConfig,
    Within,
)
from forwarder.page import CursorState, Origin, Page
from forwarder.text import plain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Actor",
    "Also",
    "AuditEvent",
    "AuthFailed",
    "Authentication",
    "Batch",
    "BatchConfig",
    "ByteSize",
    "Change",
    "Clock",
    "ComponentConfig",
    "ConfigError",
    "Confirms",
    "ContentRefused",
    "CursorLost",
    "CursorState",
    "Delivery",
    "Duration",
    "Endpoint",
    "ErrorKind",
    "FieldsConfig",
    "Finding",
    "Format",
    "ForwarderError",
    "Held",
    "HttpConfig",
    "ListedAction",
    "ListsActions",
    "Normalizer",
    "Origin",
    "Page",
    "PayloadTooLarge",
    "Receipt",
    "Record",
    "Rejection",
    "RetryConfig",
    "Retryable",
    "Secret",
    "SetsUp",
    "SetupStep",
    "Shrinks",
    "Sink",
    "SinkConfig",
    "SinkContext",
    "Source",
    "SourceConfig",
    "SourceContext",
    "SystemClock",
    "Thing",
    "TlsConfig",
    "UnexpectedPayload",
    "Within",
    "plain",
]

# -------------------------------------------------------------------------------------------------------- source


class SourceContext(msgspec.Struct, frozen=True):
    """What the engine gives a source."""

    name: str
    clock: Clock
    budget: Any  # forwarder.retry.RequestBudget; shared by sources of one key owner


class Source(Protocol):
    """One audit log that can be followed. Built as `Type(config, context)`; asks one request at a time.

    Optional attributes:
        endpoints (Sequence[Endpoint]): Where it connects to; a property. `probe` is asked when the way there is open.
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
class ListsActions(Protocol):
    """A source whose API lists the actions there are; asked at the start and once a day."""

    async def actions(self) -> list[ListedAction]:
        """Ask for the list, by a client of its own and outside the request budget. Raises ForwarderError."""
        ...


# ------------------------------------------------------------------------------------------------ record, format


class Record(msgspec.Struct, gc=False):
    """One event on its way to one sink.

    Attributes:
        seq: Its number in the spool.
        origin: Where it came from.
        id: Document id: 32 hex characters, for a revision followed by `-` and 16 more.
        raw: JSON of the API, after this lane's privacy.
        event: Its meaning, for the format, and for a sink that `wants_event`; None in a lane that needs none.
        body: What the format made of it.
        read_ms: When the page was read, epoch milliseconds.
        marks: `derived_id` or `revision`, when they apply.
        source: Number of the source in the spool.
    """

    seq: int
    origin: Origin
    id: str
    raw: bytes
    event: AuditEvent | None = None
    body: bytes = b""
    read_ms: int = 0
    marks: tuple[str, ...] = ()
    source: int = 0


class Normalizer(Protocol):
    """Gives the raw events of one feed their meaning. Never raises; an event it cannot read is its own result."""

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order."""
        ...


class Format(Protocol):
    """Renders records. Pure and fast: no I/O, no clock.

    Optional attribute:
        keeps_original (bool): It can also hold the event as the API sent it; it is then built as `Type(original=True)`.
    """

    needs_event: ClassVar[bool]

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one body per record, in order, without a line end; a refused one is its own result."""
        ...


@runtime_checkable
class Shrinks(Protocol):
    """A format that can say the same in fewer bytes, for a sink with a `max_body`."""

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Render at most `limit` bytes, marked as cut: whole characters and escapes; still which event, when, who."""
        ...


# ---------------------------------------------------------------------------------------------------------- sink


class Rejection(msgspec.Struct, frozen=True):
    """The sink will never take this record.

    Attributes:
        reason: Short stable word, such as `mapping_conflict` or `too_large`.
        detail: The sink's own words, shortened; hostile text, never a secret.
    """

    reason: str
    detail: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """A promise of the sink to tell later. `slot` is the client that holds the state it depends on."""

    slot: int
    token: str


class Batch(msgspec.Struct):
    """What is sent at once. `slot` numbers the client to use: at most one send runs in each slot."""

    records: Sequence[Record]
    slot: int = 0

    @property
    def size(self) -> int:
        """Sum of the bodies in bytes."""
        return sum(len(record.body) for record in self.records)


class Delivery(msgspec.Struct):
    """What became of a batch, by position in it. What is named nowhere is kept, and sent again.

    Attributes:
        accepted: Durable at the sink, as far as the sink can tell.
        rejected: Refused for good; becomes a dead letter.
        kept: Not taken now; sent again.
        pending: Told later through `confirm`.
        doubtful: The kept ones may have been taken although no answer says so.
        duplicates: How many of the accepted were there already.
        retry_after: Seconds until this slot sends again, be it kept ones or because we are asked to slow down.
        suspect: The kept ones may be at fault themselves; False when the sink says that it is busy.
    """

    accepted: Collection[int] = ()
    rejected: Mapping[int, Rejection] = {}
    kept: Collection[int] = ()
    pending: Mapping[int, Receipt] = {}
    doubtful: bool = False
    duplicates: int = 0
    retry_after: float | None = None
    reason: str = ""
    suspect: bool = True

    @classmethod
    def all_accepted(cls, batch: Batch) -> Delivery:
        """Say that the sink took everything."""
        return cls(accepted=range(len(batch.records)))


class Finding(msgspec.Struct, frozen=True):
    """One result of a probe, for `doctor` and for people; one that is `ok` and has a fix is a warning."""

    subject: str
    ok: bool
    detail: str
    fix: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a component connects to, so that `doctor` can try the way there before it asks the component.

    Attributes:
        tls: Its settings, when TLS begins with the connection.
        http: Its settings, when it is asked by HTTP: there may be a proxy.
        within: Seconds for each step.
    """

    host: str
    port: int
    tls: TlsConfig | None = None
    http: HttpConfig | None = None
    within: float = 5.0

    @classmethod
    def of_url(cls, url: str, tls: TlsConfig, http: HttpConfig) -> Endpoint:
        """Return the endpoint of an http(s) URL that was checked before."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls(parts.hostname or "", port, tls if secure else None, http, http.connect_timeout)


class SinkContext(msgspec.Struct, frozen=True):
    """What the engine gives a sink: its name, how many sends may run at once, and the time."""

    name: str
    slots: int
    clock: Clock
    state: Path | None = None


class Sink(Protocol):
    """A destination. Built as `Type(config, context)`; the constructor touches nothing outside the process.

    Class attributes:
        Config: Its settings, a `SinkConfig`.
        default_format: Name of the format when the configuration names none.

    Optional attributes:
        wants_event (bool): Records carry their meaning, where they have one, whatever the format needs.
        max_body (int | None): Longest body in bytes. A longer one is shrunk by its format, or becomes a dead letter.
        endpoints (Sequence[Endpoint]): Where it connects to; a property. `probe` is asked when the way there is open.
        advice (Mapping[str, str]): What to change, by the reason of a rejection; people see it beside the dead letter.
        patience (float): Seconds an event that fails alone waits until it is a dead letter, instead of the lane's.
        unconfirmed (tuple[str, str]): What it means when receipts are lost again and again, and what to do.
    """

    Config: ClassVar[type[SinkConfig]]
    default_format: ClassVar[str]

    @property
    def proof(self) -> Literal["delivered", "received", "none"]:
        """What an acceptance is worth; it may depend on the settings.

        `delivered`: the destination answered that it has the record to keep. `received`: it was only taken in.
        `none`: nothing answers.
        """
        ...

    @property
    def target(self) -> str:
        """Stable name of what is written to; the lane's state belongs to it. Never holds a secret."""
        ...

    async def send(self, batch: Batch) -> Delivery:
        """Send once. Raises Retryable, Held, AuthFailed, ContentRefused or PayloadTooLarge for the whole batch."""
        ...

    async def probe(self) -> list[Finding]:
        """Say whether the destination can be reached and written to, without writing events."""
        ...

    async def close(self) -> None:
        """Flush and release. Safe to call twice."""
        ...


@runtime_checkable
class Confirms(Protocol):
    """A sink that hands out receipts."""

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        """Return True for what is now durable and False for what is lost; leave out what is still unknown."""
        ...


class SetupStep(msgspec.Struct, frozen=True):
    """One thing that `setup` would make or change at the destination."""

    what: str
    state: Literal["missing", "same", "ours_older", "foreign"]
    diff: str = ""


@runtime_checkable
class SetsUp(Protocol):
    """A sink whose destination needs something put in place first."""

    async def setup(self, *, apply: bool) -> list[SetupStep]:
        """Compare, and with `apply` write what is missing or ours; never overwrite what someone else changed."""
        ...
