"""One send of a batch, and what the sink decided: noted for the settlement, promised, or raised as what is left.

Nothing is decided here about what is left; that is `sending`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from forwarder.contracts import (
    Batch,
    Clock,
    ContentRefused,
    Delivery,
    Held,
    PayloadTooLarge,
    Record,
    Rejection,
    Retryable,
    Sink,
    SinkTraits,
)
from forwarder.contracts.log import get_logger
from forwarder.delivery.isolation import Evidence
from forwarder.delivery.receipts import OpenReceipts
from forwarder.delivery.settlement import Settler, runs
from forwarder.delivery.undelivered import Undelivered
from forwarder.observe.reports import LaneReport


class _Noted(NamedTuple):
    """What is left of a batch, what of it was refused while nothing was taken, and `odd` as in `Undelivered`."""

    left: list[Record]
    refused: dict[int, Rejection]
    odd: bool


class Attempts:
    """Sends for one lane, each batch once.

    Args:
        sink: Where to.
        settler: Takes what is decided.
        receipts: Take receipts; None for a sink without any.
        evidence: Learns what was taken.
        report: Counts.
        clock: Measures sends.
        stopped: The lane stops, and waits for no receipt any more.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        settler: Settler,
        receipts: OpenReceipts | None,
        evidence: Evidence,
        report: LaneReport,
        clock: Clock,
        stopped: asyncio.Event,
    ) -> None:
        self._sink = sink
        self._settler = settler
        self._receipts = receipts
        self._evidence = evidence
        self._report = report
        self._clock = clock
        self._stopped = stopped
        self._log = get_logger().bind(sink=report.name)

    async def send(self, slot: int, todo: list[Record], *, awaited: bool) -> float:
        """Send once; return the seconds the sink asks to rest.

        Args:
            slot: Where.
            todo: What.
            awaited: Wait for the receipts, too, so that success means taken.

        Raises:
            Undelivered: With what is left.
            PayloadTooLarge: As the sink raises it, for more than one record.
        """
        batch = Batch(todo, slot)
        began, number = self._clock.monotonic(), self._evidence.begin()
        try:
            delivery = await self._sink.send(batch)
            if not isinstance(delivery, Delivery):
                raise TypeError("send() gave no Delivery")  # noqa: TRY301 -- as any other fault of a sink
        except (Retryable, Held, ContentRefused) as error:
            raise Undelivered.from_error(todo, error) from error
        except PayloadTooLarge as error:
            if len(todo) > 1:
                raise
            why = {todo[0].seq: Rejection("too_large", str(error))}
            raise Undelivered(todo, "too_large", str(error), suspect=True, rejections=why) from error
        except (Exception, asyncio.CancelledError) as error:  # the plugin boundary: a fault of a sink ends no lane
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise  # it is we who are cancelled, not something inside the sink
            self._log.exception("sink_failed")
            reason = f"the sink failed: {type(error).__name__}"
            raise Undelivered(todo, "other", reason, doubtful=True, suspect=True) from error
        self._report.batches += 1
        self._report.bytes += batch.size
        self._report.observe_send(self._clock.monotonic() - began)
        self._report.duplicates += delivery.duplicates
        noted = await self._apply(todo, delivery, number)
        lost = await self._unconfirmed(todo, delivery) if awaited and delivery.pending else []
        if lost:
            reason, fix = SinkTraits.of(self._sink).unconfirmed or ("the sink did not confirm what it was sent", "")
            odd = _stand_out(lost, set(delivery.pending).difference(lost))
            left = sorted([*(todo[position] for position in lost), *noted.left], key=lambda record: record.seq)
            raise Undelivered(left, "unconfirmed", reason, fix=fix, doubtful=True, suspect=True, odd=odd)
        if noted.refused:
            words = next(iter(noted.refused.values()))
            reason = f"{words.reason} ({words.detail})" if words.detail else words.reason
            raise Undelivered(
                noted.left,
                "refused",
                reason,
                floor=delivery.retry_after,
                doubtful=delivery.doubtful,
                suspect=True,
                rejections=noted.refused,
            )
        if noted.left:
            reason = delivery.reason or "the sink kept a part of the batch"
            raise Undelivered(
                noted.left,
                "partial",
                reason,
                fix=delivery.fix,
                floor=delivery.retry_after,
                doubtful=delivery.doubtful,
                suspect=delivery.suspect,
                busy=not delivery.suspect,
                odd=noted.odd,
            )
        return delivery.retry_after or 0.0

    async def _apply(self, todo: list[Record], delivery: Delivery, number: int) -> _Noted:
        """Note what the sink decided; what it names nowhere is not decided."""
        rest = delivery.rejected or delivery.pending or delivery.kept
        if not rest and isinstance(delivery.accepted, range) and delivery.accepted == range(len(todo)):
            self._settler.accept(todo)
            self._evidence.taken(number)
            return _Noted([], {}, odd=False)
        named = [*delivery.accepted, *delivery.rejected, *delivery.pending, *delivery.kept]
        receipts = self._receipts
        if (
            len(set(named)) != len(named)
            or any(not 0 <= position < len(todo) for position in named)
            or (delivery.pending and receipts is None)
        ):
            self._log.error("sink_broke_the_contract", named=len(named), sent=len(todo))
            raise Undelivered(todo, "other", "the sink's answer contradicts itself", doubtful=True)
        self._settler.accept([todo[position] for position in sorted(delivery.accepted)])
        if delivery.accepted:
            self._evidence.taken(number)
        if receipts is not None:
            for position, receipt in delivery.pending.items():
                receipts.add(receipt, todo[position], number)
        taken = {*delivery.accepted, *delivery.pending}
        refused: Mapping[int, Rejection] = delivery.rejected
        if taken:
            for position, rejection in refused.items():
                await self.reject(todo[position], rejection)
            taken |= set(refused)
            refused = {}
        left = [position for position in range(len(todo)) if position not in taken]
        return _Noted(
            [todo[position] for position in left],
            {todo[position].seq: why for position, why in refused.items()},
            odd=_stand_out(left, taken),
        )

    async def _unconfirmed(self, todo: list[Record], delivery: Delivery) -> list[int]:
        """Wait for the receipts of a send; return the positions of what was not confirmed."""
        assert self._receipts is not None  # noqa: S101 -- `_apply` refuses receipts of any other sink
        receipts = set(delivery.pending.values())
        answers = await self._receipts.confirmed(receipts, self._stopped)
        if answers is None:  # the lane stops: some may be lost already, and all of it is sent again by the next lane
            self._settler.doubt(runs([todo[position].seq for position in delivery.pending]), "unconfirmed")
            return []
        return [position for position, receipt in sorted(delivery.pending.items()) if not answers[receipt]]

    async def reject(self, record: Record, why: Rejection) -> None:
        """Make a dead letter of a record."""
        await self._settler.reject(record, why)
        self.forget([record])

    def forget(self, records: Collection[Record]) -> None:
        """Take these out of what was never confirmed: their fate is decided, or they wait apart."""
        if self._receipts is not None:
            self._receipts.settled((record.seq, record.seq) for record in records)


def _stand_out(left: Sequence[int], taken: Collection[int]) -> bool:
    """Whether others of the same answer were taken behind each of these positions, or all others but one."""
    return bool(taken and left) and (len(left) == 1 or max(left) < max(taken))
