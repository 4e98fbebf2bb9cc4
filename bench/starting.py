"""What a start costs, and what the daemon keeps in memory: `python -m bench.starting [--rounds 7] [--events 100000]`.

CPU is user and system of the whole process, as someone would call it who has called it before: with compiled modules.
The least of all rounds counts. Memory is the resident set, at rest half a minute after the start, and the highest while
events are read and delivered. Each figure stands beside its aim.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.harness import ROOT, ask, forwarder, free_port, helper, measure, write_config

COMMAND_CPU, READY, AT_REST, ONE_SINK, FOUR_SINKS = 0.3, 1.0, 60.0, 95.0, 105.0
"""Aims: seconds of CPU of a command, seconds until the daemon is ready, MB at rest, and at work with so many sinks."""

REST = 30.0
"""Seconds after which a daemon with nothing to do is at rest."""


class Started(NamedTuple):
    """Seconds until it was ready, its CPU by then, and its memory at rest in MB."""

    ready: float
    cpu: float
    rss: float


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _cpu_of(words: list[str]) -> float:
    """Return the CPU seconds of a command."""
    command = [sys.executable, "-m", "forwarder", *words]
    process = subprocess.Popen(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 4}:  # 4: the daemon is degraded, as it says
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def _daemon(config: Path, admin: int, log: Path):
    """Run a daemon; give its process, and how long it took to be ready."""
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(forwarder(config), cwd=ROOT, env=_environment(), stdout=out, stderr=out)
    try:
        while True:
            with contextlib.suppress(OSError):
                ask(f"http://127.0.0.1:{admin}/readyz")
                break
            if process.poll() is not None or time.monotonic() > begun + 60:
                raise SystemExit(f"the daemon is not ready: {log.read_text()[-2000:]}")
            time.sleep(0.005)
        yield psutil.Process(process.pid), time.monotonic() - begun
    finally:
        process.terminate()
        process.wait(60)


def start(folder: Path, feed: dict, drain: str, *, rest: float = 0.0) -> Started:
    """Start a daemon on an empty spool, with nothing to read but one page, and end it."""
    for old in folder.glob("start.db*"):
        old.unlink()
    admin = free_port()
    sinks = {"elastic": {"type": "elasticsearch", "url": drain, "unmanaged": True}}
    config = write_config(folder / "start.yaml", feed, sinks, spool=folder / "start.db", admin=admin)
    with _daemon(config, admin, folder / "start.log") as (process, ready):
        spent = process.cpu_times()
        time.sleep(rest)
        return Started(ready, spent.user + spent.system, process.memory_info().rss / 1e6)


def at_work(folder: Path, feed: dict, sinks: int) -> float:
    """Read and deliver all of a feed to so many sinks at once; return the highest resident set in MB."""
    for old in folder.glob("work.db*"):
        old.unlink()
    with contextlib.ExitStack() as stack:
        drains = [stack.enter_context(helper("bench.drain"))["url"] for _ in range(sinks)]
        lanes = {f"s{n}": {"type": "elasticsearch", "url": url, "unmanaged": True} for n, url in enumerate(drains)}
        config = write_config(folder / "work.yaml", feed, lanes, spool=folder / "work.db", admin=free_port())
        arrived = lambda: all(ask(url + "/count")["documents"] >= feed["events"] for url in drains)  # noqa: E731
        return measure(forwarder(config), feed["events"], arrived, log=folder / "work.log").rss / 1e6


def starting_costs(folder: Path, rounds: int, events: int) -> None:
    """Measure everything, and print it."""
    with helper("bench.feed", "500") as feed, helper("bench.drain") as drain:
        admin, url = free_port(), drain["url"]
        sinks = {"elastic": {"type": "elasticsearch", "url": url, "unmanaged": True}}
        config = write_config(folder / "asked.yaml", feed, sinks, spool=folder / "asked.db", admin=admin)
        commands = {word: [word, "-c", str(config)] for word in ("status", "check")} | {"--help": ["--help"]}
        _cpu_of(["--help"])
        cpu: dict[str, float] = dict.fromkeys(commands, float("inf"))
        starts = []
        for _ in range(rounds):
            # `check` tries the port, so it has its turn while no daemon runs.
            cpu["check"] = min(cpu["check"], _cpu_of(commands["check"]))
            cpu["--help"] = min(cpu["--help"], _cpu_of(commands["--help"]))
            with _daemon(config, admin, folder / "asked.log"):
                cpu["status"] = min(cpu["status"], _cpu_of(commands["status"]))
            starts.append(start(folder, feed, url))
        rest = start(folder, feed, url, rest=REST).rss
    print(f"\nstart-up and memory, best of {rounds}; load average {os.getloadavg()[0]:.1f}")
    for word in ("--help", "status", "check"):
        _show(f"{word}, CPU", cpu[word], COMMAND_CPU, "s")
    _show("daemon ready", min(one.ready for one in starts), READY, "s")
    print(f"  {'daemon ready, CPU':<45} {min(one.cpu for one in starts):7.2f} s")
    _show("memory at rest", rest, AT_REST, "MB")
    with helper("bench.feed", str(events)) as feed:
        for sinks, aim in ((1, ONE_SINK), (4, FOUR_SINKS)):
            _show(
                f"memory at work, {events} events, {sinks} sink{'s'[: sinks - 1]}",
                at_work(folder, feed, sinks),
                aim,
                "MB",
            )


def _show(what: str, found: float, aim: float, unit: str) -> None:
    digits = 2 if unit == "s" else 0
    verdict = "met" if found <= aim else "missed"
    print(f"  {what:<45} {found:7.{digits}f} {unit:<2}  aim {aim:.{digits and 1}f}: {verdict}", flush=True)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.starting", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--events", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-bench-") as folder:
        starting_costs(Path(folder), asked.rounds, asked.events)


if __name__ == "__main__":
    main()
