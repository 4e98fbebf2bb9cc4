"""One sink that several lanes send to: the live one, and those of replays.

At most one send runs in each slot, whichever lane it is of; who waits for a slot gets it in turn. A sink may forget
what it is not asked for, and tells what became of a receipt once: so it is asked for the receipts of all lanes, and
what it says of another lane's is kept for that lane.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from forwarder.contracts import Batch, Confirms, Delivery, Held, Receipt, Retryable, SinkConfig, Warns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.contracts import Finding, Sink


class SharedSink:
    """A sink, and what its lanes must know of each other.

    Args:
        sink: Built.
        slots: How many sends may run at once.
    """

    def __init__(self, sink: Sink, slots: int) -> None:
        self.sink = sink
        self.slots = [asyncio.Lock() for _ in range(slots)]
        self._ends: list[LaneSink] = []

    def end(self, slot: int | None = None) -> LaneSink:
        """Return the sink as one more lane has it; `slot` is the only one that it uses. `close` ends its use."""
        end = ConfirmingLaneSink(self, slot) if isinstance(self.sink, Confirms) else LaneSink(self, slot)
        self._ends.append(end)
        return end

    def leave(self, end: LaneSink) -> None:
        """Note that a lane has no receipts any more."""
        if end in self._ends:
            self._ends.remove(end)

    async def confirm(self, asking: ConfirmingLaneSink) -> None:
        """Ask for the open receipts of every lane, and keep what the sink says of each."""
        sink = self.sink
        if not isinstance(sink, Confirms):
            return
        owners = {
            receipt: end for end in self._ends if isinstance(end, ConfirmingLaneSink) for receipt in end.receipts
        } | dict.fromkeys(asking.receipts, asking)
        answers = await sink.confirm(list(owners))
        for receipt, answer in answers.items():
            if receipt in owners:
                owners[receipt].answers[receipt] = answer


class LaneSink:
    """A sink as one of its lanes has it."""

    Config: ClassVar[type[SinkConfig]] = SinkConfig
    default_format: ClassVar[str] = ""

    def __init__(self, shared: SharedSink, slot: int | None) -> None:
        self._shared = shared
        self._sink = shared.sink
        self._slot = slot
        if isinstance(self._sink, Warns):
            self.warning = self._sink.warning

    def __getattr__(self, name: str) -> Any:
        """Return what the sink declares of itself besides: its traits."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._sink, name)

    @property
    def proof(self) -> Any:
        """What an acceptance is worth."""
        return self._sink.proof

    @property
    def target(self) -> str:
        """What is written to."""
        return self._sink.target

    async def send(self, batch: Batch) -> Delivery:
        """Send once the slot is free."""
        if self._slot is not None:
            batch = Batch(batch.records, self._slot)
        async with self._shared.slots[batch.slot]:
            return await self._sink.send(batch)

    async def probe(self) -> list[Finding]:
        """Say whether the destination can be reached."""
        return await self._sink.probe()

    async def close(self) -> None:
        """Let the other lanes go on with it; the sink stays open."""
        self._shared.leave(self)


class ConfirmingLaneSink(LaneSink):
    """The same of a sink that hands out receipts.

    Attributes:
        receipts: Those that are open: what the lane asked for last, and what it was given since.
        answers: What the sink said of them when another lane asked.
    """

    def __init__(self, shared: SharedSink, slot: int | None) -> None:
        super().__init__(shared, slot)
        self.receipts: set[Receipt] = set()
        self.answers: dict[Receipt, bool] = {}
        self._given: set[Receipt] = set()

    async def send(self, batch: Batch) -> Delivery:
        """Send once the slot is free, and remember the receipts."""
        delivery = await super().send(batch)
        if isinstance(delivery, Delivery) and delivery.pending:
            given = set(delivery.pending.values())
            self.receipts |= given
            self._given |= given
        return delivery

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        """Return what became of these receipts, as far as the sink says; raises what the sink raises."""
        self.receipts = {*receipts, *self._given}  # what was given just now may not be among them yet
        self._given = set()
        known = {receipt: self.answers[receipt] for receipt in receipts if receipt in self.answers}
        self.answers = {receipt: answer for receipt, answer in self.answers.items() if receipt in self.receipts}
        try:
            await self._shared.confirm(self)
        except (Retryable, Held):
            if not known:  # else what is not known is asked for again, and fails again
                raise
        found = {receipt: self.answers.pop(receipt) for receipt in receipts if receipt in self.answers}
        self.receipts -= found.keys()
        return found
