"""Two sinks that do everything the contract allows, and keep a ledger of what they did and of what they said.

`LateSink` hands out receipts and confirms late, out of order, sometimes with a no and sometimes never. `PartialSink`
names only a part of what it got and raises every kind of error. Both draw from a seed; the ledger lets a test ask for
the truth: what landed, and what the lane was told.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from forwarder.contracts import (
    AuthFailed,
    Batch,
    Delivery,
    Finding,
    Held,
    PayloadTooLarge,
    Receipt,
    Rejection,
    Retryable,
    SinkConfig,
    SinkContext,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Share = Annotated[float, Field(ge=0, le=1)]
Fate = Literal["durable", "lost", "silent", "silent, landed"]


@dataclass
class Ledger:
    """What a sink did, by document id.

    Attributes:
        landed: How often each record became durable, whether or not anybody was told.
        accepted: Records the sink said are durable.
        rejected: Records the sink said it will never take.
        lost: Records the sink said are lost after it had given a receipt.
        sends: Number of calls of `send`.
        raised: How often each error was raised, by class name.
    """

    landed: Counter[str] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    sends: int = 0
    raised: Counter[str] = field(default_factory=Counter)

    @property
    def lies(self) -> set[str]:
        """Records said to be durable that are not: must be empty, or the sink itself is wrong."""
        return self.accepted - set(self.landed)


class LateSink:
    """Says nothing at once. Each receipt gets a fate when it is handed out; polls of `confirm` are its clock."""

    class Config(SinkConfig):
        """Fates and delays."""

        type: Literal["late"] = "late"
        seed: int = 0
        """What everything is drawn from."""
        lost: Share = 0.1
        """Share of receipts that end with a no; nothing of them landed."""
        silent: Share = 0.1
        """Share of receipts that are never answered; half of them landed all the same."""
        longest: Annotated[int, Field(ge=1)] = 5
        """Most polls until an answer; the answers come out of order."""
        per: Literal["batch", "record"] = "batch"
        """Whether one receipt stands for the whole batch or for one record."""
        mixed: bool = False
        """Accept some records at once, without a receipt."""

    proof: ClassVar[Literal["delivered", "received", "none"]] = "delivered"
    default_format: ClassVar[str] = "raw"

    def __init__(self, config: LateSink.Config, context: SinkContext) -> None:
        self._config = config
        self._random = Random(config.seed)
        self._slots = context.slots
        self._waiting: dict[Receipt, _Promise] = {}
        self._issued = 0
        self.ledger = Ledger()
        self.closed = False

    @property
    def target(self) -> str:
        return "late:memory"

    async def send(self, batch: Batch) -> Delivery:
        await asyncio.sleep(0)
        assert 0 <= batch.slot < self._slots, "the lane used a slot that there is not"
        self.ledger.sends += 1
        delivery = Delivery(accepted=[], pending={})
        shared: Receipt | None = None
        for position, record in enumerate(batch.records):
            if self._config.mixed and self._random.random() < 0.3:
                self._land([record.id])
                self.ledger.accepted.add(record.id)
                delivery.accepted.append(position)  # type: ignore[attr-defined]
                continue
            if shared is None or self._config.per == "record":
                shared = self._promise(batch.slot)
            promise = self._waiting[shared]
            promise.ids.append(record.id)
            if promise.fate == "silent, landed":
                self._land([record.id])
            delivery.pending[position] = shared  # type: ignore[index]
        return delivery

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        await asyncio.sleep(0)
        answers: dict[Receipt, bool] = {}
        for receipt in receipts:
            promise = self._waiting.get(receipt)
            if promise is None:
                continue  # of another life of this sink: unknown forever
            promise.polls_left -= 1
            if promise.polls_left > 0 or promise.fate.startswith("silent"):
                continue
            answers[receipt] = promise.fate == "durable"
            if promise.fate == "durable":
                self._land(promise.ids)
                self.ledger.accepted.update(promise.ids)
            else:
                self.ledger.lost.update(promise.ids)
            del self._waiting[receipt]
        return answers

    async def probe(self) -> list[Finding]:
        return [Finding("late", ok=True, detail="always there")]

    async def close(self) -> None:
        self.closed = True

    def _promise(self, slot: int) -> Receipt:
        self._issued += 1
        receipt = Receipt(slot, f"{self._issued}")
        drawn = self._random.random()
        fate: Fate = "durable"
        if drawn < self._config.lost:
            fate = "lost"
        elif drawn < self._config.lost + self._config.silent:
            fate = self._random.choice(["silent", "silent, landed"])
        self._waiting[receipt] = _Promise(fate, self._random.randint(1, self._config.longest))
        return receipt

    def _land(self, ids: Sequence[str]) -> None:
        self.ledger.landed.update(ids)


@dataclass
class _Promise:
    fate: Fate
    polls_left: int
    ids: list[str] = field(default_factory=list)


class PartialSink:
    """Answers for a part. What it rejects depends on the record alone, so that a re-send meets the same refusal."""

    class Config(SinkConfig):
        """Shares of what happens."""

        type: Literal["partial"] = "partial"
        seed: int = 0
        """What everything is drawn from."""
        rejects_one_in: Annotated[int, Field(ge=0)] = 10
        """One in this many records is refused for good, chosen by its id; 0 for none."""
        kept: Share = 0.2
        """Share of records named as kept."""
        unnamed: Share = 0.2
        """Share of records named nowhere; they are kept too."""
        doubtful: Share = 0.3
        """Share of answers whose kept records may have landed; half of those records did."""
        raises: Share = 0.2
        """Share of sends that raise an error for the whole batch, each kind in turn."""
        too_large_above: Annotated[int, Field(ge=1)] | None = None
        """Refuse the size of batches of more records than this."""

    proof: ClassVar[Literal["delivered", "received", "none"]] = "delivered"
    default_format: ClassVar[str] = "raw"

    ERRORS: ClassVar[tuple[str, ...]] = ("Retryable", "Retryable sent", "Held", "AuthFailed", "PayloadTooLarge")

    def __init__(self, config: PartialSink.Config, context: SinkContext) -> None:
        self._config = config
        self._random = Random(config.seed)
        self._slots = context.slots
        self._errors = 0
        self.ledger = Ledger()
        self.closed = False

    @property
    def target(self) -> str:
        return "partial:memory"

    def refuses(self, document_id: str) -> bool:
        """Return whether this sink will never take the record."""
        one_in = self._config.rejects_one_in
        return one_in > 0 and zlib.crc32(document_id.encode()) % one_in == 0

    async def send(self, batch: Batch) -> Delivery:
        await asyncio.sleep(0)
        assert 0 <= batch.slot < self._slots, "the lane used a slot that there is not"
        self.ledger.sends += 1
        if self._config.too_large_above is not None and len(batch.records) > self._config.too_large_above:
            self.ledger.raised["PayloadTooLarge"] += 1
            raise PayloadTooLarge(f"{len(batch.records)} records are too many")
        if self._random.random() < self._config.raises:
            self._raise(batch)
        return self._answer(batch)

    async def probe(self) -> list[Finding]:
        return [Finding("partial", ok=True, detail="always there")]

    async def close(self) -> None:
        self.closed = True

    def _answer(self, batch: Batch) -> Delivery:
        accepted, kept, doubtful = [], [], self._random.random() < self._config.doubtful
        rejected: dict[int, Rejection] = {}
        for position, record in enumerate(batch.records):
            if self.refuses(record.id):
                rejected[position] = Rejection("refused", "a made-up reason")
                self.ledger.rejected.add(record.id)
                continue
            drawn = self._random.random()
            if drawn >= self._config.kept + self._config.unnamed:
                accepted.append(position)
                self.ledger.landed[record.id] += 1
                self.ledger.accepted.add(record.id)
                continue
            if drawn < self._config.kept:
                kept.append(position)
            if doubtful and self._random.random() < 0.5:
                self.ledger.landed[record.id] += 1
        return Delivery(accepted=accepted, rejected=rejected, kept=kept, doubtful=doubtful, reason="a part only")

    def _raise(self, batch: Batch) -> None:
        """Raise the next kind of error; a batch of one is never too large, for that would reject it."""
        kind = self.ERRORS[self._errors % len(self.ERRORS)]
        self._errors += 1
        if kind == "PayloadTooLarge" and len(batch.records) == 1:
            return
        self.ledger.raised[kind] += 1
        match kind:
            case "Retryable":
                raise Retryable("busy", kind="server_error", retry_after=0.001)
            case "Retryable sent":
                for record in batch.records:
                    if not self.refuses(record.id) and self._random.random() < 0.5:
                        self.ledger.landed[record.id] += 1
                raise Retryable("connection reset while waiting for the answer", kind="reset", sent=True)
            case "Held":
                raise Held("The template is missing.", fix="Run setup.", kind="setup_missing")
            case "AuthFailed":
                raise AuthFailed("The key is refused.", fix="Put a new key into the file.")
            case _:
                raise PayloadTooLarge("too large")
