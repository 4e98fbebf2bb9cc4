"""Commands that go on until they are ended, as a shell starts them beside a daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

READER = {name: value for name, value in os.environ.items() if not name.startswith("FORWARDER")}


class Living:
    """A command that runs; `lines` and `notes` are what it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[bytes] = []
        self.notes: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.lines.append)),
            asyncio.create_task(self._read(process.stderr, lambda line: self.notes.append(line.decode()))),
        ]

    @staticmethod
    async def _read(stream, keep) -> None:
        while line := await stream.readline():
            keep(line.rstrip(b"\n"))

    @property
    def noted(self) -> str:
        return "\n".join(self.notes)

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, and return the exit code."""
        self._process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        code = await self._process.wait()
        await asyncio.gather(*self._readers)
        return code


@asynccontextmanager
async def living(folder: Path, *words: str, **env: str) -> AsyncIterator[Living]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        # who starts in the background of a shell ignores SIGINT, and so do those that it starts
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from forwarder.__main__ import main; main()",
        *words,
        cwd=folder,
        env={**READER, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    found = Living(process)
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await found.ended()
