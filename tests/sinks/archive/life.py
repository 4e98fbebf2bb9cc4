"""One life of an archive's lane, in a process of its own, which kills itself at a chosen call of the operating system.

    python -m tests.sinks.archive.life FOLDER EVENTS CALL before|after SEED HOURS [ENDPOINT]

HOURS is how far the clock is ahead. With an endpoint the archive is the bucket `archive` there, and what is counted is each object that is created.

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

from forwarder.contracts import SystemClock
from forwarder.testing.far_end import context
from forwarder.testing.lanes import bench, event
from sinks.archive.settings import ArchiveConfig
from sinks.archive.sink import ArchiveSink
from tests.servers import s3

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


def die_at_creation(store: Any, call: int, when: str) -> None:
    """Let the process be killed when this object is created: before it is sent, on its way, or after the answer."""
    create, made = store.create, 0

    async def instead(name: str, data: bytes) -> None:
        nonlocal made
        made += 1
        if made != call:
            await create(name, data)
            return
        if when == "after":
            sending = asyncio.create_task(create(name, data))
            await asyncio.wait({sending}, timeout=random.choice([0.0, 0.002, 0.01, 5.0]))
        os.kill(os.getpid(), signal.SIGKILL)

    store.create = instead


class ClockAhead(SystemClock):
    """A clock that is wrong by some hours."""

    def __init__(self, hours: int) -> None:
        self._ahead = 3600.0 * hours

    def time(self) -> float:
        return super().time() + self._ahead


async def live(
    folder: Path, events: int, call: int, when: str, rng: random.Random, clock: ClockAhead, endpoint: str
) -> None:
    async with bench(folder) as b:
        settings: dict[str, Any] = {"every": rng.choice([0.01, 0.05, 0.2]), "size": 4000}
        place: dict[str, Any] = {"path": str(folder / "archive")}
        if endpoint:
            keys = {"access_key_id": s3.ACCESS_KEY, "secret_access_key": s3.SECRET_KEY}
            place = {"url": "s3://archive/x", "bucket": {"endpoint": endpoint, "path_style": True, **keys}}
        config = ArchiveConfig.model_validate({**settings, **place})
        sink = ArchiveSink(config, context("archive", slots=2, clock=clock, render="raw"))
        last = (await b.spool.status()).last_seq
        sink.belongs_to("a" * 32)
        if endpoint:
            die_at_creation(sink._store, call, when)
        else:
            die_at(call, when)
        while last < events:
            count = min(rng.randint(1, 40), events - last)
            await b.fill(*(event(f"e{n}", f"a{rng.random()}") for n in range(last, last + count)))
            last += count
        batch = {"events": rng.randint(1, 30), "wait": 0.01}
        b.start("archive", sink, batch=batch, window=rng.randint(1, 3), confirm_every=0.01, confirm_within=2)
        b.names = ["some"]
        await b.drained("archive")
        if rng.random() < 0.5:
            await b.stop("archive")
        await sink.close()


if __name__ == "__main__":
    folder, events, call, when, seed, hours, *more = sys.argv[1:]
    clock, rng = ClockAhead(int(hours)), random.Random(int(seed))
    asyncio.run(live(Path(folder), int(events), int(call), when, rng, clock, *(more or [""])))
