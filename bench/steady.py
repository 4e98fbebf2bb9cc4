"""What the daemon costs while it follows a live stream: CPU of the whole process, between two moments of its life.

Its sinks stay at the tip, side by side, as they are nearly always. The start is over before the first look at the clock,
so nothing has to be taken off; reading and spooling is in it, and goes out in the difference of two runs.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.harness import LONGEST, ROOT, Cost, ask, forwarder, helper, write_config

WARM = 2000
"""Events before the measured ones."""

STEP = 0.25
"""Seconds between two growths of the stream, and between two looks of the daemon."""


def steady(folder: Path, sinks: dict[str, dict], arrived: Callable[[int], bool], *, events: int, rate: int) -> Cost:
    """Let `events` happen at `rate` a second, and return what they cost; `arrived` says whether so many are everywhere."""
    for old in folder.glob("steady.db*"):
        old.unlink()
    with helper("bench.stream", str(WARM), "417") as feed, (folder / "log").open("wb") as log:
        source = {"since": "30d", "every": STEP}
        path = write_config(folder / "config.yaml", feed, sinks, spool=folder / "steady.db", admin=0, source=source)
        process = subprocess.Popen(forwarder(path), stdout=log, stderr=log, cwd=ROOT)
        try:
            _until(lambda: arrived(WARM), folder)
            watched = psutil.Process(process.pid)
            before, begun = _cpu(watched), time.monotonic()
            grown = 0
            while grown < events:
                by = min(events, int((time.monotonic() - begun) * rate)) - grown
                if by:
                    ask(f"{feed['url']}/grow?by={by}")
                grown += by
                time.sleep(STEP)
            _until(lambda: arrived(WARM + events), folder)
            seconds = time.monotonic() - begun
            return Cost(events, _cpu(watched) - before, seconds, watched.memory_info().rss)
        finally:
            process.terminate()
            process.wait(60)


def _cpu(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def _until(holds: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + LONGEST
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"the events do not arrive: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.1)
