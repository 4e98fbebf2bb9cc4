"""One sink that several lanes send to: the live one, and those of replays.

At most one send runs in each slot, whichever lane it is of; who waits for a slot gets it in turn. A sink may forget
what it is not asked for, and tells what became of a receipt once: so it is asked for the receipts of all lanes, and
what it says of another lane's is kept for that lane.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from forwarder.contracts import Batch, Confirms, Delivery, Held, Receipt, Retryable, SinkConfig, Warns
from forwarder.delivery.taps import Taps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from forwarder.contracts import Finding, Sink


class SharedSink:
    """A sink, and what its lanes must know of each other.

    Args:
        sink: Built.
        slots: How many sends may run at once.
        taps: Shown what it is sent.
    """

    def __init__(self, sink: Sink, slots: int, taps: Taps | None = None) -> None:
        self.sink = sink
        self.taps = Taps() if taps is None else taps
        self.slots = [asyncio.Lock() for _ in range(slots)]
        self._open: dict[Receipt, ConfirmingLaneSink] = {}

    def end(self, slot: int | None = None) -> LaneSink:
        """Return the sink as one more lane has it; `slot` is the only one that it uses. Its lane calls `leave`."""
        return ConfirmingLaneSink(self, slot) if isinstance(self.sink, Confirms) else LaneSink(self, slot)

    def add(self, end: ConfirmingLaneSink, receipts: Iterable[Receipt]) -> None:
        """Ask for these, too, whichever lane asks."""
        self._open.update(dict.fromkeys(receipts, end))

    def forget(self, end: ConfirmingLaneSink, but: Collection[Receipt] = ()) -> None:
        """Ask for nothing more of a lane but these."""
        self._open = {receipt: owner for receipt, owner in self._open.items() if owner is not end or receipt in but}

    async def confirm(self) -> None:
        """Ask for the open receipts of every lane, and hand each lane what the sink says of its own."""
        sink, owners = self.sink, dict(self._open)
        if isinstance(sink, Confirms):
            for receipt, answer in (await sink.confirm(list(owners))).items():
                if receipt in owners:
                    owners[receipt].answers[receipt] = answer
                    self._open.pop(receipt, None)


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
            delivery = await self._sink.send(batch)
        if self._shared.taps and isinstance(delivery, Delivery):
            self._shared.taps.sent(batch.records, delivery)
        return delivery

    async def probe(self) -> list[Finding]:
        """Say whether the destination can be reached."""
        return await self._sink.probe()

    async def close(self) -> None:
        """Do nothing: the sink stays open for the other lanes."""

    def leave(self) -> None:
        """Say that the lane has come to its end."""


class ConfirmingLaneSink(LaneSink):
    """The same of a sink that hands out receipts.

    Attributes:
        answers: What the sink said of its open receipts when another lane asked.
    """

    def __init__(self, shared: SharedSink, slot: int | None) -> None:
        super().__init__(shared, slot)
        self.answers: dict[Receipt, bool] = {}
        self._new: set[Receipt] = set()  # handed out since the lane asked last

    async def send(self, batch: Batch) -> Delivery:
        """Send once the slot is free, and remember the receipts."""
        delivery = await super().send(batch)
        if isinstance(delivery, Delivery) and delivery.pending:
            receipts = set(delivery.pending.values())
            self._shared.add(self, receipts)
            self._new |= receipts
        return delivery

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        """Return what became of these receipts, as far as the sink says; raises what the sink raises."""
        wanted, self._new = {*receipts, *self._new}, set()  # its lane may not have noted the newest ones yet
        self.answers = {receipt: answer for receipt, answer in self.answers.items() if receipt in wanted}
        known = self.answers.keys() & set(receipts)
        self._shared.forget(self, but=wanted)
        self._shared.add(self, wanted - self.answers.keys())
        try:
            await self._shared.confirm()
        except (Retryable, Held):
            if not known:  # else what is not known is asked for again, and fails again
                raise
        return {receipt: self.answers.pop(receipt) for receipt in receipts if receipt in self.answers}

    def leave(self) -> None:
        """Ask for nothing more: what had no answer is in doubt, and the next lane sends it again."""
        self._shared.forget(self)
