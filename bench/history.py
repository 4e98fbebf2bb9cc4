"""A backfill behind live events, with faults and kills: are live events as quick as without it, and is nothing missing?

    python -m bench.history --events 1000000 --kills 20

A real daemon with one file sink follows a simulated organization in which events happen at an even rate. Their delay,
from the moment they could be read to their line in the file, is taken without and with the backfill beside them, under
the same faults of the API; then the daemon is killed (kill -9) again and again until the backfill is over, which goes
on where it was. At last each version of each event that existed must be in the file. Ends with 1 when a promise was
broken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Self

from bench.harness import ROOT, helper
from bench.outage import Daemon, Promises

PROCESSED = re.compile(rb'"processedAt": ?"([^"]+)"')
FAULTS = [{"what": what, "every": 1, "share": 0.01} for what in ("server_error", "truncated", "reset_mid")]
PAGE = 500
NOISE = 1.25
"""The delay beside a backfill may be so much longer, and by so many seconds."""
STEP = 0.1


class Lines:
    """Follows the file: how many different lines it has, how many came again, and how late the live ones were."""

    def __init__(self, path: Path) -> None:
        self.seen: set[bytes] = set()
        self.again = 0
        self.delays: list[float] = []
        self.since = "9"
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        rest, at = b"", 0
        while not self._stop.wait(0.01):
            if self._path.exists():
                with self._path.open("rb") as file:
                    file.seek(at)
                    content = file.read(4 << 20)
                at, now = at + len(content), time.time()
                *whole, rest = (rest + content).split(b"\n")
                for line in whole:
                    self._note(line, now)

    def _note(self, line: bytes, now: float) -> None:
        digest = hashlib.blake2b(line, digest_size=12).digest()
        if digest in self.seen:
            self.again += 1
            return
        self.seen.add(digest)
        found = PROCESSED.search(line)
        if found is not None and (moment := found[1].decode()) >= self.since:
            self.delays.append(now - datetime.fromisoformat(moment).timestamp())

    def measured(self, seconds: float) -> list[float]:
        """Return the delays of what happens from now on for so long."""
        self.delays, self.since = [], _utc(time.time())
        time.sleep(seconds)
        found, self.since = self.delays, "9"
        return found


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def tree(feed: dict, folder: Path, every: float, per_minute: int) -> dict:
    source = {
        "type": "organization",
        "org_id": feed["org"],
        "api_key": feed["key"],
        "base_url": feed["url"],
        "budget": "free",
        "since": "0s",
        "every": f"{every:g}s",
        "retry": {"base": "100ms", "max": "1s"},
    }
    return {
        "spool": {"path": str(folder / "spool.db"), "max_bytes": "8GiB"},
        "sources": {"acme": source},
        "sinks": {"out": {"type": "file", "path": str(folder / "out.ndjson"), "format": "raw", "batch": {"wait": 0.2}}},
        "budgets": {"free": {"requests_per_minute": per_minute}},
    }


def command(daemon: Daemon, *words: str) -> str:
    """Run a command of the forwarder beside the daemon."""
    line = [sys.executable, "-m", "forwarder.cli.app", *words, "-c", str(daemon.config)]
    return subprocess.run(line, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def post_faults(url: str) -> None:
    """Let requests fail from now on."""
    request = urllib.request.Request(f"{url}/_simulator/faults", json.dumps(FAULTS).encode(), method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def backfill_of(daemon: Daemon) -> dict:
    found: dict = json.loads(command(daemon, "backfill", "list", "--json"))["backfills"][0]
    return found


def figures(delays: list[float]) -> str:
    cuts = statistics.quantiles(delays, n=100)
    return f"{len(delays)} live events, p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s"


def run(events: int, kills: int, rate: float, every: float, seconds: float, folder: Path) -> list[str]:
    promises, rng = Promises(), random.Random(3)
    with helper("bench.feed", str(events), str(rate)) as feed, Lines(folder / "out.ndjson") as lines:
        # so many requests that the delay can be taken while the backfill goes on, and half of it is left for the kills
        per_minute = max(120, int(events / PAGE * 60 / (2 * seconds)))
        daemon = Daemon(folder, tree(feed, folder, every, per_minute))
        daemon.start()
        post_faults(feed["url"])
        time.sleep(3 * every)
        alone = lines.measured(seconds)
        print(f"without a backfill: {figures(alone)}", flush=True)
        began = time.monotonic()
        command(daemon, "backfill", "start", "--source", "acme", "--from", "7d", "--no-wait")
        beside = lines.measured(seconds)
        found = backfill_of(daemon)
        print(f"beside a backfill:  {figures(beside)}; {100 * found['share']:.0f} % of it is read by then", flush=True)
        promises.hold("it was not over yet", found["state"] != "done", found["state"])
        without, with_it = (statistics.quantiles(delays, n=100)[98] for delays in (alone, beside))
        most = without * NOISE + STEP
        what = f"99 of 100 live events take no longer beside it, but for {NOISE:.2f} times and {STEP:g} s"
        promises.hold(what, with_it <= most, f"{with_it:.2f} s of {most:.2f} s")
        killed, memory = 0, daemon.rss()
        while (found := backfill_of(daemon))["state"] != "done":
            memory = max(memory, daemon.rss())
            if killed < kills:
                time.sleep(rng.uniform(0.2, 3.0))
                daemon.end(signal.SIGKILL)
                killed += 1
                daemon.start()
            else:
                time.sleep(1.0)
        took = time.monotonic() - began
        print(
            f"backfill of {found['events']:,} events in {took:.0f} s, {killed} kills, {memory / 1e6:.0f} MB", flush=True
        )
        promises.hold("all of it was read", found["share"] == 1.0, found["share"])
        existed = _existed(feed)
        end = time.monotonic() + 120
        while len(lines.seen) < existed and time.monotonic() < end:
            time.sleep(0.5)
            existed = _existed(feed)
        time.sleep(2 * every)
        missing = max(0, existed - len(lines.seen))
        promises.hold("nothing is missing", missing == 0, f"{missing} of {existed:,}")
        print(f"  {lines.again:,} lines came again after {killed} kills", flush=True)
        promises.hold("the daemon ends in order", daemon.end(signal.SIGTERM) == 0, "exit code")
    return promises.broken


def _existed(feed: dict) -> int:
    with urllib.request.urlopen(f"{feed['url']}/_simulator/ledger", timeout=120) as answer:  # it counts a million
        return int(json.load(answer)["organizations"][feed["org"]]["visible_versions"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rate", type=float, default=20.0, help="live events a second")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks for live events")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each delay is measured")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-bench-") as folder:
        wanted = (asked.events, asked.kills, asked.rate, asked.every, asked.seconds)
        raise SystemExit(1 if run(*wanted, Path(folder)) else 0)


if __name__ == "__main__":
    main()
