"""Receipts of a sink that confirms late: which are open, until when, and what must be sent again.

Neither bodies nor records are kept, only the numbers a receipt stands for, as ranges: a thousand receipts for a
thousand records each are a few hundred KB. What was not confirmed is read from the spool once more, a batch at a time;
what was not confirmed `BREAKS` times is suspected: its next send waits for its receipts. No answer is no confirmation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from forwarder.contracts import Clock, Confirms, Held, Receipt, Record, Retryable, SinkConfig
from forwarder.contracts.log import get_logger
from forwarder.observe.reports import LaneReport
from forwarder.spool import ranges
from forwarder.spool.contract import Range

BREAKS = 3
"""So many receipts in a row without confirmation make an event suspected: a receiver that restarts twice loses two."""


class OpenReceipts:
    """The open receipts of one lane, and what must be sent again because its receipt was not confirmed."""

    def __init__(self, sink: Confirms, config: SinkConfig, *, clock: Clock, report: LaneReport) -> None:
        self._sink = sink
        self._within = config.confirm_within
        self._clock = clock
        self._report = report
        self._log = get_logger().bind(sink=report.name)
        self._open: dict[Receipt, tuple[float, int, list[Range]]] = {}
        self._awaited: dict[Receipt, asyncio.Future[bool]] = {}
        self._broken: list[list[Range]] = [[] for _ in range(BREAKS - 1)]  # at least so many times, and not kept since
        self._first_lost: list[tuple[Range, int]] = []  # of these: in which send
        self.unconfirmed: list[Range] = []
        self.suspected: list[Range] = []
        self.newest_confirmed = 0  # number of the newest send of which anything was confirmed

    def __len__(self) -> int:
        return len(self._open)

    @property
    def troubled(self) -> bool:
        """Whether anything that was not confirmed is still not."""
        return bool(self._broken[0])

    @property
    def newest_open(self) -> int:
        """The number of the newest send with an open receipt, or 0."""
        return max((begun for _, begun, _ in self._open.values()), default=0)

    def unproved_for(self) -> float | None:
        """Return for how many seconds the oldest receipt is open, once that is half of `confirm_within`."""
        oldest = min((deadline for deadline, _, _ in self._open.values()), default=None)
        waited = 0.0 if oldest is None else self._within - (oldest - self._clock.monotonic())
        return waited if waited >= self._within / 2 else None

    def add(self, receipt: Receipt, record: Record, begun: int = 0) -> None:
        """Remember that `receipt` stands for this record too; `begun` is the number of the send."""
        _, _, spans = self._open.setdefault(receipt, (self._clock.monotonic() + self._within, begun, []))
        if spans and spans[-1][1] == record.seq - 1:
            spans[-1] = (spans[-1][0], record.seq)
        else:
            spans.append((record.seq, record.seq))
        self._report.pending = len(self._open)

    async def confirmed(self, receipts: Collection[Receipt], stopped: asyncio.Event) -> dict[Receipt, bool] | None:
        """Wait until `ask` knows all of these; None when `stopped` comes first, and they are as any others then."""
        loop = asyncio.get_running_loop()
        self._awaited.update((receipt, loop.create_future()) for receipt in receipts)
        waiting = [self._awaited[receipt] for receipt in receipts]
        stop = asyncio.create_task(stopped.wait())
        try:
            while not stop.done() and not all(future.done() for future in waiting):
                left: set[asyncio.Future[Any]] = {stop, *(future for future in waiting if not future.done())}
                await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if not all(future.done() for future in waiting):
                return None
            return {receipt: future.result() for receipt, future in zip(receipts, waiting, strict=True)}
        finally:
            stop.cancel()
            for receipt in receipts:
                self._awaited.pop(receipt, None)

    async def ask(self) -> tuple[list[Range], list[Range]]:
        """Ask the sink; return what is confirmed, and the ranges that are not and must be sent again.

        Raises Retryable or Held when the sink cannot be asked and nothing is overdue.
        """
        answers: dict[Receipt, bool] = {}
        trouble: Retryable | Held | None = None
        if self._open:
            try:
                answers = dict(await self._sink.confirm(list(self._open)))
            except (Retryable, Held) as error:
                trouble = error
            except Exception as error:  # noqa: BLE001 -- the plugin boundary; told to the lane as what it is
                self._log.exception("sink_failed_to_confirm")
                trouble = Retryable(f"the sink failed to confirm: {type(error).__name__}")
        confirmed: list[Range] = []
        lost_in: list[tuple[Range, int]] = []
        now = self._clock.monotonic()
        for receipt, (deadline, begun, spans) in list(self._open.items()):
            answer = answers.get(receipt)
            if answer is None and now < deadline:
                continue
            del self._open[receipt]
            awaited = self._awaited.get(receipt)
            if awaited is not None and not awaited.done():
                awaited.set_result(bool(answer))
            if answer:
                confirmed.extend(spans)
                self.newest_confirmed = max(self.newest_confirmed, begun)
            elif awaited is not None:  # who waits for it has the records still
                self._report.errors["unconfirmed"] += 1
            else:
                self._report.errors["unconfirmed"] += 1
                lost_in.extend((span, begun) for span in spans)
        self._report.pending = len(self._open)
        if trouble is not None and not (confirmed or lost_in):
            raise trouble
        self.settled(confirmed)
        lost = ranges.merge(span for span, _ in lost_in)
        self._count(lost, lost_in)
        return confirmed, lost

    def _count(self, lost: list[Range], lost_in: list[tuple[Range, int]]) -> None:
        """Note once more that these were not confirmed, with the send of each."""
        self._first_lost += [
            (part, begun) for (first, last), begun in lost_in for part in ranges.outside(first, last, self._broken[0])
        ]
        often = [part for first, last in lost for part in ranges.inside(first, last, self._broken[-1])]
        rarely = [part for first, last in lost for part in ranges.outside(first, last, self._broken[-1])]
        self.suspected = ranges.merge([*self.suspected, *often])
        self.unconfirmed = ranges.merge([*self.unconfirmed, *rarely])
        for number, before in enumerate(self._broken):
            self._broken[number] = ranges.merge([*before, *lost])
            lost = [part for first, last in lost for part in ranges.inside(first, last, before)]

    def settled(self, spans: Iterable[Range]) -> None:
        """Forget that these were not confirmed before."""
        if self._broken[0]:
            done = ranges.merge(spans)
            self._broken = [
                [part for first, last in broken for part in ranges.outside(first, last, done)]
                for broken in self._broken
            ]
            self._first_lost = [
                (part, begun) for (first, last), begun in self._first_lost for part in ranges.outside(first, last, done)
            ]

    def lost_since(self, spans: Sequence[Range]) -> int:
        """Return the number of the send since which these were lost; what was taken of later ones is not like them.

        Of a single record, what was taken of the same send is not like it, either: that was all but this one.
        """
        sends = (begun for (first, last), begun in self._first_lost if ranges.inside(first, last, spans))
        return max(sends, default=0) - (ranges.count(spans) == 1)

    def take_unconfirmed(self, most: int) -> list[Range]:
        """Take the first `most` numbers of what must be sent again."""
        return _take(self.unconfirmed, most)

    def take_suspected(self, most: int) -> list[Range]:
        """Take the first `most` numbers of what is suspected."""
        return _take(self.suspected, most)

    def requeue(self, spans: list[Range], after: int, *, suspected: bool = False) -> None:
        """Put back what lies above `after` of ranges that were taken and could not all be read at once."""
        left = ranges.inside(after + 1, 2**62, spans)
        if suspected:
            self.suspected = ranges.merge([*self.suspected, *left])
        else:
            self.unconfirmed = ranges.merge([*self.unconfirmed, *left])


def _take(queue: list[Range], most: int) -> list[Range]:
    taken: list[Range] = []
    while queue and most > 0:
        first, last = queue.pop(0)
        end = min(last, first + most - 1)
        taken.append((first, end))
        most -= end - first + 1
        if end < last:
            queue.insert(0, (end + 1, last))
    return taken
