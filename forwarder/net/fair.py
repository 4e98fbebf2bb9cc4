"""Who gets the next place of something scarce: weighted fair shares in levels. What one leaves goes on to the others.

Every claim is a path of steps from the top, such as (behind the tail, backfill, this source's). At each level the step
goes first that has had least for its weight; one that comes back after a rest begins where the others are, so that rest
earns no debt (start-time fair queueing: Goyal, Vin, Cheng 1996). Pure: the clock is handed in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Step(NamedTuple):
    """One step of a path.

    Attributes:
        name: Unique among the steps of its level.
        weight: Its part beside those of the same level that want something, too.
        rank: Who goes first where all have had as much; low ones do.
        most: Part of all places that it gets at most, also when nobody else wants one.
    """

    name: str
    weight: float = 1.0
    rank: int = 0
    most: float = 1.0


Path = tuple[Step, ...]


@dataclass(slots=True)
class _Level:
    clock: float = 0.0
    tags: dict[str, float] = field(default_factory=dict)  # by step: where its next claim begins, once past the clock


class FairOrder:
    """What every step had so far, and who goes first."""

    def __init__(self) -> None:
        self._levels: dict[tuple[str, ...], _Level] = {}
        self._not_before: dict[tuple[str, ...], float] = {}

    def wait(self, path: Path, now: float) -> float:
        """Return the seconds until a path may have a place again, by what it gets at most."""
        names = _names(path)
        return max(0.0, *(self._not_before.get(names[:depth], 0.0) - now for depth in range(1, len(path) + 1)))

    def first(self, paths: Iterable[Path]) -> Path:
        """Return which of several paths (one at least) is to get the next place."""
        left = list(paths)
        depth = 0
        while len(left) > 1:
            level = self._levels.get(_names(left[0])[:depth], _Level())
            steps = {path[depth].name: path[depth] for path in left}
            best = min(steps.values(), key=lambda step: (_start(level, step), step.rank, step.name))
            left = [path for path in left if path[depth].name == best.name]
            depth += 1
            if depth == len(left[0]):
                break
        return left[0]

    def charge(self, path: Path, now: float, interval: float) -> None:
        """Note that a path got a place; `interval` is the time between two places, seconds.

        One that did not wait for what it gets at most waits the longer for its next.
        """
        names = _names(path)
        for depth, step in enumerate(path):
            level = self._levels.setdefault(names[:depth], _Level())
            level.clock = _start(level, step)
            level.tags[step.name] = level.clock + 1.0 / step.weight
            level.tags = {name: tag for name, tag in level.tags.items() if tag > level.clock}
            if step.most < 1.0:
                at = names[: depth + 1]
                self._not_before[at] = max(now, self._not_before.get(at, now)) + interval / step.most


def _names(path: Path) -> tuple[str, ...]:
    return tuple(step.name for step in path)


def _start(level: _Level, step: Step) -> float:
    return max(level.tags.get(step.name, 0.0), level.clock)


LAST = 200
"""Places by which shares are shown."""

FORGOTTEN = 300.0
"""Seconds after which it does not count any more that the urgent had more than their part."""


class Line:
    """Those who wait for the next place; what they want is asked when it comes, for it may have changed by then.

    Attributes:
        order: What every path had so far.
    """

    def __init__(self) -> None:
        self.order = FairOrder()
        self._wants: dict[object, Callable[[], Collection[Path]]] = {}
        self._changed = asyncio.Event()
        self._last: deque[tuple[str, ...]] = deque(maxlen=LAST)
        self._in_a_row = 0.0  # places that the urgent had while others waited
        self._others_wait = self._owes = False
        self._even_at = 0.0  # when the urgent have had no more than their part

    @contextmanager
    def joined(self, wants: Callable[[], Collection[Path]]) -> Iterator[None]:
        """Stand in the line; `wants` returns the paths that may have a place now."""
        me = object()
        self._wants[me] = wants
        try:
            yield
        finally:
            del self._wants[me]
            self.changed()

    def first(self, *, last: bool = False) -> Path | None:
        """Return whose turn it is of all who wait; None when nobody wants anything now.

        Args:
            last: Only one place is free. It is kept for those of rank 0 at the top, so that they need not wait for the
                next one when they come, until they had as many in a row as their weight while others waited.
        """
        paths = [path for wants in self._wants.values() for path in wants()]
        urgent = [path for path in paths if path[0].rank == 0]
        self._others_wait = len(urgent) < len(paths)
        if last and not self._owes:
            paths = urgent
        return self.order.first(paths) if paths else None

    def charge(self, path: Path, now: float, interval: float) -> None:
        """Note that a path got a place, as in `FairOrder`."""
        top = path[0]
        if top.rank == 0:
            parts = (top.weight + 1) / (1 if self._others_wait else top.weight)
            self._even_at = min(max(self._even_at, now) + interval * parts, now + FORGOTTEN)
        self._in_a_row = self._in_a_row + 1 if top.rank == 0 and self._others_wait else 0
        self._owes = self._in_a_row >= top.weight and top.rank == 0
        self.order.charge(path, now, interval)
        self._last.append(_names(path))

    def room(self, now: float) -> float:
        """Return the seconds until those of rank 0 may have a place that they do not need.

        Such places and those they needed are together no more than their part: by weight, beside one for all others. A
        place for which others had to wait counts as many times as the weight says, so that they keep what it is then.
        """
        return max(0.0, self._even_at - now)

    def share(self, path: Path) -> float:
        """Return the part of the last places that a path had."""
        return self._last.count(_names(path)) / len(self._last) if self._last else 0.0

    def changed(self) -> None:
        """Let all who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, within: float) -> None:
        """Wait until somebody got a place or left the line, or so many seconds at most."""
        try:
            async with asyncio.timeout(within):
                await self._changed.wait()
        except TimeoutError:
            return
