"""`python -m bench.sinks [--events 100000] [--rounds 3] [--only relp]`: what a sink costs, from the spool to a far end.

CPU µs per event of the whole process without its start-up, and events per second. Each sink in turn delivers a copy of
one spool to a far end that takes it all and says so; the source is dead. The best of all rounds counts. The rows of one
format differ by the sink alone: `file` is the least a sink can do.
"""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.harness import ROOT, Cost, ask, forwarder, helper, measure, write_config


def rows(bulk: dict, syslog: dict) -> dict[str, tuple[dict, str]]:
    """Return the settings of each sink, and where its far end is asked for its count."""
    found = {"elasticsearch ecs": ({"type": "elasticsearch", "url": bulk["url"], "unmanaged": True}, bulk["url"])}
    splunk = {"type": "splunk_hec", "url": bulk["url"], "token": "none"}
    acks = {"acknowledge": True, "confirm_every": "1s"}
    for title, more in (("event", {}), ("event acks", acks), ("raw", {"endpoint": "raw"})):
        found[f"splunk {title} raw"] = ({**splunk, **more}, bulk["url"])
    for scheme, format_ in itertools.product(("tcp", "relp"), ("raw", "cef")):
        settings = {"type": "syslog", "address": syslog[scheme], "format": format_}
        found[f"syslog {scheme} {format_}"] = (settings, syslog["url"])
    for format_ in ("raw", "ecs", "cef", "rfc5424_sd"):
        settings = {"type": "http", "url": f"{bulk['url']}/lines", "token": "bench", "format": format_}
        found[f"http {format_}"] = (settings, bulk["url"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sinks", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="audit-forwarder-bench-") as name,
        helper("bench.drain") as bulk,
        helper("bench.syslog_drain") as syslog,
    ):
        folder = Path(name)
        command = [sys.executable, "-m", "bench.backlog", str(folder / "full.db"), str(asked.events), "bench-org"]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)

        def run(settings: dict, done: Callable[[], bool]) -> Cost:
            spool, config = folder / "spool.db", folder / "config.yaml"
            for old in folder.glob("spool.db*"):
                old.unlink()
            for full in folder.glob("full.db*"):
                shutil.copy(full, full.with_name(full.name.replace("full", "spool")))
            with socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                dead = {"url": f"http://127.0.0.1:{nobody.getsockname()[1]}", "org": "bench-org", "key": "none"}
                write_config(config, dead, {"lane": settings}, spool=spool, admin=0)
                return measure(forwarder(config), asked.events, done, log=folder / "log")

        chosen = {name: row for name, row in rows(bulk, syslog).items() if asked.only in name}
        written = folder / "out.ndjson"
        quiet = {"type": "file", "path": str(written), "format": "raw"}
        begun = time.monotonic()
        idle = run({**quiet, "start": "now"}, lambda: time.monotonic() > begun + 4)
        best: dict[str, Cost] = {}
        for _ in range(asked.rounds):
            for format_ in sorted({str(row.get("format", "ecs")) for row, _ in chosen.values()}):
                written.unlink(missing_ok=True)
                least = {**quiet, "format": format_, "start": "oldest"}
                _keep(best, f"file {format_}", run(least, lambda: _lines(written) >= asked.events))
            for title, (settings, place) in chosen.items():
                ask(place + "/reset")
                taken = lambda place=place: ask(place + "/count")["documents"] >= asked.events  # noqa: E731
                _keep(best, title, run({**settings, "start": "oldest"}, taken))
    print(f"\n{asked.events} events, best of {asked.rounds}; start-up and end ({idle.cpu:.2f} s CPU) taken off")
    print(f"{'':<22} {'µs/event':>9} {'events/s':>9} {'RSS MB':>7}")
    for title, cost in best.items():
        print(f"{title:<22} {(cost.cpu - idle.cpu) / asked.events * 1e6:9.1f} {cost.rate:9.0f} {cost.rss / 1e6:7.0f}")


def _keep(best: dict[str, Cost], title: str, cost: Cost) -> None:
    print(f"  {title:<22} {cost.micros:7.1f} µs/event {cost.rate:9.0f} events/s", flush=True)
    if title not in best or cost.cpu < best[title].cpu:
        best[title] = cost


def _lines(path: Path) -> int:
    with path.open("rb") if path.exists() else io.BytesIO() as content:
        return sum(piece.count(b"\n") for piece in iter(lambda: content.read(1 << 20), b""))


if __name__ == "__main__":
    main()
