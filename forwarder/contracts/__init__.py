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

Plain data and protocols only, in modules of their names (`source`, `record`, `format`, `sink`, `errors`, `event`,
`page`, `settings` …); all of them are imported from here.
"""

from __future__ import annotations

from forwarder.contracts.clock import Clock, SystemClock
from forwarder.contracts.errors import (
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
from forwarder.contracts.event import Actor, Also, AuditEvent, Authentication, Change, ListedAction, Thing
from forwarder.contracts.finding import Endpoint, Finding
from forwarder.contracts.format import Format, Shrinks
from forwarder.contracts.page import CursorState, Origin, Page
from forwarder.contracts.record import Normalizer, Record
from forwarder.contracts.settings import (
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
from forwarder.contracts.sink import Batch, Confirms, Delivery, Receipt, Rejection, SetsUp, SetupStep, Sink, SinkContext
from forwarder.contracts.source import ListsActions, Source, SourceContext
from forwarder.contracts.text import plain

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
