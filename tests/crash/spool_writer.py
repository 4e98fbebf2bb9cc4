"""A process that commits, delivers and cleans as fast as it can until it is killed: `python -m … FOLDER SEED MOST`.

What it delivered is appended to one file per lane, a sequence number a line, before it is settled. It says `turn` for
every page, and ends by itself when the source has no more pages and the lanes are empty. Every seventh event is refused;
each life retries the dead letters of the one before, and they are refused again. What the lanes have of an event that is
refused is never the event itself, as when a privacy has changed it.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from forwarder.contracts import SystemClock
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import CursorMove, PageCommit, Settlement
from forwarder.spool.letter import EVERY, DeadLetter
from forwarder.spool.sqlite.store import SqliteSpool
from tests.spool.spools import ACME, page_of

EVENTS = 40
REFUSED = 7
"""Every event whose number is a multiple of this is refused."""


def page_at(number: int):
    """Page `number` repeats the end of the one before."""
    names = [f"p{number - 1}-{at}" for at in range(EVENTS - 5, EVENTS)] if number else []
    return page_of(
        *((name, "", f"2026-01-31T12:{number % 60:02d}") for name in names),
        *((f"p{number}-{at}", "", f"2026-01-31T12:{(number + 1) % 60:02d}") for at in range(EVENTS)),
    )


async def pull(spool: SqliteSpool, most: int) -> None:
    source = await spool.open_source(ACME)
    row = source.cursors.get("tail")
    at, version = (row.state["page"], row.version) if row else (0, None)
    while at < most:
        move = CursorMove("tail", version, {"page": at + 1})
        done = await spool.commit(PageCommit(source.number, source.epoch, [move], page_at(at)))
        at, version = at + 1, done.versions["tail"]
        print("turn", at, flush=True)
        if at % 20 == 0:
            await spool.clean_up()


async def deliver(spool: SqliteSpool, name: str, folder: Path, pulling: asyncio.Task[None], rng: random.Random) -> None:
    lane = (await spool.open_lane(name, "t", start=None, on_full="pause")).number
    file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    waiting: list[list[int]] = []
    settlement, after = Settlement(), 0
    await spool.retry_letters(name, EVERY)
    while True:
        last_pull = pulling.done()
        given = await spool.exchange(lane, settlement, after=after, events=rng.randint(1, 120))
        settlement = Settlement()
        for chunk in given.chunks:
            fresh = [seq for seq in range(chunk.first, chunk.last + 1) if seq not in chunk.settled]
            os.write(file, b"".join(b"%d %s\n" % (seq, chunk.bodies[seq - chunk.first]) for seq in fresh))
            waiting.append(fresh)
            after = chunk.last
        waiting += [[chunk.first] for chunk in given.again]
        if not (given.chunks or given.again) and last_pull and not waiting:
            break
        rng.shuffle(waiting)
        for _ in range(rng.randint(0, 3) if given.chunks else len(waiting)):
            if waiting:
                done = waiting.pop()
                settlement.ranges += [(seq, seq) for seq in done]
        refused = [seq for seq, _ in settlement.ranges if seq % REFUSED == 0]
        if settlement.ranges:
            settlement.dead_letters = [DeadLetter(seq, 1, "ab" * 16, "refused", "no", b"not it") for seq in refused]
    await spool.leave_lane(lane, settlement)
    os.close(file)


async def main() -> None:
    folder, seed, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    spool = SqliteSpool(SpoolConfig(path=folder / "spool.db", retain=0, id_memory=100), SystemClock())
    await spool.open()
    lanes = ("fast", "slow")
    pulling = asyncio.create_task(pull(spool, most))
    await asyncio.gather(
        pulling, *(deliver(spool, name, folder, pulling, random.Random(seed + name)) for name in lanes)
    )
    await spool.close()
    print("finished", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
