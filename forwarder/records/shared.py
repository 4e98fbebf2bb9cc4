"""What lanes share of an event, made by the first of them: its meaning, and its body where they write the same.

Lanes that are side by side read the same pages from the memory of the spool within a second. Which of them write the
same is decided by their settings (`look_of` in `assembly`); all else that decides a result is looked at here, event by
event, so it does not matter how a lane cuts what it takes, or what its filter leaves out.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import groupby
from operator import is_
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forwarder.contracts import Late, Record

T = TypeVar("T")

MOST_BYTES = 4 * 2**20
"""Bytes of events, with what was rendered of them, that are kept for the next lane: one to three thousand events.
Lanes at the tip are a page or two apart, and more is only memory."""

EACH = 500
"""Bytes that an event counts for besides: what is made of a short one takes more memory than its bytes."""

LONGEST = 2**20
"""Bytes of events of one block that are made anew for each lane: kept, one of 8 MB may take 40 MB of memory."""

BLOCK = 32
"""Numbers that are kept together: to keep each event by itself takes longer than to look for it."""


class _Block(msgspec.Struct, Generic[T], gc=False):
    """What was made of `BLOCK` numbers in a row, each at its place; where there are no bytes, nothing was."""

    raws: list[bytes | None]
    late: list[Late | None]
    results: list[T | None]
    size: int = 0

    def of(self, places: Sequence[int]) -> _Block[T]:
        """Return what is at some places, in order."""
        return _Block(*([kept[at] for at in places] for kept in (self.raws, self.late, self.results)))  # type: ignore[arg-type]


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
        self._blocks: OrderedDict[int, _Block[T]] = OrderedDict()
        self.bytes = 0

    def of(self, records: Sequence[Record], make: Callable[[Sequence[Record]], list[T]]) -> list[T]:
        """Return one result per record, in order; they are read by many and changed by no one.

        Of a block, all are kept or all are made.
        """
        if records and records[0].seq // BLOCK == records[-1].seq // BLOCK:
            return self._of_block(records, make)
        blocks = groupby(records, key=lambda record: record.seq // BLOCK)
        return [result for _, block in blocks for result in self._of_block(list(block), make)]

    def _of_block(self, records: Sequence[Record], make: Callable[[Sequence[Record]], list[T]]) -> list[T]:
        number, begin = divmod(records[0].seq, BLOCK)
        raws, late = [record.raw for record in records], [record.late for record in records]
        block = self._blocks.get(number)
        if block is not None:
            at = slice(begin, begin + len(records))
            if records[-1].seq - records[0].seq >= len(records):  # some are left out
                block = block.of([record.seq % BLOCK for record in records])
                at = slice(None)
            if all(map(is_, block.raws[at], raws)) and block.late[at] == late:
                return block.results[at]  # type: ignore[return-value]  # where there are bytes there is a result
        results = make(records)
        if sum(map(len, raws)) <= LONGEST:
            self._keep(number, zip([record.seq % BLOCK for record in records], raws, late, results, strict=True))
        return results

    def _keep(self, number: int, made: Iterable[tuple[int, bytes, Late | None, T]]) -> None:
        block = self._blocks.pop(number, None) or _Block([None] * BLOCK, [None] * BLOCK, [None] * BLOCK)
        self.bytes -= block.size
        for at, raw, late, result in made:
            block.raws[at], block.late[at], block.results[at] = raw, late, result
        kept = [raw for raw in block.raws if raw is not None]
        bodies = sum(len(result) for result in block.results if isinstance(result, bytes))
        block.size = EACH * len(kept) + sum(map(len, kept)) + bodies
        self._blocks[number] = block
        self.bytes += block.size
        while self.bytes > self._most:
            self.bytes -= self._blocks.popitem(last=False)[1].size
