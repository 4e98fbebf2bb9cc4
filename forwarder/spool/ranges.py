"""Arithmetic of ranges of sequence numbers: sorted, disjoint, not touching, both ends included."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forwarder.spool.contract import Range

_BEYOND = 2**63


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Return the union in normal form, whatever order or overlap the ranges have."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def inside(first: int, last: int, ranges: Sequence[Range]) -> list[Range]:
    """Return the parts of first..last that `ranges` (in normal form) cover."""
    found: list[Range] = []
    index = bisect_right(ranges, (first, _BEYOND))
    if index and ranges[index - 1][1] >= first:
        index -= 1
    while index < len(ranges) and ranges[index][0] <= last:
        found.append((max(first, ranges[index][0]), min(last, ranges[index][1])))
        index += 1
    return found


def outside(first: int, last: int, ranges: Sequence[Range]) -> list[Range]:
    """Return the parts of first..last that `ranges` (in normal form) do not cover."""
    left: list[Range] = []
    at = first
    for start, end in inside(first, last, ranges):
        if start > at:
            left.append((at, start - 1))
        at = end + 1
    if at <= last:
        left.append((at, last))
    return left


def count(ranges: Iterable[Range]) -> int:
    """Return how many numbers the (disjoint) ranges hold."""
    return sum(last - first + 1 for first, last in ranges)
