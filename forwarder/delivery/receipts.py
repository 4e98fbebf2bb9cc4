"""Receipts of a sink that confirms late: what is promised, until when, and what must be sent again.

Neither bodies nor records are kept, only the numbers a receipt stands for, as ranges: a thousand receipts for a
thousand records each are a few hundred KB. A promise that is broken is read from the spool once more, a batch at a
time. No answer is no confirmation.
"""

from __future__ import annotations

import structlog

from forwarder.contracts import Clock, Confirms, Held, Receipt, Record, Retryable, SinkConfig
from forwarder.spool import ranges
from forwarder.spool.contract import Range
from forwarder.status import LaneReport

Span = tuple[int, int, int]
"""Source number, first and last sequence number, both included."""


class Promises:
    """The open receipts of one lane, and what must be sent again because its promise was broken."""

    def __init__(self, sink: Confirms, config: SinkConfig, *, clock: Clock, report: LaneReport) -> None:
        self._sink = sink
        self._within = config.confirm_within
        self._clock = clock
        self._report = report
        self._log = structlog.get_logger().bind(sink=report.name)
        self._open: dict[Receipt, tuple[float, list[Span]]] = {}
        self.broken: list[Range] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, receipt: Receipt, record: Record) -> None:
        """Remember that `receipt` stands for this record too."""
        _, spans = self._open.setdefault(receipt, (self._clock.monotonic() + self._within, []))
        if spans and spans[-1][0] == record.source and spans[-1][2] == record.seq - 1:
            spans[-1] = (record.source, spans[-1][1], record.seq)
        else:
            spans.append((record.source, record.seq, record.seq))
        self._report.pending = len(self._open)

    async def ask(self) -> tuple[list[Span], list[Range]]:
        """Ask the sink; return what is confirmed, and the ranges that are broken now (they are in `broken` too).

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
        confirmed: list[Span] = []
        lost: list[Range] = []
        now = self._clock.monotonic()
        for receipt, (deadline, spans) in list(self._open.items()):
            answer = answers.get(receipt)
            if answer is None and now < deadline:
                continue
            del self._open[receipt]
            if answer:
                confirmed.extend(spans)
            else:
                self._report.errors["unconfirmed"] += 1
                lost.extend((first, last) for _, first, last in spans)
        self._report.pending = len(self._open)
        if trouble is not None and not (confirmed or lost):
            raise trouble
        lost = ranges.merge(lost)
        self.broken = ranges.merge([*self.broken, *lost])
        return confirmed, lost

    def take_broken(self, most: int) -> list[Range]:
        """Take the first `most` numbers of what must be sent again."""
        taken: list[Range] = []
        while self.broken and most > 0:
            first, last = self.broken.pop(0)
            end = min(last, first + most - 1)
            taken.append((first, end))
            most -= end - first + 1
            if end < last:
                self.broken.insert(0, (end + 1, last))
        return taken

    def give_back(self, spans: list[Range], after: int) -> None:
        """Put back what lies above `after` of ranges that were taken and could not all be read at once."""
        self.broken = ranges.merge([*self.broken, *ranges.inside(after + 1, 2**62, spans)])
