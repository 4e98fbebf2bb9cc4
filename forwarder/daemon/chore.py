"""A process of our own that does a piece of work for the daemon, and ends when the daemon does, however that ends."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping, Sequence

_MOST_SAID = 64 * 1024
"""Bytes of what the process says that are looked at: the end of it."""


class Done(NamedTuple):
    """How a process ended: its code, and the ends of what it printed and said."""

    code: int
    printed: bytes
    said: bytes

    def why(self) -> str:
        """Return in words why it brought nothing."""
        if self.code < 0:
            return f"its process was ended by signal {-self.code}: too little memory, perhaps"
        return self.said.decode(errors="replace").strip() or f"its process ended with {self.code}"


async def chore(words: Sequence[str], environment: Mapping[str, str], stopping: asyncio.Event) -> Done | None:
    """Run `audit-forwarder` with these words to its end; None when the daemon ends first. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "forwarder", *words, stdin=PIPE, stdout=PIPE, stderr=PIPE,
        env={**environment, "NO_COLOR": "1"}, start_new_session=True,
    )  # fmt: skip
    heard = asyncio.create_task(_heard(process), name="chore")
    stopped = asyncio.create_task(stopping.wait(), name="chore-stop")
    try:
        await asyncio.wait({heard, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            return None
        printed, said = heard.result()
    finally:
        for task in (heard, stopped):
            task.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Done(process.returncode or 0, printed, said)


async def _heard(process: Process) -> tuple[bytes, bytes]:
    """Return the ends of what a process prints and says, when it has ended."""
    assert process.stdout is not None  # noqa: S101 -- for the type checker
    assert process.stderr is not None  # noqa: S101
    ends = await asyncio.gather(_end_of(process.stdout), _end_of(process.stderr))
    await process.wait()
    return ends[0], ends[1]


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    end = b""
    while data := await stream.read(_MOST_SAID):
        end = (end + data)[-_MOST_SAID:]
    return end
