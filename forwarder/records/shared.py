"""What lanes share of an event, made by the first of them: its meaning, and its body where they write the same.

Lanes that are side by side read the same pages from the memory of the spool within a second. Which of them write the
same is decided by their settings (`look_of` in `assembly`); all else that decides a result is looked at here, event by
event, so it does not matter how a lane cuts what it takes, or what its filter leaves out.
"""

from __future__ import annotations

from collections import OrderedDict
from operator import is_
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forwarder.contracts import Late, Record

T = TypeVar("T")

MOST_BYTES = 4 * 2**20
"""Bytes of events, with what was rendered of them, that are kept for the next lane: one to three thousand events.
Lanes at the tip are a page or two apart, and more is only memory."""

EACH = 500
"""Bytes that an event counts for besides: what is made of a short one takes more memory than its bytes."""

LONGEST = 2**20
"""Bytes of an event that is made anew for each lane: kept, one of 8 MB may take 40 MB of memory."""


class _Made(msgspec.Struct, Generic[T], gc=False):
    raw: bytes
    late: Late | None
    result: T
    size: int


class Shared(Generic[T]):
    """Results of the newest events, by number.

    Invariant: a result is given again for the very same bytes in memory only, and only where they are late alike. So a
    lane whose privacy made other bytes of the event never gets what was made of the whole one, and what is read anew is
    made anew.

    Args:
        most: Bytes to keep.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._made: OrderedDict[int, _Made[T]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._made)

    def of(self, records: Sequence[Record], make: Callable[[Sequence[Record]], list[T]]) -> list[T]:
        """Return one result per record, in order, all kept or all made; they are read by many and changed by no one."""
        found = list(map(self._made.get, [record.seq for record in records]))
        known = [made for made in found if made is not None]
        if (
            len(known) == len(records)
            and all(map(is_, [made.raw for made in known], [record.raw for record in records]))
            and [made.late for made in known] == [record.late for record in records]
        ):
            return [made.result for made in known]
        results = make(records)
        for record, result in zip(records, results, strict=True):
            self._keep(record, result)
        while self.bytes > self._most:
            self.bytes -= self._made.popitem(last=False)[1].size
        return results

    def _keep(self, record: Record, result: T) -> None:
        size = EACH + len(record.raw) + (len(result) if isinstance(result, bytes) else 0)
        if size > LONGEST:
            return
        if before := self._made.pop(record.seq, None):
            self.bytes -= before.size
        self._made[record.seq] = _Made(record.raw, record.late, result, size)
        self.bytes += size
