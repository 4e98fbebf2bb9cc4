"""The daemon with a leak in it, to see that a soak notices: `python -m bench.soak.leaking handles run -c FILE`."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

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


def plant(leak: Callable[[], object]) -> None:
    """Let whatever is run by asyncio.run leak beside its work."""
    really_run = asyncio.run

    async def leaking() -> None:
        while True:
            KEPT.append(leak())
            await asyncio.sleep(PAUSE)

    def run(coroutine: Coroutine[Any, Any, Any], **more: Any) -> Any:
        async def both() -> Any:
            KEPT.append(asyncio.get_running_loop().create_task(leaking()))
            return await coroutine

        return really_run(both(), **more)

    asyncio.run = run  # type: ignore[assignment]


if __name__ == "__main__":
    plant(LEAKS[sys.argv.pop(1)])
    main()
