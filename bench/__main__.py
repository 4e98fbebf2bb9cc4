"""`python -m bench` (or `make bench`): what the forwarder costs, each figure beside its floor in the same run.

    make bench ARGS="--events 100000 --rounds 3"

Prints CPU µs per event, events per second, ratio to the floor; spool bytes per event; memory and start-up with a
backlog; then what `bench.starting` measures, each beside its aim. The floors and the forwarder take turns, and the best round of each counts, so that neighbours on the machine
disturb all alike. `floor.py` says what the bare floor leaves out, `equal_floor.py` what straight code does with each
event where it does as much as the forwarder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.harness import ROOT, Cost, ask, forwarder, free_port, helper, measure, write_config
from bench.starting import starting_costs


class Bench:
    def __init__(self, folder: Path, feed: dict, drain: str) -> None:
        self.folder, self.feed, self.drain = folder, feed, drain
        self.count = 0

    def elastic(self, **more: object) -> dict:
        return {"elastic": {"type": "elasticsearch", "url": self.drain, "unmanaged": True, **more}}

    def run(self, sinks: dict, events: int, done, *, spool: Path, feed: dict | None = None, admin: int = 0) -> Cost:
        self.count += 1
        config = self.folder / f"config{self.count}.yaml"
        write_config(config, feed or self.feed, sinks, spool=spool, admin=admin)
        return measure(forwarder(config), events, done, log=self.folder / f"log{self.count}")

    def documents(self) -> int:
        return int(ask(self.drain + "/count")["documents"])

    def floor(self, mode: str, events: int, database: Path) -> Cost:
        ask(self.drain + "/reset")
        feed = self.feed
        module = ["bench.equal_floor"] if mode == "equal" else ["bench.floor", mode]
        where = [feed["url"], feed["org"], feed["key"], self.drain, str(database)]
        command = [sys.executable, "-m", *module, *where]
        return measure(command, events, None, log=self.folder / "floor.log")


def path_costs(folder: Path, events: int, rounds: int) -> None:
    with helper("bench.feed", str(events)) as feed, helper("bench.drain") as drain:
        bench = Bench(folder, feed, drain["url"])
        events = feed["events"]
        best: dict[str, Cost] = {}
        sizes: list[float] = []

        def note(name: str, cost: Cost) -> None:
            if name not in best or cost.cpu < best[name].cpu:
                best[name] = cost
            print(
                f"  {name:<28} {cost.micros:7.1f} µs/event {cost.rate:9.0f} events/s {cost.rss / 1e6:6.0f} MB",
                flush=True,
            )

        for number in range(rounds):
            print(f"round {number + 1} of {rounds}")
            database, spool = folder / f"floor{number}.db", folder / f"spool{number}.db"
            note("floor: page → spool", bench.floor("fetch", events, database))
            nothing = {"nowhere": {"type": "file", "path": str(folder / "none.ndjson"), "exclude": [{"source": "*"}]}}
            admin = free_port()
            note("page → spool", bench.run(nothing, events, _spooled(admin, events), spool=spool, admin=admin))
            sizes.append(
                sum(
                    p.stat().st_size
                    for p in folder.glob(f"{spool.name}*")
                    if not p.name.endswith((".lock", ".reserve"))
                )
                / events
            )
            note("floor: spool → ECS → bulk", bench.floor("deliver", events, database))
            ask(bench.drain + "/reset")
            dead = {**feed, "url": f"http://127.0.0.1:{free_port()}"}
            sinks = bench.elastic(start="oldest")
            note(
                "spool → ECS → bulk",
                bench.run(sinks, events, lambda: bench.documents() >= events, spool=spool, feed=dead),
            )
            note("floor: whole", bench.floor("whole", events, folder / f"whole{number}.db"))
            note("floor: equal work", bench.floor("equal", events, folder / f"equal{number}.db"))
            ask(bench.drain + "/reset")
            whole = folder / f"whole-spool{number}.db"
            note("whole", bench.run(bench.elastic(), events, lambda: bench.documents() >= events, spool=whole))
        admin = free_port()
        idle = bench.run(
            bench.elastic(start="now"), 1, _ready_for(admin, 3), spool=folder / "idle.db", feed=dead, admin=admin
        )
        print()
        print(
            f"{events} events, {rounds} rounds, best of each; start-up and end of the process ({idle.cpu:.2f} s CPU) included, and taken off in the last column"
        )
        print(f"{'':<28} {'µs/event':>9} {'events/s':>9} {'ratio':>6} {'RSS MB':>7} {'µs/event without start':>23}")
        for name in ("page → spool", "spool → ECS → bulk", "whole"):
            ours, floor = best[name], best[f"floor: {name}"]
            bare = (ours.cpu - idle.cpu) / events * 1e6
            print(f"{'floor: ' + name:<28} {floor.micros:9.1f} {floor.rate:9.0f} {1:6.2f} {floor.rss / 1e6:7.0f}")
            print(
                f"{name:<28} {ours.micros:9.1f} {ours.rate:9.0f} {ours.micros / floor.micros:6.2f} {ours.rss / 1e6:7.0f} {bare:17.1f} ({bare / floor.micros:.2f})"
            )
        equal, ours = best["floor: equal work"], best["whole"]
        print(f"{'floor: equal work':<28} {equal.micros:9.1f} {equal.rate:9.0f} {1:6.2f} {equal.rss / 1e6:7.0f}")
        bare = (ours.cpu - idle.cpu) / events * 1e6
        print(
            f"{'whole':<28} {ours.micros:9.1f} {ours.rate:9.0f} {ours.micros / equal.micros:6.2f} {ours.rss / 1e6:7.0f} {bare:17.1f} ({bare / equal.micros:.2f})"
        )
        print(f"spool, ids included: {min(sizes):.0f} bytes per event")


def _spooled(admin: int, events: int):
    def done() -> bool:
        try:
            return int(ask(f"http://127.0.0.1:{admin}/status")["sources"][0]["spooled"]) >= events
        except OSError:
            return False

    return done


def _ready_for(admin: int, seconds: float):
    ready: list[float] = []

    def done() -> bool:
        with contextlib.suppress(OSError):
            if not ready:
                ask(f"http://127.0.0.1:{admin}/readyz")
                ready.append(time.monotonic())
        return bool(ready) and time.monotonic() > ready[0] + seconds

    return done


def backlog_costs(folder: Path, sizes: list[int]) -> None:
    print()
    print(
        f"{'backlog':>9} {'bytes/event':>12} {'open s':>7} {'books s':>8} {'ready s':>8} {'RSS dead sink':>14} {'RSS draining':>13} {'drain events/s':>15}"
    )
    for events in sizes:
        spool = folder / f"backlog{events}.db"
        org = "bench-org"
        made = subprocess.run(
            [sys.executable, "-m", "bench.backlog", str(spool), str(events), org],
            capture_output=True,
            check=True,
            cwd=ROOT,
        )
        found = json.loads(made.stdout)
        with helper("bench.drain") as drain:
            feed = {"url": f"http://127.0.0.1:{free_port()}", "org": org, "key": "no-api-asks-for-it"}
            sink = {"type": "elasticsearch", "unmanaged": True, "start": "oldest"}
            admin = free_port()
            config = write_config(
                folder / "backlog.yaml",
                feed,
                {"elastic": {**sink, "url": feed["url"], "start": "continue"}},
                spool=spool,
                admin=admin,
            )
            began = time.monotonic()
            ready: list[float] = []

            def is_ready(admin: int = admin, began: float = began, ready: list[float] = ready) -> bool:
                try:
                    ask(f"http://127.0.0.1:{admin}/readyz")
                except OSError:
                    return False
                ready or ready.append(time.monotonic() - began)
                return time.monotonic() - began > ready[0] + 4

            held = measure(forwarder(config), events, is_ready, log=folder / "held.log")
            config = write_config(
                folder / "backlog.yaml",
                feed,
                {"elastic": {**sink, "url": drain["url"], "start": "continue"}},
                spool=spool,
                admin=admin,
            )
            drained = measure(
                forwarder(config),
                events,
                lambda url=drain["url"], events=events: ask(url + "/count")["documents"] >= events,
                log=folder / "drained.log",
            )
        print(
            f"{events:>9} {found['bytes']:>12.0f} {found['open']:>7.3f} {found['books']:>8.3f} {ready[0]:>8.2f} "
            f"{held.rss / 1e6:>11.0f} MB {drained.rss / 1e6:>10.0f} MB {drained.rate:>15.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backlog", type=int, nargs="*", default=[100_000, 1_000_000])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-bench-") as folder:
        if asked.rounds:
            path_costs(Path(folder), asked.events, asked.rounds)
        backlog_costs(Path(folder), asked.backlog)
        if asked.rounds:
            starting_costs(Path(folder), asked.rounds, asked.events)


main()
