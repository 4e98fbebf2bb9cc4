"""Calls that block, each in a thread that the end of the process does not wait for.

The library's own futures are of no use here: its threads may still hold one when the interpreter ends, and then the
process is aborted (seen with obstore 0.12.1 at one exit in eight). A pool's threads are waited for, however long a
request stalls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(do: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises; cancelled, the call goes on by itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = do()
        except BaseException as error:  # noqa: BLE001 -- raised where it is waited for
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=work, name="bucket", daemon=True).start()
    return await done
