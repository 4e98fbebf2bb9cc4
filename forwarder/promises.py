"""Receipts of a sink that confirms late: what is promised, until when, and what must be sent again.

Bodies are not kept: a promise that is broken is read from the spool once more. No answer is no confirmation.
"""

from __future__ import annotations

import structlog

from forwarder.contracts import Clock, Confirms, Held, Receipt, Record, Retryable, SinkConfig
from forwarder.settling import runs
from forwarder.spool.contract import Range
from forwarder.status import LaneReport


class Promises:
    """The open receipts of one lane."""

    def __init__(self, sink: Confirms, config: SinkConfig, *, clock: Clock, report: LaneReport) -> None:
        self._sink = sink
        self._within = config.confirm_within
        self._clock = clock
        self._report = report
        self._log = structlog.get_logger().bind(sink=report.name)
        self._open: dict[Receipt, tuple[float, list[Record]]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, receipt: Receipt, record: Record) -> None:
        """Remember that `receipt` stands for this record too."""
        # Only the number and the source are needed later: the bodies go.
        stub = Record(record.seq, record.origin, record.id, b"", source=record.source)
        self._open.setdefault(receipt, (self._clock.monotonic() + self._within, []))[1].append(stub)
        self._report.pending = len(self._open)

    async def ask(self) -> tuple[list[Record], list[Range]]:
        """Ask the sink; return the records that are confirmed and the ranges that must be sent again.

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
        confirmed: list[Record] = []
        lost: list[int] = []
        now = self._clock.monotonic()
        for receipt, (deadline, records) in list(self._open.items()):
            answer = answers.get(receipt)
            if answer is None and now < deadline:
                continue
            del self._open[receipt]
            if answer:
                confirmed.extend(records)
            else:
                self._report.errors["unconfirmed"] += 1
                lost.extend(record.seq for record in records)
        self._report.pending = len(self._open)
        if trouble is not None and not (confirmed or lost):
            raise trouble
        return confirmed, runs(sorted(lost))
