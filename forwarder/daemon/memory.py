"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of mallopt(3)
LARGE = 2**20
"""Bytes from which a block is a mapping of its own, and gone from the process when it is freed."""

AT_THE_END = 16 * 2**20
"""Bytes that lie free at the end of the heap before they are given back."""


def give_large_blocks_back() -> bool:
    """Have blocks of `LARGE` bytes and more given back to the system when they are freed; True where that is possible.

    glibc begins so, and with the first large block that is freed moves the bound up to 32 MiB (mallopt(3)): then holes
    between large events stay with the process, 80 MB and more after some pages of events of 8 MB. Whoever sets it has
    the end of the heap given back from 128 KiB on, with each page and batch, and taken anew with a fault for each 4 KiB
    of it: a third of what the system does for us. So that has a bound of its own.
    """
    with suppress(OSError, AttributeError):  # another C library, which has its own ways
        system = ctypes.CDLL(None)
        return bool(system.mallopt(_MMAP_THRESHOLD, LARGE) and system.mallopt(_TRIM_THRESHOLD, AT_THE_END))
    return False


def give_holes_back() -> None:
    """Give back to the system whatever was freed between blocks that are in use.

    glibc alone gives back what lies at the end of its heap; malloc_trim(3) the whole pages before it, too. With five
    sinks and faults 52 MB of them had collected after 47 minutes beside 38 MB in use, some more with each backlog.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
