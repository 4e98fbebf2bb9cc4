"""What a format keeps of events it has written: bounded, since what is remembered comes from outside."""

from __future__ import annotations

from typing import TypeVar

REMEMBERED = 4096
LONGEST_REMEMBERED = 512

_K = TypeVar("_K")
_V = TypeVar("_V")


def remember(memory: dict[_K, _V], key: _K, value: _V, size: int) -> None:
    """Keep `value` unless key and value together are long; a full memory is emptied first.

    Args:
        memory: Where.
        key: What it is found by.
        value: What to keep.
        size: Characters of both, about.
    """
    if size <= LONGEST_REMEMBERED:
        if len(memory) >= REMEMBERED:
            memory.clear()
        memory[key] = value
