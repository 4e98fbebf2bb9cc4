"""Late is not new: what was found long after it happened says so, and a sink may keep it apart or do without it.

Who brought a page says what its events are: looking again found what was `recovered`, history that was asked for is
`backfill`. What any other reader brought is live, unless it was old when it was read: then it is `late`. A walk that
ends at the present is often there before `tail` has looked: what it reads as it happens is live as well.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.event import Late

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Mapping

    from forwarder.contracts import LateConfig, Record
    from forwarder.contracts.event import LateKind

KINDS: dict[str, LateKind] = {
    "heal": "recovered",
    "reconcile": "recovered",
    "backfill": "backfill",
    "import": "backfill",
    "replay": "backfill",
}
"""What the events of a reader are, by the first word of its name."""

_TO_THE_PRESENT = {"heal", "backfill"}
"""Readers that go on until they meet `tail`, and read what happens meanwhile."""

_YOUNG_MS = 300_000
"""How old what they read as it happens is at most; a sink whose `after` is shorter has that. A longer one is about what
the sink does with old events, and makes no day of history live."""

_AGAIN = "replay"
"""Reads what was read before, and may have been in time then."""

_NO_TIME = "time_of_reading"
"""Mark of an event that carries no time of its own."""

HELD_BACK = "held_back"
"""What is counted beside the kinds."""


class Lateness:
    """Finds the late events of one lane.

    Args:
        config: What the sink wants of them.
        counts: Counts them by kind, and those held back.
        now: Returns epoch seconds.
    """

    def __init__(self, config: LateConfig, counts: Counter[str], now: Callable[[], float] = time.time) -> None:
        self._after_ms = round(config.after * 1000)
        self._young_ms = min(self._after_ms, _YOUNG_MS)
        self._events = config.events
        self._counts = counts
        self._now = now

    @property
    def chooses(self) -> bool:
        """Whether the sink treats late events otherwise than others, so that the time of every event matters."""
        return self._events != "deliver"

    def find(self, records: list[Record]) -> dict[int, Late]:
        """Return how late records of one page are, by number; nothing for those that came as they happened."""
        if not records:
            return {}
        reader, read_ms = records[0].reader, records[0].read_ms
        word = _word(reader)
        kind = KINDS.get(word)
        if kind is None:
            latest = read_ms - self._after_ms
            old = [record for record in records if record.event is not None and record.event.time_ms <= latest]
            return {record.seq: Late("late", _seconds(record, read_ms), reader) for record in old}
        live = read_ms - self._young_ms if word in _TO_THE_PRESENT else math.inf
        at_ms = round(self._now() * 1000) if word == _AGAIN else read_ms
        found: dict[int, Late] = {}
        for record in records:
            event = record.event
            if event is None or _NO_TIME in event.marks:
                found[record.seq] = Late(kind, None, reader)
            elif event.time_ms <= live:
                found[record.seq] = Late(kind, max(0, (at_ms - event.time_ms) // 1000), reader)
        return found

    def held_back(self, found: Mapping[int, Late]) -> set[int]:
        """Return the numbers of those that the sink is to do without, and count what was found, all of one kind."""
        out = {seq for seq, late in found.items() if self._is_old(late)} if self._events == "hold_back" else set()
        if out:
            self._counts[HELD_BACK] += len(out)
        if len(out) < len(found):
            self._counts[next(iter(found.values())).kind] += len(found) - len(out)
        return out

    def mark(self, records: Iterable[Record], found: Mapping[int, Late]) -> None:
        """Write on records how late they are, but not into their meaning."""
        elsewhere = self._events == "elsewhere"
        for record in records:
            late = found.get(record.seq)
            if late is not None:
                record.late = late
                record.marks = (*record.marks, late.kind)
                if elsewhere:
                    record.elsewhere = self._is_old(late)

    def _is_old(self, late: Late) -> bool:
        return late.seconds is not None and late.seconds * 1000 >= self._after_ms


def tell(records: Iterable[Record]) -> None:
    """Write into the meaning of records how late they are; it is copied, for other lanes may have the same one."""
    for record in records:
        late, event = record.late, record.event
        if late is not None and event is not None and event.late is not late:
            record.event = msgspec.structs.replace(event, late=late, marks=(*event.marks, late.kind))


def brings_live_events(reader: str) -> bool:
    """Tell by who brought a page whether it is of what happens, and neither history nor found by looking again."""
    return _word(reader) not in KINDS


def _word(reader: str) -> str:
    """Return the first word of the name of a reader."""
    return reader.split(":", maxsplit=1)[0].split("/", maxsplit=1)[0]


def _seconds(record: Record, at_ms: int) -> int | None:
    event = record.event
    if event is None or _NO_TIME in event.marks:
        return None
    return max(0, (at_ms - event.time_ms) // 1000)
