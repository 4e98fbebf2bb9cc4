"""The daemon, with a note each second of what is in use in it, and a leak if asked: is that noticed?

python -m bench.soak.leaking NOTE handles run -c FILE      # or `nothing`
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from forwarder.cli.app import main

PAUSE = 0.2
KEPT: list[object] = []


def thread() -> threading.Thread:
    sleeper = threading.Thread(target=time.sleep, args=(3600,), daemon=True)
    sleeper.start()
    return sleeper


LEAKS: dict[str, Callable[[], object]] = {
    "handles": lambda: Path("/dev/null").open("rb"),  # noqa: SIM115
    "memory": lambda: bytearray(b"\1" * 200_000),
    "threads": thread,
    "tasks": lambda: asyncio.get_running_loop().create_task(asyncio.sleep(3600)),
}


class InUse(NamedTuple):
    """What is in use, whatever the process holds: bytes of the C library's heap, and blocks of Python's arenas."""

    heap: int = 0
    blocks: int = 0


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keep",
        )
    )


def in_use() -> InUse:
    """Return it; of a C library that is not glibc, 0 bytes."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return InUse(0, sys.getallocatedblocks())
    library.mallinfo2.restype = _Mallinfo
    return InUse(library.mallinfo2().uordblks, sys.getallocatedblocks())


def beside(work: Callable[[], object], pause: float) -> None:
    """Let whatever is run by asyncio.run do some work beside its own, again and again."""
    really_run = asyncio.run

    async def again() -> None:
        while True:
            work()
            await asyncio.sleep(pause)

    def run(coroutine: Coroutine[Any, Any, Any], **more: Any) -> Any:
        async def both() -> Any:
            KEPT.append(asyncio.get_running_loop().create_task(again()))
            return await coroutine

        return really_run(both(), **more)

    asyncio.run = run  # type: ignore[assignment]


def note(file: Path) -> None:
    """Write what is in use."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(in_use()))
    new.replace(file)


if __name__ == "__main__":
    noted, wanted = Path(sys.argv.pop(1)), sys.argv.pop(1)
    beside(lambda: note(noted), 1.0)
    if wanted in LEAKS:
        beside(lambda: KEPT.append(LEAKS[wanted]()), PAUSE)
    main()
