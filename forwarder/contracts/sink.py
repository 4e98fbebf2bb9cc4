"""What a sink keeps: batches in, one verdict for each position out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from forwarder.contracts.clock import Clock
from forwarder.contracts.finding import Finding
from forwarder.contracts.format import FormatTraits
from forwarder.contracts.record import Record
from forwarder.contracts.settings import SinkConfig
from forwarder.contracts.traits import Traits

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


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
        return sum([len(record.body) for record in self.records])


class Delivery(msgspec.Struct):
    """What became of a batch, by position in it. What is named nowhere is kept, and sent again.

    Attributes:
        accepted: Durable at the sink, as far as the sink can tell.
        rejected: Refused for good; becomes a dead letter.
        kept: Not taken now; sent again.
        pending: Known later, through `confirm`.
        doubtful: The kept ones may have been taken although no answer says so.
        duplicates: How many of the accepted were there already.
        retry_after: Seconds until this slot sends again, be it kept ones or because we are asked to slow down.
        reason: Why some are kept.
        suspect: The kept ones may be at fault themselves; False when the sink says that it is busy.
        fix: What a person can do about those that are kept; default: what suits a part of a batch.
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
    fix: str = ""

    @classmethod
    def all_accepted(cls, batch: Batch) -> Delivery:
        """Say that the sink took everything."""
        return cls(accepted=range(len(batch.records)))


class SinkContext(msgspec.Struct, frozen=True):
    """What the engine gives a sink.

    Attributes:
        name: As configured.
        slots: How many sends may run at once.
        clock: The time.
        format: What the format writes whose records it will be sent.
    """

    name: str
    slots: int
    clock: Clock
    format: FormatTraits = FormatTraits(writes="json", has_timestamp=True)


class OldTimes(msgspec.Struct, frozen=True):
    """What a receiver does with the time of an old event.

    Attributes:
        seconds: How old an event may be.
        what: What happens to an older one, as the beginning of a sentence that goes on with "what is older than".
        fix: What to do about it, as the second half of a sentence; empty where nothing need be done.
    """

    seconds: float
    what: str
    fix: str = ""


class SinkTraits(Traits, frozen=True):
    """What a sink may declare of itself, as attributes of its class or properties; what it leaves out is as here.

    Attributes:
        wants_event: Records carry their meaning, where they have one, whatever the format needs. Of an event of 256 KiB
            and more it is without message, changes and the parts that are copied: those are in the body.
        max_body: Longest body in bytes. A longer one is shrunk by its format, or becomes a dead letter.
        advice: What to change, by the reason of a rejection; people see it beside the dead letter.
        patience: Seconds an event that fails alone waits until it is a dead letter, instead of the lane's.
        unverifiable: Why nobody can be asked what the destination has, and what can be done instead.
        unconfirmed: What it means when receipts are lost again and again, and what to do.
        old_times: What the receiver does with old times, where it does not take every one; `check` names it.
        gathers_for: Seconds that it gathers events at most before it stores them; so long they may be late.
    """

    wants_event: bool = False
    max_body: Annotated[int, msgspec.Meta(gt=0)] | None = None
    advice: Mapping[str, str] = {}
    patience: Annotated[float, msgspec.Meta(ge=0)] | None = None
    unverifiable: str = "this kind of sink cannot be asked what it has"
    unconfirmed: tuple[str, str] | None = None
    old_times: OldTimes | None = None
    gathers_for: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Sink(Protocol):
    """A destination. Built as `Type(config, context)`; the constructor touches nothing outside the process.

    Class attributes:
        Config: Its settings, a `SinkConfig`.
        default_format: Name of the format when the configuration names none.

    What else it may declare of itself is in `SinkTraits`. It may also be one that `Connects`, `Confirms`, `SetsUp`,
    `Verifies` or `IsSearched`.
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


@runtime_checkable
class Warns(Protocol):
    """A sink that knows of trouble at its destination although no send failed: it stopped reading, say."""

    def warning(self) -> tuple[str, str] | None:
        """Return what is wrong and what to do about it, or None. Words that stay the same while the trouble does."""
        ...


@runtime_checkable
class IsChained(Protocol):
    """A sink whose destination proves what it holds by a chain of digests (`forwarder.archive.chain`)."""

    def belongs_to(self, spool: str) -> None:
        """Take the id of the spool whose events it will be sent; called before the first of them."""
        ...

    @property
    def head(self) -> str | None:
        """Return the SHA-256 of the newest digest, None while it is not known.

        It goes into heartbeats and daily reports: with it can be found, later and by others, what was cut off.
        """
        ...


@runtime_checkable
class Gathers(Protocol):
    """A sink that gathers events and stores many of them at once, later than it was sent them."""

    async def finish(self) -> None:
        """Store now what is gathered: the forwarder stops. Raises Retryable or Held; nothing is lost by it."""
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
