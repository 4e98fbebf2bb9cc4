"""Is a series of samples flat? Pure: samples in, words out.

What came before the end of the warm-up is left out. Three kinds of bounds: the floor, for memory, which swings by a tenth
within ten minutes; the slope of the least-squares line, for what swings less (the spool); and the difference of the medians
of the first and the last quarter, for what is counted (handles, threads, tasks). Only growth is a fault.

The spool is judged beside its ids, which stay for days. What they take was measured in the file after the run (`room`):
the pages around them are 2 % more than they count for, which is 5 MB of 10⁷ ids and no growth of anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import fmean, median

from bench.soak.room import Room
from bench.soak.samples import Sample

MB = 1e6
GOLDEN = 0.6180339887
"""Its multiples are spread most evenly over the unit."""


@dataclass(frozen=True, slots=True)
class Slope:
    """The line through all samples may rise by a share of the median an hour; `least` is noise at any length."""

    share: float
    least: float

    def judge(self, times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
        """Return by how much the series grew, and by how much it may."""
        seconds = times[-1] - times[0]
        return slope(times, values) * seconds, max(self.share * median(values) * seconds / 3600, self.least)


@dataclass(frozen=True, slots=True)
class Floor:
    """The least of the last quarter may be above that of the first by a share an hour; `least` is noise at any length.

    What is never given back raises the floor by all of itself. What swings is above it: a line through swings of 25 MB in ten
    minutes rises or falls by 7 MB in three quarters of an hour for no reason.
    """

    share: float
    least: float

    def judge(self, times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
        """Return by how much the floor rose, and by how much it may."""
        length = max(1, len(values) // 4)
        first, last = min(values[:length]), min(values[-length:])
        seconds = times[-length] - times[0]  # from the beginning of the one to that of the other
        return last - first, max(self.share * median(values) * seconds / 3600, self.least)


@dataclass(frozen=True, slots=True)
class Quarters:
    """The median of the last quarter may be above that of the first by so much."""

    most: float

    def judge(self, times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
        """Return by how much the series grew, and by how much it may."""
        del times
        first, last = quarters(values)
        return last - first, self.most


@dataclass(frozen=True, slots=True)
class Row:
    """What is judged: its name, how it is read from a sample, what a unit is of the figure, and its bound."""

    name: str
    read: Callable[[Sample], float]
    unit: str
    scale: float
    bound: Floor | Slope | Quarters


def rows(per_second: float, more: float = 0.0) -> list[Row]:
    """Return what is judged in a run in which so many events happen a second.

    Args:
        more: What each byte that ids count for takes beside itself.
    """
    return [
        Row("memory", lambda sample: sample.memory, "MB", MB, Floor(0.03, 2 * MB)),
        Row("open handles", lambda sample: sample.handles, "", 1, Quarters(2)),
        Row("threads", lambda sample: sample.threads, "", 1, Quarters(0)),
        Row("tasks", lambda sample: sample.tasks, "", 1, Quarters(5)),
        Row("spool beside its ids", lambda sample: sample.spool - more * sample.ids, "MB", MB, Slope(0.05, 4 * MB)),
        Row("write-ahead log", lambda sample: sample.wal, "MB", MB, Quarters(4 * MB)),
        Row("waiting events", lambda sample: sample.waiting, "", 1, Quarters(10 * per_second)),
        Row("memory of the harness", lambda sample: sample.harness, "MB", MB, Slope(0.03, 8 * MB)),
    ]


def ids_take_too_much(room: Room) -> str:
    """Say so when ids take more than they count for by 3 %, or by half a megabyte when there are few; else nothing."""
    more = room.taken - room.counted
    if more <= max(0.03 * room.counted, 0.5 * MB):
        return ""
    return f"the ids count for {room.counted / MB:,.1f} MB and take {more / MB:,.1f} MB more"


def moments(every: float) -> Iterator[float]:
    """Yield when to look, seconds: once in each `every`, at a place in it that is never the same for long.

    What the daemon does every half minute moves the spool by 8 MB. Looked at every ten seconds, the same three places of
    that saw are seen for minutes and then others, and its line rises or falls by 2 MB an hour for no reason.
    """
    for number in count():
        yield every * (number + number * GOLDEN % 1)


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and its figures, in its unit."""

    row: Row
    first: float
    last: float
    least: float
    most: float
    grew: float
    allowed: float

    @property
    def flat(self) -> bool:
        return self.grew <= self.allowed


def judge(samples: Sequence[Sample], warm_up: float, wanted: Sequence[Row]) -> list[Judged]:
    """Judge what was sampled after `warm_up` seconds. Raises ValueError with fewer than eight samples."""
    kept = [sample for sample in samples if sample.at >= warm_up]
    if len(kept) < 8:
        raise ValueError(
            f"{len(kept)} samples after a warm-up of {warm_up:.0f} s are too few; run longer or look more often"
        )
    times = [sample.at for sample in kept]
    found = []
    for row in wanted:
        values = [row.read(sample) for sample in kept]
        grew, allowed = row.bound.judge(times, values)
        figures = (*quarters(values), min(values), max(values), grew, allowed)
        found.append(Judged(row, *(figure / row.scale for figure in figures)))
    return found


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the least-squares line, per second."""
    middle, mean = fmean(times), fmean(values)
    spread = sum((at - middle) ** 2 for at in times)
    return sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread


def quarters(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the first and of the last quarter."""
    length = max(1, len(values) // 4)
    return median(values[:length]), median(values[-length:])
