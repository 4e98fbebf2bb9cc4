"""Fill a spool with a backlog, fast: `python -m bench.backlog SPOOL EVENTS`; prints the seconds it took to open it again."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from forwarder.contracts import Origin, Page, SystemClock
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.polling import progress
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import CursorMove, PageCommit
from forwarder.spool.sqlite.store import SqliteSpool
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator

PAGE = 500


def _numbered(body: bytes, number: int) -> bytes:
    """Put a number into the id where it is a UUID; it stays as long as it was."""
    start = len(b'{"id":"')
    is_uuid = body.startswith(b'{"id":"') and body[start + 8 : start + 9] == b"-"
    return body[:start] + b"%08d" % number + body[start + 8 :] if is_uuid else body


async def main(path: Path, events: int, org: str) -> None:
    clock = SystemClock()
    sim = Simulator(SimulatorConfig(events=20_000, history="6d", oddities=0.2))
    bodies = [versions[0] for versions in sim.ledger.bodies().values()]
    keys = EventKeys("organization", org)
    config = SpoolConfig(path=path, max_bytes=8 * 2**30)
    spool = SqliteSpool(config, clock)
    await spool.open()
    state = await spool.open_source(Origin("bench", "organization", org))
    version = state.cursors["tail"].version if "tail" in state.cursors else None
    await spool.open_lane("elastic", "bench", start=None, on_full="pause")
    since = int(clock.time() * 1000)
    tail = progress.begin({"cursor": None, "from": since}, since)  # else the poller of a run over this spool falls over
    for first in range(0, events, PAGE):
        # Every event is distinct: its id stands in its body.
        page = [_numbered(bodies[(first + i) % len(bodies)], first + i) for i in range(PAGE)]
        ids = [f"n{first + i}" for i in range(PAGE)]
        minute = f"2026-01-01T{first // 60_000 % 24:02}:{first // 1000 % 60:02}"
        done = await spool.commit(
            PageCommit(
                state.number,
                state.epoch,
                [CursorMove("tail", version, tail)],
                Page(bodies=page, keys=keys.keys(ids), digests=content_digests(page), minutes=[minute] * PAGE, next={}),
            )
        )
        version = done.versions["tail"]
    used = (await spool.status()).bytes_file
    await spool.close()
    begun = time.monotonic()
    spool = SqliteSpool(config, clock)
    await spool.open()
    opened = time.monotonic() - begun
    begun = time.monotonic()
    await spool.books()
    books = time.monotonic() - begun
    await spool.close()
    print(json.dumps({"open": opened, "books": books, "bytes": used / events}), flush=True)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
