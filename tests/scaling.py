"""How the cost of work grows with what it is given, by CPU time: the machine is shared, so the best of several counts."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TRIES = 6
WORST = 3.0
"""Twice the size may cost so many times as much: the square would be four."""


def cpu(work: Callable[[T], object], given: T) -> float:
    """Return the CPU seconds of one run, without looks at what other tests left: in a long session each takes half a second."""
    gc.disable()
    try:
        begun = time.process_time()
        work(given)
        return time.process_time() - begun
    finally:
        gc.enable()


def assert_in_proportion(work: Callable[[T], object], once: T, twice: T) -> None:
    """Fail when what is twice as large costs more than in proportion, however often it is tried."""
    small, large = cpu(work, once), cpu(work, twice)
    for _ in range(TRIES):
        if large < WORST * small + 0.03:
            return
        small, large = min(small, cpu(work, once)), min(large, cpu(work, twice))
    raise AssertionError(f"{large:.3f} s instead of {small:.3f} s for twice as much")
