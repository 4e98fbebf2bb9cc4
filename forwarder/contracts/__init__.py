"""All that a plugin may know: what flows, what a source, format and sink keep, and what an error makes the engine do.

::

    Source.fetch(state) -> Page ─► spool ─► lane: Record ─► Normalizer ─► Format.render → Sink.send → Delivery

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
`page`, `settings` …); all of them are imported from here. Beside them lies what every room needs: `log`, `imports`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forwarder.contracts.clock import Clock as Clock
    from forwarder.contracts.clock import SystemClock as SystemClock
    from forwarder.contracts.errors import AuthFailed as AuthFailed
    from forwarder.contracts.errors import ConfigError as ConfigError
    from forwarder.contracts.errors import ContentRefused as ContentRefused
    from forwarder.contracts.errors import CursorLost as CursorLost
    from forwarder.contracts.errors import ErrorKind as ErrorKind
    from forwarder.contracts.errors import ForwarderError as ForwarderError
    from forwarder.contracts.errors import Held as Held
    from forwarder.contracts.errors import PayloadTooLarge as PayloadTooLarge
    from forwarder.contracts.errors import Retryable as Retryable
    from forwarder.contracts.errors import UnexpectedPayload as UnexpectedPayload
    from forwarder.contracts.event import Actor as Actor
    from forwarder.contracts.event import ActorKind as ActorKind
    from forwarder.contracts.event import Also as Also
    from forwarder.contracts.event import AuditEvent as AuditEvent
    from forwarder.contracts.event import Authentication as Authentication
    from forwarder.contracts.event import Change as Change
    from forwarder.contracts.event import Late as Late
    from forwarder.contracts.event import ListedAction as ListedAction
    from forwarder.contracts.event import Thing as Thing
    from forwarder.contracts.finding import Connects as Connects
    from forwarder.contracts.finding import Endpoint as Endpoint
    from forwarder.contracts.finding import Finding as Finding
    from forwarder.contracts.format import ChangesFields as ChangesFields
    from forwarder.contracts.format import Format as Format
    from forwarder.contracts.format import FormatTraits as FormatTraits
    from forwarder.contracts.format import Shrinks as Shrinks
    from forwarder.contracts.page import CursorState as CursorState
    from forwarder.contracts.page import Lost as Lost
    from forwarder.contracts.page import Origin as Origin
    from forwarder.contracts.page import Page as Page
    from forwarder.contracts.record import Normalizer as Normalizer
    from forwarder.contracts.record import Record as Record
    from forwarder.contracts.settings import BatchConfig as BatchConfig
    from forwarder.contracts.settings import ByteSize as ByteSize
    from forwarder.contracts.settings import ComponentConfig as ComponentConfig
    from forwarder.contracts.settings import Duration as Duration
    from forwarder.contracts.settings import FieldsConfig as FieldsConfig
    from forwarder.contracts.settings import HttpConfig as HttpConfig
    from forwarder.contracts.settings import LateConfig as LateConfig
    from forwarder.contracts.settings import RetryConfig as RetryConfig
    from forwarder.contracts.settings import Secret as Secret
    from forwarder.contracts.settings import SinkConfig as SinkConfig
    from forwarder.contracts.settings import SourceConfig as SourceConfig
    from forwarder.contracts.settings import TlsConfig as TlsConfig
    from forwarder.contracts.settings import WebhookConfig as WebhookConfig
    from forwarder.contracts.settings import Within as Within
    from forwarder.contracts.sink import Batch as Batch
    from forwarder.contracts.sink import Confirms as Confirms
    from forwarder.contracts.sink import Delivery as Delivery
    from forwarder.contracts.sink import Gathers as Gathers
    from forwarder.contracts.sink import IsChained as IsChained
    from forwarder.contracts.sink import OldTimes as OldTimes
    from forwarder.contracts.sink import Receipt as Receipt
    from forwarder.contracts.sink import Rejection as Rejection
    from forwarder.contracts.sink import SetsUp as SetsUp
    from forwarder.contracts.sink import SetupStep as SetupStep
    from forwarder.contracts.sink import Sink as Sink
    from forwarder.contracts.sink import SinkContext as SinkContext
    from forwarder.contracts.sink import SinkTraits as SinkTraits
    from forwarder.contracts.sink import Warns as Warns
    from forwarder.contracts.source import Budget as Budget
    from forwarder.contracts.source import Coarse as Coarse
    from forwarder.contracts.source import GoesOnByTime as GoesOnByTime
    from forwarder.contracts.source import KeepsToAnEnd as KeepsToAnEnd
    from forwarder.contracts.source import ListsActions as ListsActions
    from forwarder.contracts.source import PresentsCredentials as PresentsCredentials
    from forwarder.contracts.source import Received as Received
    from forwarder.contracts.source import Receives as Receives
    from forwarder.contracts.source import Source as Source
    from forwarder.contracts.source import SourceContext as SourceContext
    from forwarder.contracts.source import TakesBack as TakesBack
    from forwarder.contracts.text import plain as plain
    from forwarder.contracts.verify import Asked as Asked
    from forwarder.contracts.verify import IsSearched as IsSearched
    from forwarder.contracts.verify import LinesOfDocuments as LinesOfDocuments
    from forwarder.contracts.verify import Verifies as Verifies

_HOMES = {
    "clock": ("Clock", "SystemClock"),
    "errors": (
        "AuthFailed",
        "ConfigError",
        "ContentRefused",
        "CursorLost",
        "ErrorKind",
        "ForwarderError",
        "Held",
        "PayloadTooLarge",
        "Retryable",
        "UnexpectedPayload",
    ),
    "event": ("Actor", "ActorKind", "Also", "AuditEvent", "Authentication", "Change", "Late", "ListedAction", "Thing"),
    "finding": ("Connects", "Endpoint", "Finding"),
    "format": ("ChangesFields", "Format", "FormatTraits", "Shrinks"),
    "page": ("CursorState", "Lost", "Origin", "Page"),
    "record": ("Normalizer", "Record"),
    "settings": (
        "BatchConfig",
        "ByteSize",
        "ComponentConfig",
        "Duration",
        "FieldsConfig",
        "HttpConfig",
        "LateConfig",
        "RetryConfig",
        "Secret",
        "SinkConfig",
        "SourceConfig",
        "TlsConfig",
        "WebhookConfig",
        "Within",
    ),
    "sink": (
        "Batch",
        "Confirms",
        "Delivery",
        "Gathers",
        "IsChained",
        "OldTimes",
        "Receipt",
        "Rejection",
        "SetsUp",
        "SetupStep",
        "Sink",
        "SinkContext",
        "SinkTraits",
        "Warns",
    ),
    "source": (
        "Budget",
        "Coarse",
        "GoesOnByTime",
        "KeepsToAnEnd",
        "ListsActions",
        "PresentsCredentials",
        "Received",
        "Receives",
        "Source",
        "SourceContext",
        "TakesBack",
    ),
    "text": ("plain",),
    "verify": ("Asked", "IsSearched", "LinesOfDocuments", "Verifies"),
}
_MODULE = {name: module for module, names in _HOMES.items() for name in names}


def __dir__() -> list[str]:
    return sorted(_MODULE)


def __getattr__(name: str) -> Any:
    """Import what is asked for: who needs an error's name does not pay for the settings' models."""
    if name not in _MODULE:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    return found
