"""`make backlog`: a sink that is dead for a day at full rate, beside one that is well; then it comes back.

    make backlog ARGS="--events 36000000"      # 24 h at 417 events a second

A real daemon follows `bench.stream` through its own source and poller. While the backlog grows the memory and the lag
of the good lane are sampled; then the daemon is killed (kill -9), started on the backlog and timed, and the dead sink
comes back. The far ends count which events they have, so a missing one cannot hide behind a doubled one. At last the
same on a small spool, which fills up: with `on_full: pause` and with `detach`. Ends with 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

from bench.harness import ROOT, ask, forwarder, free_port, helper

RATE = 417
"""Events a second: the highest rate the API can be read at."""

READY_WITHIN = 2.0
MOST_GROWTH = 24e6
"""Bytes by which the resident set may differ between the first tenth of a long stretch and its last."""


class Daemon:
    """One life of the forwarder after the other, watched from outside."""

    def __init__(self, folder: Path, tree: dict) -> None:
        self.folder, self.port = folder, free_port()
        tree = {**tree, "admin": {"listen": f"127.0.0.1:{self.port}"}, "log": {"level": "warning", "format": "json"}}
        tree["shutdown"] = {"grace": "60s"}
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(tree))
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        return forwarder(self.config)

    def start(self) -> float:
        """Start; return the seconds until it was ready."""
        began = time.monotonic()
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=ROOT)
        while True:
            with contextlib.suppress(OSError):
                ask(f"http://127.0.0.1:{self.port}/readyz")
                return time.monotonic() - began
            self._must_live()
            time.sleep(0.01)

    def status(self) -> dict:
        self._must_live()
        return ask(f"http://127.0.0.1:{self.port}/status")

    def sink(self, name: str) -> dict:
        return next(sink for sink in self.status()["sinks"] if sink["name"] == name)

    def source(self) -> dict:
        return dict(self.status()["sources"][0])

    def rss(self) -> int:
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def cpu(self) -> float:
        assert self.process is not None
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(120)

    def _must_live(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise SystemExit(f"the daemon ended by itself; see {self.folder / 'daemon.log'}")


class Stretch:
    """Samples of one stretch of time: memory, lag of the good lane, and how far it came."""

    def __init__(self, title: str, daemon: Daemon, target: int) -> None:
        self.title, self.daemon, self.target = title, daemon, target
        self.rss: list[int] = []
        self.lags: list[int] = []
        self.seconds = self.cpu = 0.0

    def until(self, done: Callable[[], int], *, every: float = 1.0) -> Stretch:
        """Sample until `done` gives the target, telling now and then."""
        began = printed_at = time.monotonic()
        before, first = self.daemon.cpu(), done()
        while (reached := done()) < self.target:
            self.sample()
            if time.monotonic() - printed_at > 30:
                printed_at = time.monotonic()
                rate = (reached - first) / (printed_at - began)
                print(
                    f"  {self.title}: {reached:>11,} of {self.target:,}  {rate:7,.0f} events/s  "
                    f"{self.rss[-1] / 1e6:4.0f} MB  good lane behind by {self.lags[-1]:,}",
                    flush=True,
                )
            time.sleep(every)
        self.sample()
        self.seconds, self.cpu = time.monotonic() - began, self.daemon.cpu() - before
        return self

    def sample(self) -> None:
        self.rss.append(self.daemon.rss())
        self.lags.append(int(self.daemon.sink("good")["lag_events"]))

    def growth(self) -> float:
        """Return by how many bytes the middle sample of the last tenth differs from that of the first full tenth."""
        tenth = max(1, len(self.rss) // 10)
        early, late = sorted(self.rss[tenth : 2 * tenth] or self.rss), sorted(self.rss[-tenth:])
        return late[len(late) // 2] - early[len(early) // 2]

    def tell(self, events: int) -> None:
        lags = sorted(self.lags)
        print(
            f"{self.title}: {events:,} events in {self.seconds:.0f} s, {events / self.seconds:,.0f} events/s, "
            f"{self.cpu / events * 1e6:.1f} µs CPU an event; memory {min(self.rss) / 1e6:.0f} to "
            f"{max(self.rss) / 1e6:.0f} MB, growth {self.growth() / 1e6:+.1f} MB; good lane behind by "
            f"{lags[len(lags) // 2]:,} (median), {lags[-1]:,} (most)",
            flush=True,
        )


class Promises:
    """What was promised and whether it was kept."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def hold(self, what: str, kept: bool, figure: object) -> None:
        print(f"  {'kept  ' if kept else 'BROKEN'}  {what}: {figure}", flush=True)
        if not kept:
            self.broken.append(what)


def tree(feed: dict, spool: dict, good: str, dead: str, **more: object) -> dict:
    sink = {"type": "elasticsearch", "unmanaged": True, "compress": False, "retry": {"base": "100ms", "max": "2s"}}
    return {
        "spool": spool,
        "sources": {
            "acme": {
                "type": "organization",
                "org_id": feed["org"],
                "api_key": feed["key"],
                "base_url": feed["url"],
                "budget": "free",
                "since": "30d",
                "every": "500ms",
            }
        },
        "sinks": {"dead": {**sink, "url": dead, **more}, "good": {**sink, "url": good, "format": "raw"}},
        "budgets": {"free": {"requests_per_minute": 6_000_000}},
    }


def different(far: dict) -> int:
    return int(ask(far["url"] + "/count")["different"])


def books(daemon: Daemon, sink: str) -> dict:
    return next(line for line in daemon.status()["books"] if line["sink"] == sink)


def until(holds: Callable[[], bool], *, seconds: float = 300.0) -> bool:
    """Wait; return whether it came to hold."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.2)
    return held


def day_long(folder: Path, events: int, promises: Promises, live: float, form: str) -> None:
    """Let the backlog grow, kill, start, live on, and let the dead sink come back."""
    folder.mkdir(parents=True, exist_ok=True)
    total = events + int(live * RATE) * 2
    dead_port = free_port()
    with (
        helper("bench.stream", str(events), str(RATE)) as feed,
        helper("bench.drain", "0", str(total)) as good,
    ):
        spool = {"path": str(folder / "spool.db"), "max_bytes": "64GiB"}
        daemon = Daemon(folder, tree(feed, spool, good["url"], f"http://127.0.0.1:{dead_port}", format=form))
        print(f"ready after {daemon.start():.2f} s with an empty spool", flush=True)
        fill = Stretch("the sink is dead", daemon, events).until(lambda: different(good))
        fill.tell(events)
        promises.hold(
            "memory flat while the backlog grows", fill.growth() < MOST_GROWTH, f"{fill.growth() / 1e6:+.1f} MB"
        )
        size = sum(file.stat().st_size for file in folder.glob("spool.db*") if file.suffix not in {".lock", ".reserve"})
        waiting = books(daemon, "dead")["waiting"]
        promises.hold("everything waits for the dead sink", waiting == events, f"{waiting:,} events")
        print(f"the spool holds {size / 1e9:.2f} GB, {size / events:.0f} bytes an event", flush=True)
        lag = grow(daemon, feed, good, events, live)
        promises.hold("the good lane lives beside the backlog", lag < 10 * RATE, f"behind by at most {lag:,} events")

        daemon.end(signal.SIGKILL)
        ready = [daemon.start()]
        for number in (signal.SIGKILL, signal.SIGTERM):
            daemon.end(number)
            ready.append(daemon.start())
        found = ", ".join(f"{seconds:.2f} s" for seconds in ready)
        promises.hold("ready soon with the backlog", min(ready) < READY_WITHIN, f"{found} (twice killed, once stopped)")
        lag = grow(daemon, feed, good, events + int(live * RATE), live)
        promises.hold("the good lane lives after the start", lag < 10 * RATE, f"behind by at most {lag:,} events")

        with helper("bench.drain", str(dead_port), str(total)) as back:
            drain = Stretch("the sink is back", daemon, total).until(lambda: different(back))
            drain.tell(total)
            promises.hold(
                "memory flat while it drains", drain.growth() < MOST_GROWTH, f"{drain.growth() / 1e6:+.1f} MB"
            )
            until(lambda: not books(daemon, "dead")["waiting"] and not books(daemon, "good")["waiting"])
            for name, far in (("dead", back), ("good", good)):
                line, count = books(daemon, name), ask(far["url"] + "/count")
                figure = f"{count['different']:,} of {total:,}; {count['documents'] - count['different']:,} came twice"
                promises.hold(f"nothing missing at the {name} sink", count["different"] == total, figure)
                promises.hold(f"the books of the {name} sink balance", is_even(line, accepted=total), line)
        code = daemon.end(signal.SIGTERM)
        promises.hold("it stops in order", code == 0, f"exit code {code}")


def is_even(line: dict, **wanted: int) -> bool:
    outcomes = sum(count for name, count in line.items() if name not in {"source", "sink", "spooled", "balance"})
    return line["spooled"] == outcomes and all(line[name] == count for name, count in wanted.items())


def grow(daemon: Daemon, feed: dict, good: dict, have: int, seconds: float) -> int:
    """Let live events happen at the full rate; return the most that the good lane was behind."""
    worst, began, grown = 0, time.monotonic(), 0
    wanted = int(seconds * RATE)
    while grown < wanted:
        by = min(wanted, int((time.monotonic() - began) * RATE)) - grown
        grown += by
        if by:
            ask(f"{feed['url']}/grow?by={by}")
        worst = max(worst, have + grown - different(good))
        time.sleep(0.1)
    if not until(lambda: different(good) >= have + wanted):
        raise SystemExit("the good lane does not get the live events")
    del daemon
    return worst


def full_spool(folder: Path, events: int, on_full: str, promises: Promises) -> None:
    """Let a small spool fill up; then let the dead sink come back."""
    folder.mkdir(parents=True)
    dead_port = free_port()
    with helper("bench.stream", str(events), str(RATE)) as feed, helper("bench.drain", "0", str(events)) as good:
        spool = {"path": str(folder / "spool.db"), "max_bytes": "16MiB"}
        dead = f"http://127.0.0.1:{dead_port}"
        daemon = Daemon(folder, tree(feed, spool, good["url"], dead, on_full=on_full))
        daemon.start()
        if on_full == "pause":
            paused = until(lambda: daemon.source()["state"] == "paused")
            held = int(daemon.source()["spooled"])
            had = until(lambda: different(good) >= held)
            promises.hold("pause: the reading pauses", paused and held < events, f"after {held:,} of {events:,} events")
            promises.hold("pause: the good sink has what was read", had, f"{different(good):,}")
        else:
            went_on = until(lambda: different(good) >= events)
            gaps = [gap for gap in daemon.status()["spool"]["gaps"] if gap["cause"] == "detached"]
            lost = sum(gap["events"] for gap in gaps)
            promises.hold("detach: the good sink has everything", went_on, f"{different(good):,} of {events:,}")
            promises.hold("detach: the gap is on record", lost > 0, f"{lost:,} events in {len(gaps)} gaps")
        with helper("bench.drain", str(dead_port), str(events)) as back:
            until(lambda: all(books(daemon, name)["spooled"] >= events for name in ("dead", "good")))
            until(lambda: not any(books(daemon, name)["waiting"] for name in ("dead", "good")))
            line, count = books(daemon, "dead"), different(back)
            missing = events - count
            detached = line["detached"]
            promises.hold(
                f"{on_full}: what the dead sink lacks is what was detached", missing == detached, f"{missing:,} missing"
            )
            gaps = [gap for gap in daemon.status()["spool"]["gaps"] if gap["cause"] == "detached"]
            in_gaps = sum(gap["events"] for gap in gaps)
            promises.hold(f"{on_full}: the gaps say what was detached", in_gaps == detached, f"{in_gaps:,} events")
            even = is_even(line, waiting=0) and (on_full == "detach") == (detached > 0)
            promises.hold(f"{on_full}: the books balance", even, line)
            promises.hold(
                f"{on_full}: nothing missing at the good sink", different(good) == events, f"{different(good):,}"
            )
        promises.hold(f"{on_full}: it stops in order", daemon.end(signal.SIGTERM) == 0, "exit code 0")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.outage", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--live", type=float, default=15.0, help="seconds of live events beside the backlog")
    parser.add_argument(
        "--small", type=int, default=300_000, help="events for the spool that fills up; 0 leaves it out"
    )
    parser.add_argument("--format", default="ecs", help="of the dead sink; `raw` drains twice as fast")
    parser.add_argument("--folder", help="where to work; a folder of its own is made inside")
    asked = parser.parse_args()
    promises, began = Promises(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-outage-", dir=asked.folder) as name:
        folder = Path(name)
        for on_full in ("pause", "detach") if asked.small else ():
            print(f"a spool of 16 MiB fills up; on_full: {on_full}", flush=True)
            full_spool(folder / on_full, asked.small, on_full, promises)
        if asked.events:
            print(f"a sink is dead for {asked.events / RATE / 3600:.1f} h at {RATE} events/s", flush=True)
            day_long(folder / "day", asked.events, promises, asked.live, asked.format)
    print(
        f"{len(promises.broken)} promises broken {promises.broken or ''}, {time.monotonic() - began:.0f} s", flush=True
    )
    sys.exit(1 if promises.broken else 0)


if __name__ == "__main__":
    main()
