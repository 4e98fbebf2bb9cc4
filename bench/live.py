"""How long an event takes, from the moment it can be read at the API to its arrival at each far end.

One daemon with all sinks at once, events that happen at an even rate, the settings of the product. The first moment is the
simulator's own record of it, the last one is noted by the far end, and both are clocks of this machine. What passes until
the page is read is the waiting for the next look (`every`); the rest is ours, and told apart.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.arrivals import UUID
from bench.harness import ROOT, ask, forwarder, free_port, helper, write_config

LONGEST = 60.0
"""Seconds to wait for the last events after the looks are over."""


class Delays(NamedTuple):
    """Seconds that events took: from visible, and from read; for half of them, and for all but one in a hundred."""

    events: int
    visible_p50: float
    visible_p99: float
    read_p50: float
    read_p99: float


class Live(NamedTuple):
    """What came of a live stream: the delays by sink, none where nothing happens, and the requests a minute by reader."""

    delays: dict[str, Delays]
    requests: dict[str, float]


class Tail:
    """Notes when a line of a file was first seen."""

    def __init__(self, path: Path) -> None:
        self.arrived: dict[str, float] = {}
        self._path = path
        self._stop = threading.Event()

    def _follow(self) -> None:
        rest, at = b"", 0
        while not self._stop.wait(0.01):
            if not self._path.exists():
                continue
            with self._path.open("rb") as file:
                file.seek(at)
                content = file.read()
            at, now = at + len(content), time.time()
            whole, end, rest = (rest + content).rpartition(b"\n")
            for found in UUID.findall(whole + end):
                self.arrived.setdefault(found.decode(), now)

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        thread = threading.Thread(target=self._follow)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def measure_live(
    folder: Path, sinks: dict[str, dict], *, rate: float, looks: int, every: float = 30.0, limit: int | None = None
) -> Live:
    """Return what came of it. Settings hold no address: `http`, `tcp` or `relp` stands in `far`, or nothing.

    Args:
        folder: Is made.
        sinks: By title.
        rate: Events a second.
        looks: So many times `every` are measured.
        every: Seconds.
        limit: Requests a minute that the API takes, 0 where it says nothing; None asks as often as it likes.
    """
    folder.mkdir()
    admin = free_port()
    source: dict = {"since": "1h", "every": every} | ({} if limit is None else {"budget": None})
    names = {f"s{number}": title for number, title in enumerate(sinks)}
    wanted = [f"{name}={sinks[title]['far']}" for name, title in names.items() if sinks[title]["far"]]
    files = {name: Tail(folder / f"{name}.ndjson") for name, title in names.items() if not sinks[title]["far"]}
    with (
        helper("bench.feed", "0", str(rate), str(limit or 0)) as feed,
        helper("bench.arrivals", *wanted) as far,
        contextlib.ExitStack() as stack,
    ):
        configured = {}
        for name, title in names.items():
            if name in files:
                stack.enter_context(files[name].following())
                place = {"path": str(folder / f"{name}.ndjson")}
            else:
                address, settings = far["addresses"][name], sinks[title]
                place = {settings["where"]: address + settings.get("path", "")}
            configured[name] = {**sinks[title]["settings"], **place}
        path = write_config(
            folder / "config.yaml", feed, configured, spool=folder / "spool.db", admin=admin, source=source
        )
        out = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(forwarder(path), stdout=out, stderr=out, cwd=ROOT)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        first = time.time() + 2 * every + 5  # the start is over
        last = first + looks * every
        time.sleep(first - time.time())
        before = _requests(admin)
        time.sleep(last - time.time())
        after = _requests(admin)
        with urllib.request.urlopen(f"{feed['url']}/_simulator/ledger?versions=1", timeout=30) as answer:
            versions = json.load(answer)["versions"][feed["org"]]
        visible = {ident: found[0]["visible_ms"] / 1000 for ident, found in versions.items()}
        wanted_ids = {ident for ident, moment in visible.items() if first <= moment < last}
        deadline = time.time() + every + LONGEST
        while time.time() < deadline:
            arrivals = ask(far["control"] + "/arrivals") | {name: tail.arrived for name, tail in files.items()}
            if all(wanted_ids <= found.keys() for found in arrivals.values()):
                break
            time.sleep(1)
        log = ask(f"{feed['url']}/_simulator/ledger?requests=1")["log"]
        read: dict[str, float] = {}
        for request in log:
            for ident in request["ids"]:
                read.setdefault(ident, request["at"])
    if process.returncode:
        raise SystemExit(f"the daemon ended with {process.returncode}: {(folder / 'log').read_text()[-2000:]}")
    delays = (
        {title: _delays(wanted_ids, visible, read, arrivals[name]) for name, title in names.items()} if rate else {}
    )
    minutes = (last - first) / 60
    return Live(delays, {reader: (count - before[reader]) / minutes for reader, count in after.items()})


def _requests(admin: int) -> dict[str, int]:
    """Return the requests of the source by reader."""
    found: dict[str, int] = ask(f"http://127.0.0.1:{admin}/status")["sources"][0]["requests_by_reader"]
    return found


def _delays(ids: set[str], visible: dict[str, float], read: dict[str, float], arrived: dict[str, float]) -> Delays:
    missing = ids - arrived.keys()
    if missing or len(ids) < 2:
        raise SystemExit(f"{len(missing)} of {len(ids)} events did not arrive in time; {next(iter(missing), '')}")
    whole = statistics.quantiles([arrived[ident] - visible[ident] for ident in ids], n=100)
    ours = statistics.quantiles([arrived[ident] - read[ident] for ident in ids], n=100)
    return Delays(len(ids), whole[49], whole[98], ours[49], ours[98])
