"""`make soak`: an hour of load and faults. Is anything lost, doubled without being on record, or growing?

    make soak ARGS="--minutes 60 --events 10000000"
    make soak ARGS="--minutes 3 --events 300000 --leak handles"     # the daemon with a leak: must be noticed

A real daemon, in a process of its own, follows an organization in which events happen at an even rate, and delivers to
five sinks: Elasticsearch, Splunk with acknowledgement, syslog over TCP and RELP, and a file. The API and the far ends
fail now and then, each in every way it can. What is sampled meanwhile is judged by `verdict`; what arrived, by the far
ends, which know every event. Ends with 1, and says why in words, when a promise was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from bench.harness import ROOT, ask
from bench.outage import Daemon
from bench.soak.far import FILE
from bench.soak.leaking import LEAKS
from bench.soak.room import Room, room_of_ids
from bench.soak.samples import Metrics, Sample, Sampler, metrics
from bench.soak.verdict import Judged, ids_take_too_much, judge, moments, rows

PLACES = ("elastic", "splunk", "tcp", "relp", "file")
LONGEST_DRAIN = 600.0
"""Seconds that everything may take to arrive once nothing happens any more."""


def settings(feed: dict, addresses: dict, folder: Path, asked: argparse.Namespace) -> dict:
    """Return the configuration: the defaults but for limits of pace, and times that fit into the run.

    Events stay `retain` seconds in the spool, so that it is seen that they leave; ids stay as long as ever. At seven times
    the API's highest pace more of them are held in memory: the default is less than a minute's.
    """
    per_second = asked.events / (asked.minutes * 60)
    sinks: dict[str, dict] = {
        "elastic": {"type": "elasticsearch", "url": addresses["elastic"], "unmanaged": True},
        "splunk": {
            "type": "splunk_hec",
            "url": addresses["splunk"],
            "token": "token-of-the-bench-5d20b8",
            "acknowledge": True,
        },
        "tcp": {"type": "syslog", "address": addresses["tcp"], "format": "raw"},
        "relp": {"type": "syslog", "address": addresses["relp"], "format": "cef"},
        "file": {"type": "file", "path": str(folder / "out" / FILE), "rotate": {"bytes": "64MiB", "keep": 8}},
    }
    return {
        "spool": {
            "path": str(folder / "spool.db"),
            "retain": f"{asked.retain:g}s",
            "id_memory": max(60_000, int(150 * per_second)),
        },
        "sources": {
            "acme": {
                "type": "organization",
                "org_id": feed["org"],
                "api_key": feed["key"],
                "base_url": feed["url"],
                "budget": "free",
                "since": "0s",
                "every": "500ms",
                "overlap": "30s",
                "heal_every": "30s",
                "trailing": "20s",
                "trailing_every": "60s",
            }
        },
        "sinks": {name: sinks[name] for name in asked.sinks},
        "budgets": {"free": {"requests_per_minute": 1_000_000}},
    }


class Watched(Daemon):
    """The daemon, which notes what is in use in it, and may have a leak."""

    def __init__(self, folder: Path, tree: dict, leak: str) -> None:
        super().__init__(folder, tree)
        self.leak, self.note = leak, folder / "in-use.json"

    def command(self) -> list[str]:
        python, dash, _, *words = super().command()
        return [python, dash, "bench.soak.leaking", str(self.note), self.leak or "nothing", *words]


@contextlib.contextmanager
def helper(module: str, *words: object) -> Iterator[tuple[int, dict]]:
    """Run a module that prints one line of JSON when it is ready; give its pid and that line."""
    process = subprocess.Popen([sys.executable, "-m", module, *map(str, words)], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


class Soak:
    """One run: load, then what is left of it, then the end of the daemon.

    Attributes:
        samples: Those taken while there was load.
        total: Events that happened.
        ended: Somebody wants an early end.
        failures: What was promised and not kept, in words.
        facts: Figures for the table that are no series.
    """

    def __init__(self, asked: argparse.Namespace, daemon: Daemon, source: str, far: str, sampler: Sampler) -> None:
        self.asked, self.daemon, self.sampler = asked, daemon, sampler
        self.source, self.far = source, far
        self.samples: list[Sample] = []
        self.total = 0
        self.ended = False
        self.failures: list[str] = []
        self.facts: dict[str, object] = {}

    def load(self) -> None:
        """Sample until the last event has happened, or the time is over; SIGTERM ends it in order, too."""
        asked, seconds = self.asked, self.asked.minutes * 60
        ask(self.source + "/begin")
        told = at = 0.0
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "ended", True))
        began, due = time.monotonic(), moments(asked.every)
        while at < seconds and not self.ended and ask(self.source + "/count")["events"] < asked.events:
            time.sleep(max(0.0, began + next(due) - time.monotonic()))
            self.samples.append(self.sampler.take())
            if (at := self.samples[-1].at) - told >= asked.tell:
                told = at
                self.tell(seconds)
        self.total = ask(self.source + "/end")["events"]

    def tell(self, seconds: float) -> None:
        """Say on standard error how it goes."""
        now = self.samples[-1]
        left = max(0.0, seconds - now.at)
        over = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
        print(
            f"{now.at / 60:5.1f} of {seconds / 60:.1f} min  {now.spooled:>11,} events  {now.memory / 1e6:4.0f} MB  "
            f"{now.handles} handles  {now.threads} threads  {now.tasks} tasks  spool {now.spool / 1e6:.0f} + {now.ids / 1e6:.0f} MB  "
            f"waiting {now.waiting:,}  CPU {now.cpu:.0f} s  until about {over}",
            file=sys.stderr,
            flush=True,
        )

    def drain(self) -> None:
        """Let the faults end; wait until every place has everything and the spool is back at its floor."""
        ask(self.source + "/calm")
        ask(self.far + "/calm")
        end = time.monotonic() + LONGEST_DRAIN
        total = self.total
        while any(place["different"] < total for place in self.places().values()) and time.monotonic() < end:
            time.sleep(1)
        while metrics(self.daemon.port).sum("forwarder_books_waiting_events") and time.monotonic() < end:
            time.sleep(1)
        while (pages := metrics(self.daemon.port).sum("forwarder_spool_pages")) and time.monotonic() < end:
            time.sleep(1)
        self.hold(not pages, f"the spool does not empty: {pages} pages are left long after everything was delivered")
        self.books(metrics(self.daemon.port))

    def places(self) -> dict[str, dict]:
        return {name: place for name, place in ask(self.far + "/count").items() if name in self.asked.sinks}

    def books(self, page: Metrics) -> None:
        """Compare what the daemon says with what exists and what arrived."""
        total, spooled = self.total, page.sum("forwarder_source_spooled_events_total")
        self.hold(spooled == total, f"{total:,} events exist, {spooled:,} were spooled")
        self.hold(not any(page.of("forwarder_books_imbalance_events")), "the books do not balance")
        for what in ("forwarder_sink_dead_letters", "forwarder_spool_lost_gaps", "forwarder_log_errors_total"):
            self.hold(not page.sum(what), f"{what} is {page.sum(what)}")
        faults = Counter({f"source {kind}": times for kind, times in ask(self.source + "/count")["faults"].items()})
        for name, place in self.places().items():
            faults.update({f"{name} {kind}": times for kind, times in place["faults"].items()})
            missing, doubled = total - place["different"], place["documents"] - place["different"]
            doubtful = page.sum("forwarder_sink_doubtful_events_total", sink=name)
            self.facts[f"{name}: missing, doubled, on record as in doubt"] = [missing, doubled, doubtful]
            self.hold(not missing, f"{name} lacks {missing:,} of {total:,} events")
            self.hold(
                doubled <= doubtful,
                f"{name} has {doubled:,} events more than once, and only {doubtful:,} are on record as in doubt",
            )
        self.facts["faults"] = faults.total()
        self.facts["faults by kind"] = dict(sorted(faults.items()))
        self.facts["failed requests to the source"] = page.sum("forwarder_source_errors_total")
        self.facts["failed sends"] = page.sum("forwarder_sink_errors_total")
        self.facts["events read, repeats included"] = page.sum("forwarder_source_events_total")
        self.facts["tasks begun again"] = page.sum("forwarder_task_restarts_total")

    def parts(self) -> str:
        """Say of which parts memory was after the warm-up and at the end, so that what grows can be looked for."""
        warm = next((sample for sample in self.samples if sample.at >= self.asked.warm_up * 60), self.samples[0])
        return "; ".join(
            f"at {sample.at / 60:.1f} min {sample.heap / 1e6:.0f} MB heap of the C library, {sample.files / 1e6:.0f} MB "
            f"programs, {(sample.memory - sample.heap - sample.files) / 1e6:.0f} MB Python's arenas and large blocks; in use "
            f"{sample.heap_used / 1e6:.1f} MB of the heap, {sample.blocks:,} blocks of Python's"
            for sample in (warm, self.samples[-1])
        )

    def hold(self, kept: bool, otherwise: str) -> None:
        if not kept:
            self.failures.append(otherwise)

    def flat(self, room: Room | None) -> list[Judged]:
        """Judge the samples, and what the ids took in the file at the end."""
        if room is None:
            self.facts["ids"] = "each counts for 24 bytes: this SQLite has no dbstat, so their pages count as growth"
        else:
            self.facts["ids"] = f"{room.counted / 1e6:,.1f} MB, in pages {100 * room.more:.2f} % more"
            self.hold(not (words := ids_take_too_much(room)), words)
        self.facts["memory"] = self.parts()
        warm_up = self.asked.warm_up * 60
        found = judge(self.samples, warm_up, rows(self.total / self.samples[-1].at, room.more if room else 0.0))
        for each in found:
            row = each.row
            grew = f"{each.first:,.1f} to {each.last:,.1f} {row.unit}".rstrip()
            self.hold(
                each.flat,
                f"what grows: {row.name}, {grew} from the first to the last quarter; "
                f"{each.grew:+,.2f} after the warm-up, {each.allowed:,.2f} allowed",
            )
        return found


def run(asked: argparse.Namespace, folder: Path) -> dict:
    """Run it; return everything that is known afterwards."""
    (folder / "out").mkdir()
    per_second = asked.events / (asked.minutes * 60)
    began = time.time()
    with (
        helper("bench.soak.source", asked.events, per_second, asked.fault_every) as (source, feed),
        helper("bench.soak.far", asked.events, folder / "out", asked.fault_every) as (far, places),
    ):
        tree = settings(feed, places["addresses"], folder, asked)
        daemon = Watched(folder, tree, asked.leak)
        ready = daemon.start()
        assert daemon.process is not None
        try:
            while not daemon.source()["last_good_poll"]:
                time.sleep(0.05)
            sampler = Sampler(daemon.process.pid, daemon.port, folder / "spool.db", daemon.note, [source, far])
            soak = Soak(asked, daemon, feed["url"], places["control"], sampler)
            soak.load()
            soak.drain()
            code = daemon.end(signal.SIGTERM)
            soak.hold(code == 0, f"the daemon ended with {code}: {(folder / 'daemon.log').read_text()[-2000:]}")
            judged = soak.flat(room_of_ids(folder / "spool.db"))
        finally:
            if daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
    load = soak.samples[-1]
    return {
        "asked": vars(asked),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "began": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(began)),
        "load_average": os.getloadavg(),
        "events": soak.total,
        "seconds_until_ready": round(ready, 2),
        "seconds_of_load": round(load.at, 1),
        "cpu_micros_per_event": round(load.cpu / soak.total * 1e6, 1),
        "rows": [
            {"name": each.row.name, "unit": each.row.unit, "flat": each.flat}
            | {name: getattr(each, name) for name in ("first", "last", "least", "most", "grew", "allowed")}
            for each in judged
        ],
        "facts": soak.facts,
        "failures": soak.failures,
        "samples": [asdict(sample) for sample in soak.samples],
    }


def table(found: dict) -> str:
    """Return what a person reads."""
    asked = found["asked"]
    title = (
        f"{found['events']:,} of {asked['events']:,} events in {found['seconds_of_load'] / 60:.1f} min, {found['machine']}; ready after "
        f"{found['seconds_until_ready']} s, {found['cpu_micros_per_event']} µs CPU an event with {len(asked['sinks'])} sinks and faults"
    )
    head = ("after the warm-up", "first quarter", "last quarter", "least", "most", "grew", "may grow")
    lines = [title, "{:<24} {:>14} {:>14} {:>10} {:>10} {:>9} {:>9}".format(*head)]
    lines += [
        f"{row['name'] + (', ' + row['unit'] if row['unit'] else ''):<24} {row['first']:>14,.1f} {row['last']:>14,.1f} "
        f"{row['least']:>10,.1f} {row['most']:>10,.1f} {row['grew']:>+9,.2f} {row['allowed']:>9,.2f}"
        f"{'' if row['flat'] else '  GROWS'}"
        for row in found["rows"]
    ]
    lines += [f"{name}: {figure}" for name, figure in found["facts"].items() if name != "faults by kind"]
    lines += [f"BROKEN: {failure}" for failure in found["failures"]] or ["kept: nothing missing, nothing grows"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long events happen")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument(
        "--warm-up", type=float, help="minutes before anything is judged; default: a quarter, 15 at most"
    )
    parser.add_argument("--retain", type=float, default=60.0, help="seconds that delivered events stay in the spool")
    parser.add_argument("--every", type=float, help="seconds between two samples; default: 10, less in short runs")
    parser.add_argument("--tell", type=float, default=30.0, help="seconds between two lines of progress")
    parser.add_argument(
        "--fault-every", type=float, default=15.0, help="seconds between two faults of one side; 0: none"
    )
    parser.add_argument(
        "--sinks", nargs="+", default=list(PLACES), choices=PLACES, metavar="SINK", help="fewer of them"
    )
    parser.add_argument("--leak", choices=sorted(LEAKS), default="", help="plant a leak, to see that it is noticed")
    parser.add_argument("--json", type=Path, help="write everything, samples included")
    parser.add_argument("--folder", help="where to work; a folder of its own is made inside")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process of ours stays behind
    if asked.warm_up is None:
        asked.warm_up = min(15.0, asked.minutes / 4)
    if asked.every is None:
        asked.every = min(10.0, asked.minutes * 60 / 60)
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-soak-", dir=asked.folder) as folder:
        found = run(asked, Path(folder))
    if asked.json:
        asked.json.write_text(json.dumps(found, default=str, indent=1))
    print(table(found), flush=True)
    sys.exit(1 if found["failures"] else 0)


if __name__ == "__main__":
    main()
