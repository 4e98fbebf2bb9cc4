"""`python -m bench.peers` (or `make bench-peers`): what others cost for their part of the same work, beside us in one run.

    make bench-peers ARGS="--events 100000 1000000 --rounds 3 --growth 10000 100000 1000000 10000000 --write"

Every peer that can be had is installed into the cache folder (`AUDIT_FORWARDER_CACHE`), once; one that cannot is left out,
and said. All take turns in each round over the same events, start-up in, and the best round of each counts. `--growth` says
what ours costs with so many events, `--sinks` with so many destinations at once. `--write` writes docs/performance.md from
this run, and from nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.harness import LONGEST, ROOT, Cost, ask, forwarder, helper, measure, write_config
from bench.peers import page
from bench.peers.programs import PEERS, Peer, Place
from tests.servers.cache import Cache, Unavailable

PER_EVENT = 2e-3
"""Seconds that an event may take, beside `LONGEST`."""

FORMATS = ("ecs", "cef", "ocsf", "leef", "rfc5424_sd", "raw")


@dataclass
class Results:
    """What was measured. Costs are of the best round, by name and number of events."""

    machine: str
    date: str
    rounds: int
    load: list[float] = field(default_factory=list)
    peers: dict[str, dict[int, Cost]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    growth: dict[int, Cost] = field(default_factory=dict)
    sinks: dict[str, dict[int, Cost]] = field(default_factory=dict)
    keep: Path | None = None

    def best(self, kept: dict[int, Cost], key: int, cost: Cost) -> None:
        """Keep a cost where it is the lowest, in the file as well: a long run may be ended."""
        if key not in kept or cost.cpu < kept[key].cpu:
            kept[key] = cost
        if self.keep is not None:
            self.keep.write_text(json.dumps(asdict(self), default=str))


class Ground:
    """The events, the far end, and a file with the same events for those who read no API."""

    def __init__(self, folder: Path, events: int, *, file: bool) -> None:
        self.folder, self.events = folder, events
        self._rate = str(events / 86_400)  # they happened within the last day
        self._file = folder / f"events-{events}.ndjson"
        self._runs = 0
        if file:
            command = [sys.executable, "-m", "bench.stream", str(events), self._rate, str(self._file)]
            subprocess.run(command, check=True, cwd=ROOT)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Give the place of one run."""
        with (
            tempfile.TemporaryDirectory(prefix="run-", dir=self.folder) as folder,
            helper("bench.stream", str(self.events), self._rate) as feed,
            helper("bench.drain") as drain,
        ):
            yield Place(Path(folder), feed, drain["url"], self._file)

    def run(self, peer: Peer, got: Path) -> Cost:
        """Measure a peer. Raises SystemExit when it does not deliver."""
        with self.place() as place:
            run = peer.run(got, place)
            done = None if run.ends else self._arrived(place.drain)
            longest = LONGEST + self.events * PER_EVENT
            cost = measure(
                run.command,
                self.events,
                done,
                log=place.folder / "log",
                env=run.env,
                longest=longest,
                any_end=not run.ends,
            )
            arrived = ask(place.drain + "/count")["documents"]
            if arrived < self.events:
                raise SystemExit(f"only {arrived} events arrived: {(place.folder / 'log').read_text()[-1000:]}")
            return cost

    def _arrived(self, *drains: str) -> Callable[[], bool]:
        looked = [0.0]

        def done() -> bool:
            if time.monotonic() - looked[0] < 0.1:
                return False
            looked[0] = time.monotonic()
            return all(int(ask(drain + "/count")["documents"]) >= self.events for drain in drains)

        return done

    def ours(self, sinks: int, *, alike: bool) -> Cost:
        """Measure ours with so many HTTP destinations, of one format or of several."""
        with self.place() as place, ExitStack() as stack:
            drains = [stack.enter_context(helper("bench.drain"))["url"] for _ in range(sinks)]
            made = {}
            for number, drain in enumerate(drains):
                format_ = "ecs" if alike else FORMATS[number % len(FORMATS)]
                made[f"sink{number}"] = {"type": "http", "url": f"{drain}/lines", "token": "bench", "format": format_}
            spool = place.folder / "spool.db"
            config = write_config(place.folder / "config.yaml", place.feed, made, spool=spool, admin=0)
            longest = LONGEST + self.events * sinks * PER_EVENT
            done = self._arrived(*drains)
            return measure(forwarder(config), self.events, done, log=place.folder / "log", longest=longest)


def compare(folder: Path, asked: argparse.Namespace, results: Results) -> None:
    """Let all peers take turns."""
    cache, got = Cache.default(), dict[str, Path]()
    chosen = [peer for peer in PEERS if not asked.only or any(word in peer.name.lower() for word in asked.only)]
    for peer in chosen:
        try:
            got[peer.name] = peer.get(cache)
        except Unavailable as error:
            leave_out(results, peer, str(error))
    for events in asked.events:
        ground = Ground(folder, events, file=any(not peer.fetches for peer in chosen))
        for number in range(asked.rounds):
            print(f"{events} events, round {number + 1} of {asked.rounds}", flush=True)
            results.load.append(os.getloadavg()[0])
            for peer in (peer for peer in chosen if peer.name in got):
                try:
                    cost = ground.run(peer, got[peer.name])
                except SystemExit as error:
                    leave_out(results, peer, str(error))
                    del got[peer.name]
                    continue
                results.best(results.peers.setdefault(peer.name, {}), events, cost)
                say(peer.name, cost)


def leave_out(results: Results, peer: Peer, why: str) -> None:
    """Say that a peer is not in the run."""
    reason = " ".join(why.split())[-300:]
    results.missing[peer.name] = reason
    print(f"NOT MEASURED: {peer.name}: {reason}", flush=True)


def say(name: str, cost: Cost) -> None:
    """Print one measurement."""
    print(f"  {name:<36} {cost.micros:7.1f} µs/event {cost.rate:9.0f} events/s {cost.rss / 1e6:6.0f} MB", flush=True)


def grow(folder: Path, asked: argparse.Namespace, results: Results) -> None:
    """Measure how our cost grows with events and with destinations."""
    ours = PEERS[0]
    for events in asked.growth:
        ground = Ground(folder, events, file=False)
        for _ in range(1 if events > 1_000_000 else asked.rounds):
            results.best(results.growth, events, ground.run(ours, Path(sys.executable)))
        say(f"{ours.name}, {events} events", results.growth[events])
    ground = Ground(folder, asked.sink_events, file=False)
    for sinks in asked.sinks:
        for how in ("alike", "each another format"):
            if sinks == 1 and how != "alike":
                continue
            for _ in range(asked.rounds):
                results.best(results.sinks.setdefault(how, {}), sinks, ground.ours(sinks, alike=how == "alike"))
            say(f"{sinks} HTTP sinks, {how}", results.sinks[how][sinks])


def machine() -> str:
    """Return what this ran on."""
    kind = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores of {kind}, {platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}"


def _numbered(found: dict) -> dict:
    return {int(key) if key.isdigit() else key: value for key, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--events", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="*", default=[], help="words in the names of those to measure, in small letters"
    )
    parser.add_argument("--growth", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--sinks", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--sink-events", type=int, default=100_000)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--keep", type=Path, help="a file for the results as JSON, written after each run")
    parser.add_argument(
        "--kept",
        type=Path,
        nargs="+",
        help="measure nothing, and take the results from such a file; tables of growth from further ones, where they have them",
    )
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # with it every start compiles anew
    if asked.kept:
        found, *others = (json.loads(file.read_text(), object_hook=_numbered) for file in asked.kept)
        for other in others:
            for table in ("growth", "sinks"):
                if other[table]:
                    found |= {table: other[table], f"{table}_of": other}
    else:
        results = Results(machine(), time.strftime("%Y-%m-%d"), asked.rounds, keep=asked.keep)
        with tempfile.TemporaryDirectory(prefix="audit-forwarder-peers-", dir="/var/tmp") as folder:
            compare(Path(folder), asked, results)
            grow(Path(folder), asked, results)
        found = asdict(results)
    text = page.render(found, [(peer.name, peer.does, peer.not_, peer.is_real) for peer in PEERS])
    print(text)
    if asked.write:
        (ROOT / "docs" / "performance.md").write_text(text)


if __name__ == "__main__":
    main()
