"""`python -m bench.sinks [--events 100000] [--rounds 3] [--only relp]`: what a sink costs, and how soon it has an event.

Alone: CPU µs per event of the whole process without its start-up, and events per second. Each sink in turn delivers a
copy of one spool to a far end that takes it all and says so; the source is dead. The best of all rounds counts. The rows
of one format differ by the sink alone: `file` is the least a sink can do. Further: what the same sink adds to a process
that follows a live stream (`bench.steady`) and already delivers it to another one (`FIRST`). The delays are those of
`bench.live`.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.harness import ROOT, Cost, ask, forwarder, helper, measure, write_config
from bench.live import Delays, measure_live
from bench.steady import steady

FIRST = "elasticsearch ecs"
"""The sink that is there already when a further one comes."""

RATE = 2000
"""Events per second of the live stream to which a further sink is added."""

WIDTHS = (22, 8, 9, 7, 8, 7, 7, 7, 7)
"""Of the columns of the table."""

FORMATS = ("raw", "ecs", "ocsf", "cef", "leef", "rfc5424_sd")


def rows() -> dict[str, dict]:
    """Return each sink by its title: its settings, which far end it wants, and which setting names its address."""
    found: dict[str, dict] = {}
    for format_ in FORMATS:
        found[f"file {format_}"] = {"settings": {"type": "file", "format": format_}, "far": "", "where": "path"}
    bulk = {"type": "elasticsearch", "unmanaged": True}
    found["elasticsearch ecs"] = {"settings": bulk, "far": "http", "where": "url"}
    splunk = {"type": "splunk_hec", "token": "none"}
    acks = {"acknowledge": True, "confirm_every": "1s"}
    for title, more in (("event", {}), ("event acks", acks), ("raw", {"endpoint": "raw"})):
        found[f"splunk {title} raw"] = {"settings": {**splunk, **more}, "far": "http", "where": "url"}
    for scheme, format_ in itertools.product(("tcp", "relp"), ("raw", "cef")):
        settings = {"type": "syslog", "format": format_}
        found[f"syslog {scheme} {format_}"] = {"settings": settings, "far": scheme, "where": "address"}
    for format_ in FORMATS:
        settings = {"type": "http", "token": "bench", "format": format_}
        found[f"http {format_}"] = {"settings": settings, "far": "http", "where": "url", "path": "/lines"}
    return found


class Place:
    """Where a sink of a run delivers to: a far end that counts, or a file whose lines are counted."""

    def __init__(self, row: dict, bulk: str, syslog: dict, file: Path) -> None:
        self._file = None if row["far"] else file
        self._count = syslog["url"] if row["far"] in {"tcp", "relp"} else bulk
        address = bulk + row.get("path", "") if row["far"] == "http" else syslog.get(row["far"], str(file))
        self.settings = {**row["settings"], row["where"]: address, "start": "oldest"}

    def empty(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)
        else:
            ask(self._count + "/reset")

    def count(self) -> int:
        return _lines(self._file) if self._file is not None else int(ask(self._count + "/count")["documents"])


class Bench:
    """Runs the daemon over copies of one spool."""

    def __init__(self, folder: Path, events: int) -> None:
        self.folder, self.events = folder, events
        command = [sys.executable, "-m", "bench.backlog", str(folder / "full.db"), str(events), "bench-org"]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)

    def run(self, sinks: dict[str, dict], done: Callable[[], bool]) -> Cost:
        """Deliver everything, and return what that cost."""
        spool, config = self.folder / "spool.db", self.folder / "config.yaml"
        for old in self.folder.glob("spool.db*"):
            old.unlink()
        for full in self.folder.glob("full.db*"):
            shutil.copy(full, full.with_name(full.name.replace("full", "spool")))
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            dead = {"url": f"http://127.0.0.1:{nobody.getsockname()[1]}", "org": "bench-org", "key": "none"}
            write_config(config, dead, sinks, spool=spool, admin=0)
            return measure(forwarder(config), self.events, done, log=self.folder / "log")

    def deliver(self, **places: Place) -> Cost:
        """Deliver everything to these places at once."""
        for place in places.values():
            place.empty()
        arrived = lambda: all(place.count() >= self.events for place in places.values())  # noqa: E731
        return self.run({name: place.settings for name, place in places.items()}, arrived)

    def follow(self, **places: Place) -> Cost:
        """Deliver a live stream to these places at once."""
        for place in places.values():
            place.empty()
        arrived = lambda events: all(place.count() >= events for place in places.values())  # noqa: E731
        sinks = {name: place.settings for name, place in places.items()}
        return steady(self.folder, sinks, arrived, events=self.events, rate=RATE)

    def idle(self) -> Cost:
        """Start and end without delivering anything."""
        begun = time.monotonic()
        quiet = {"type": "file", "path": str(self.folder / "idle.ndjson"), "format": "raw", "start": "now"}
        return self.run({"lane": quiet}, lambda: time.monotonic() > begun + 4)


class Results:
    """The best of all rounds, by title."""

    def __init__(self, events: int) -> None:
        self.alone: dict[str, Cost] = {}
        self.live: dict[str, Cost] = {}
        self._events = events

    def note(self, kept: dict[str, Cost], title: str, cost: Cost, how: str) -> None:
        print(f"  {how:<7} {title:<22} {cost.micros:7.1f} µs/event {cost.rate:9.0f} events/s", flush=True)
        if title not in kept or cost.cpu < kept[title].cpu:
            kept[title] = cost

    def table(self, idle: Cost, delays: dict[str, Delays]) -> None:
        """Print one line a sink; what was not measured is left empty."""
        print(f"{'':<22} {'alone':>8} {'':>9} {'':>7} {'further':>8} {'from visible':>15} {'from read':>15}")
        head = ("µs/event", "events/s", "RSS MB", "µs/event", "p50 s", "p99 s", "p50 s", "p99 s")
        print(" ".join(f"{word:>{width}}" for word, width in zip(("", *head), WIDTHS, strict=True)))
        first = self.live.get("")
        for title in self.alone or delays:
            cost, both, delay = self.alone.get(title), self.live.get(title), delays.get(title)
            cells = ["", "", "", "", "", "", "", ""]
            if cost is not None:
                cells[:3] = f"{self._bare(cost.cpu - idle.cpu):.1f}", f"{cost.rate:.0f}", f"{cost.rss / 1e6:.0f}"
            if both is not None and first is not None:
                cells[3] = f"{self._bare(both.cpu - first.cpu):.1f}"
            if delay is not None:
                cells[4:] = [f"{seconds:.2f}" for seconds in delay[1:]]
            print(
                f"{title:<{WIDTHS[0]}} " + " ".join(f"{cell:>{n}}" for cell, n in zip(cells, WIDTHS[1:], strict=True))
            )

    def _bare(self, cpu: float) -> float:
        return cpu / self._events * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sinks", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="0: only the delays")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--rate", type=float, default=20.0, help="events per second of the live run")
    parser.add_argument(
        "--looks", type=int, default=5, help="looks at the API that the live run measures; 0: no live run"
    )
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks at the API")
    asked = parser.parse_args()
    chosen = {title: row for title, row in rows().items() if asked.only in title}
    results = Results(asked.events)
    with (
        tempfile.TemporaryDirectory(prefix="audit-forwarder-bench-") as name,
        helper("bench.drain") as first,
        helper("bench.drain") as bulk,
        helper("bench.syslog_drain") as syslog,
    ):
        folder = Path(name)
        bench = Bench(folder, asked.events)
        idle = bench.idle()
        already = Place(rows()[FIRST], first["url"], syslog, folder / "first.ndjson")
        places = {title: Place(row, bulk["url"], syslog, folder / "out.ndjson") for title, row in chosen.items()}
        for number in range(asked.rounds):
            print(f"round {number + 1} of {asked.rounds}, load average {os.getloadavg()[0]:.1f}")
            results.note(results.live, "", bench.follow(first=already), "live")
            for title, place in places.items():
                results.note(results.alone, title, bench.deliver(lane=place), "alone")
                results.note(results.live, title, bench.follow(first=already, further=place), "beside")
        delays = {}
        if asked.looks:
            print(
                f"live: {asked.rate:g} events/s, a look every {asked.every:g} s, load average {os.getloadavg()[0]:.1f}"
            )
            live = measure_live(folder / "live", chosen, rate=asked.rate, looks=asked.looks, every=asked.every)
            delays = live.delays
    print(
        f"\n{asked.events} events, best of {asked.rounds}; start-up and end ({idle.cpu:.2f} s CPU) taken off; "
        f"further: beside {FIRST}, at the tip; load average {os.getloadavg()[0]:.1f}"
    )
    results.table(idle, delays)


def _lines(path: Path) -> int:
    with path.open("rb") if path.exists() else io.BytesIO() as content:
        return sum(piece.count(b"\n") for piece in iter(lambda: content.read(1 << 20), b""))


if __name__ == "__main__":
    main()
