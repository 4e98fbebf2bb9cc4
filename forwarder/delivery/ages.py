"""How old events are when a sink has them: from our reading to the acceptance, counted by stretches, not one by one.

What is counted says how well delivery keeps pace with what happens. So history that is fetched, what is found by
looking again, replays and heartbeats are left out: they are late by what they are. Live events that wait behind such a
flood are counted.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.records.lateness import brings_live_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forwarder.contracts import Clock
    from forwarder.observe.reports import LaneReport
    from forwarder.spool.contract import Chunk, Range

_POLLS = 2
"""An event should be accepted so many poll intervals after it was read."""

_LEAST = 60.0
"""Seconds that a sink has at least: confirmations are asked for every few seconds, however often the source is."""


def objective_of(every: Iterable[float], gathers_for: float) -> float:
    """Return within how many seconds a sink should accept what was read.

    Args:
        every: How often each source is asked, seconds.
        gathers_for: How long the sink gathers events before it stores them, seconds.
    """
    return max(_LEAST, _POLLS * max(every, default=0.0)) + gathers_for


class DeliveryAges:
    """The stretches of one lane that are taken and not settled, and when they were read.

    Args:
        report: Counts.
        clock: Time of day: the moment of reading is kept over restarts.
    """

    def __init__(self, report: LaneReport, clock: Clock) -> None:
        self._report = report
        self._clock = clock
        self._taken: list[tuple[int, int, int, bool]] = []  # last number, first, read_ms, whether it is live; by number

    def take(self, chunk: Chunk) -> None:
        """Remember a stretch; they come by rising numbers."""
        is_live = chunk.origin.feed != HEARTBEAT and brings_live_events(chunk.reader)
        self._taken.append((chunk.last, chunk.first, chunk.read_ms, is_live))

    def forget(self, position: int) -> float:
        """Forget what is settled up to `position`; return when the oldest of the rest was read, epoch seconds, or 0."""
        del self._taken[: bisect_left(self._taken, (position + 1,))]
        return self._taken[0][2] / 1000 if self._taken else 0.0

    def count(self, accepted: Sequence[Range]) -> None:
        """Count what the sink has accepted; what was taken before this lane began, such as dead letters, is not."""
        taken, report, now = self._taken, self._report, self._clock.time()
        for first, last in accepted:
            at = bisect_left(taken, (first,))
            while at < len(taken) and taken[at][1] <= last:
                end, begin, read_ms, is_live = taken[at]
                if is_live:
                    report.observe_age(max(0.0, now - read_ms / 1000), min(end, last) - max(begin, first) + 1)
                at += 1
