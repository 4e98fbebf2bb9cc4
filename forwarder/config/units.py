"""Sizes and durations as people write them; what is written here is read back as the same number."""

from __future__ import annotations

_SIZES = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3))
_DURATIONS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def size_text(size: int) -> str:
    """Return a number of bytes with the largest unit that leaves no rest."""
    for unit, factor in _SIZES:
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def duration_text(seconds: float) -> str:
    """Return seconds with the largest unit that leaves no rest, such as `7d`, `90s` or `500ms`."""
    milliseconds = round(seconds * 1000)
    if not milliseconds:
        return f"{seconds:g}s"
    unit, factor = next((unit, factor) for unit, factor in _DURATIONS if milliseconds % factor == 0)
    return f"{milliseconds // factor}{unit}"
