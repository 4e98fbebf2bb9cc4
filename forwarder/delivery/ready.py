"""Records of one lane that wait to be sent, in order, and how much memory they and those on their way keep. Pure."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from forwarder.records.maker import HEAVY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.contracts import BatchConfig, Record


ON_THE_WAY = 8 * 2**20
"""Bytes that are sent at once, but for one batch alone. The limit of a batch counts where it is higher."""


LEAST_AHEAD, MOST_AHEAD = 16, 1000
"""Records that are taken ahead so that some can be lent; a stretch of bad ones that is longer holds the lane."""


class Ready:
    """The queue between the taking and the sending.

    Args:
        limits: Of a batch.

    Attributes:
        bytes: What the records count for.
        since: When the first of them came, monotonic seconds.
    """

    def __init__(self, limits: BatchConfig) -> None:
        self.bytes = 0
        self.since = 0.0
        self._limits = limits
        self._records: list[Record] = []
        self._weights: list[int] = []  # of each of them
        self._on_the_way: dict[int, int] = {}  # bytes of the batch in each slot
        self._lent = 0
        self._reach = 0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Sequence[Record], now: float) -> None:
        """Take records behind those that wait."""
        if not self._records:
            self.since = now
        weights = list(map(_weight, records))
        self._records += records
        self._weights += weights
        self.bytes += sum(weights)

    def fills_batch(self) -> bool:
        """Whether they reach a limit of a batch."""
        return len(self._records) >= self._limits.events or self.bytes >= self._limits.bytes

    def waits_its_turn(self) -> bool:
        """Whether the next record is so large that others on their way must come back first."""
        if not self._on_the_way:
            return False
        most = max(ON_THE_WAY, self._limits.bytes)
        return sum(self._on_the_way.values()) + self._weights[0] > most

    def cut(self, slot: int) -> list[Record]:
        """Take a batch for a slot: the first limit it reaches ends it, but it holds at least one record."""
        sizes = list(accumulate(self._weights[: self._limits.events]))
        count = max(1, bisect_right(sizes, self._limits.bytes))
        batch = self._records[:count]
        del self._records[:count], self._weights[:count]
        self.bytes -= sizes[count - 1]
        self._on_the_way[slot] = sizes[count - 1]
        return batch

    def came_back(self, slot: int) -> None:
        """Note that nothing is on its way in a slot any more."""
        self._on_the_way.pop(slot, None)

    def wanted(self) -> int:
        """Return how many more to take: so that a batch is ready, and more after records that were lent came back."""
        if self.fills_batch() and (len(self._records) >= self._reach or self.bytes >= ON_THE_WAY):
            return 0
        return max(self._limits.events, self._reach - len(self._records))

    def lend(self) -> Record | None:
        """Lend a record, to see whether the sink takes it: the newest, then others all over the queue."""
        if not self._records:
            return None
        place = -1 if self._lent % 2 == 0 else self._lent // 2 * 7919 % len(self._records)
        self._lent += 1
        self.bytes -= self._weights.pop(place)
        return self._records.pop(place)

    def give_back(self, record: Record) -> None:
        """Take back a record that was lent and not taken, to its place; the next one comes from further behind."""
        place = bisect_right(self._records, record.seq, key=lambda one: one.seq)
        self._records.insert(place, record)
        self._weights.insert(place, _weight(record))
        self.bytes += self._weights[place]
        self._reach = min(max(LEAST_AHEAD, 2 * len(self._records)), MOST_AHEAD)

    def forget_lent(self) -> None:
        """Note that nothing is compared any more."""
        self._lent = self._reach = 0


def _weight(record: Record) -> int:
    """Return the bytes that a record counts for: a short body of a heavy event keeps all of that event in memory."""
    raw = len(record.raw)
    return max(raw, len(record.body)) if raw >= HEAVY else len(record.body)
