"""Some rows of a full product that hold every combination of a few of its columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import combinations
from typing import TypeVar

Row = TypeVar("Row", bound=tuple[Hashable, ...])


def covering(rows: Iterable[Row], columns: int = 3) -> list[Row]:
    """Return as few rows as are easily found that hold what any so many columns have together, in their order.

    What goes wrong with a few switches together goes wrong in one of these; what needs all of them to be as they are is
    for the full product, which is the long form of such a test.
    """

    def parts(row: Row) -> set[object]:
        return set(combinations(enumerate(row), columns))

    every = list(rows)
    left = set().union(*map(parts, every))
    chosen: set[Row] = set()
    while left:
        best = max(every, key=lambda row: len(parts(row) & left))
        chosen.add(best)
        left -= parts(best)
    return [row for row in every if row in chosen]
