"""`kill -9` while closed windows are read again: they go on, what was hidden comes once, and nothing else comes again."""

from __future__ import annotations

import contextlib
import json
import random
import re
import sqlite3
import time
from pathlib import Path

from simulator.config import SimulatorConfig
from simulator.render import iso
from simulator.simulator import Simulator
from tests.crash.far_end import digest, look_into, whole_lines
from tests.daemon.engine import digests_of, file_sink, lines_of, source, truth
from tests.daemon.process import Process, write_config

HOUR, DAY = 3_600_000, 86_400_000
EVENTS, HIDDEN, KILLS, BATCH = 1000, 60, 3, 20
MOST_IN_DOUBT = 4 * BATCH
"""Events that one run of the lane may have taken and not settled."""

_END = re.compile(r"\bto=(\d+)")


def hide(sim: Simulator, rng: random.Random, now_ms: int) -> set[str]:
    """Let events become visible now that were processed at some time of the last two days; return their digests."""
    feed = next(iter(sim.organizations.values())).feed
    for number in range(HIDDEN):
        at = now_ms - 2 * DAY + rng.randrange(40 * HOUR)
        attributes = {"time": iso(at), "processedAt": iso(at), "action": "user_login", "actor": {"id": "712020:1"}}
        body = json.dumps({"id": f"hidden-{number}", "type": "events", "attributes": attributes}).encode()
        feed.add(f"hidden-{number}", at, at, now_ms, body)
    feed.reveal(now_ms)
    return {
        version.digest for name, versions in sim.ledger.versions().items() if "hidden" in name for version in versions
    }


def begin_two_days_ago(spool: Path, now_ms: int) -> None:
    """Write into the file of a spool that nobody uses that its windows count from two days ago."""
    with contextlib.closing(sqlite3.connect(spool)) as con:
        [(text,)] = con.execute("SELECT state FROM cursors WHERE name = 'reconcile'").fetchall()
        state = json.loads(text)
        at = now_ms - 2 * DAY - HOUR
        state = {"begun": at, "passes": [{"to": at} for _ in state["passes"]]}
        con.execute("UPDATE cursors SET state = ? WHERE name = 'reconcile'", (json.dumps(state),))
        con.commit()


def windows_read(spool: Path) -> tuple[int, bool]:
    """Return up to when the first pass has read, and whether it is within a window, of a spool that nobody uses."""
    with contextlib.closing(sqlite3.connect(spool)) as con:
        [(text,)] = con.execute("SELECT state FROM cursors WHERE name = 'reconcile'").fetchall()
    state = json.loads(text)
    return state["passes"][0]["to"], "window" in state


def windows_asked(sim: Simulator) -> list[str]:
    """Return the ends of the windows that were asked for so far, one a request."""
    return [found[1] for each in sim.ledger.requests if (found := _END.search(each.query))]


def is_within_one(sim: Simulator, least: int) -> bool:
    """Say whether at least so many windows were asked for, and the newest a second time: its first page is stored."""
    asked = windows_asked(sim)
    return len(set(asked)) >= least and asked.count(asked[-1]) > 1


async def test_windows_that_are_read_again_go_on_whenever_the_daemon_is_killed(tmp_path: Path) -> None:
    rng = random.Random(11)
    out, spool = tmp_path / "out" / "events.ndjson", tmp_path / "state" / "spool.db"
    async with Simulator(SimulatorConfig(events=EVENTS, history="2d", late_share=0)) as sim:
        quick = {
            "limit": 10,
            "retry": {"base": "10ms", "max": "100ms"},
            "reconcile": {"after": "2h", "again": 0, "last": 0},
        }
        sink = file_sink(out, batch={"events": BATCH, "wait": 0.01})
        process = Process(write_config(tmp_path, {"acme": source(sim, **quick)}, {"archive": sink}))
        await process.start()
        await process.until_status(lambda found: sum(line["accepted"] for line in found["books"]) >= EVENTS)
        assert await process.stop() == 0
        assert set(digests_of(out)) == truth(sim)
        before, now_ms = len(lines_of(out)), int(time.time() * 1000)
        hidden = hide(sim, rng, now_ms)
        begin_two_days_ago(spool, now_ms)
        sim.faults.add("delay", wait=0.02, times=1000)  # else a window is often over before the kill
        in_a_window = 0
        for number in range(1, KILLS + 1):
            await process.start()
            least = number * 46 // (KILLS + 2)
            await process.until(lambda least=least: is_within_one(sim, least), every=0.005)  # type: ignore[misc]
            await process.kill()
            in_a_window += windows_read(spool)[1]
        assert in_a_window, "else none was killed within one"
        await process.start()
        await process.until(lambda: len(set(windows_asked(sim))) >= 45)
        await process.until(lambda: truth(sim) <= set(digests_of(out)))
        await process.until_status(lambda found: not any(line["waiting"] for line in found["books"]))
        assert await process.stop() == 0
    counts = digests_of(out)
    kept = await look_into(spool)
    assert kept.undoubted("archive", counts) == []
    assert len(whole_lines(out)) - before - HIDDEN <= KILLS * MOST_IN_DOUBT
    assert len(kept.bodies) == EVENTS + HIDDEN, "what was known was not spooled again"
    with contextlib.closing(sqlite3.connect(spool)) as con:
        [(recovered,)] = con.execute("SELECT sum(recovered) FROM spooled").fetchall()
        found = con.execute("SELECT sum(events), min(closed_ms) FROM gaps WHERE cause = 'late'").fetchone()
        other = con.execute("SELECT count(*) FROM gaps WHERE closed_ms IS NULL").fetchone()
    by_reader = {digest(body) for body in kept.bodies.values()} & hidden
    assert (recovered, len(by_reader)) == (HIDDEN, HIDDEN)
    assert found[0] == HIDDEN
    assert other == (0,)
