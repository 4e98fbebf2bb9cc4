"""One life of an archive's lane, in a process of its own, which kills itself at a chosen call of the operating system.

    python -m tests.sinks.archive.life FOLDER EVENTS CALL before|after SEED

Exits with 0 when nothing waits any more.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from forwarder.testing.far_end import context
from forwarder.testing.lanes import bench, event
from sinks.archive.settings import ArchiveConfig
from sinks.archive.sink import ArchiveSink

WATCHED = ("link", "fsync", "unlink", "open")


def die_at(call: int, when: str) -> None:
    """Let the process be killed at this call of those that are watched, counted from now on."""
    made = 0

    def watched(real: Any) -> Any:
        def instead(*arguments: Any, **more: Any) -> Any:
            nonlocal made
            made += 1
            if made == call and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*arguments, **more)
            finally:
                if made == call:
                    os.kill(os.getpid(), signal.SIGKILL)

        return instead

    for name in WATCHED:
        setattr(os, name, watched(getattr(os, name)))


async def live(folder: Path, events: int, call: int, when: str, rng: random.Random) -> None:
    async with bench(folder) as b:
        config = ArchiveConfig(path=str(folder / "archive"), every=rng.choice([0.01, 0.05, 0.2]), size=4000)
        sink = ArchiveSink(config, context("archive", slots=2, render="raw"))
        last = (await b.spool.status()).last_seq
        sink.belongs_to("a" * 32)
        die_at(call, when)
        while last < events:
            count = min(rng.randint(1, 40), events - last)
            await b.fill(*(event(f"e{n}", f"a{rng.random()}") for n in range(last, last + count)))
            last += count
        settings = {"events": rng.randint(1, 30), "wait": 0.01}
        b.start("archive", sink, batch=settings, window=rng.randint(1, 3), confirm_every=0.01, confirm_within=2)
        b.names = ["some"]
        await b.drained("archive")
        if rng.random() < 0.5:
            await b.stop("archive")
        await sink.close()


if __name__ == "__main__":
    folder, events, call, when, seed = sys.argv[1:]
    asyncio.run(live(Path(folder), int(events), int(call), when, random.Random(int(seed))))
