"""Processes of a bench: a feed, a drain, and the one that is measured.

CPU is user + system of the measured process and its children, read when it has ended; feed, drain and harness do not
count. Memory is the highest resident set seen while it ran. The clock is shown too, but it belongs to the whole machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

LONGEST = 300.0
"""Seconds a run may take; a bench that hangs measures nothing."""

ROOT = Path(__file__).resolve().parent.parent


_HELD: list[socket.socket] = []


def free_port() -> int:
    """Choose a port and keep it from others: bound, and not listened on, until this process ends."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # both sides set it, so that the daemon can take it
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return int(held.getsockname()[1])


@dataclass
class Cost:
    """What a run cost."""

    events: int
    cpu: float
    seconds: float
    rss: int

    @property
    def micros(self) -> float:
        """CPU microseconds per event."""
        return self.cpu / self.events * 1e6

    @property
    def rate(self) -> float:
        """Events per second of wall clock."""
        return self.events / self.seconds


@contextlib.contextmanager
def helper(module: str, *words: str) -> Iterator[dict]:
    """Run a module as a process that prints one line of JSON when it is ready; give that line."""
    process = subprocess.Popen([sys.executable, "-m", module, *words], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def ask(url: str) -> dict:
    """Return the JSON at a URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: dict = json.load(answer)
        return found


def measure(
    command: list[str],
    events: int,
    done: Callable[[], bool] | None,
    *,
    log: Path,
    env: dict[str, str] | None = None,
    longest: float = LONGEST,
    any_end: bool = False,
) -> Cost:
    """Run a command until `done`, end it with SIGTERM, and return what it cost; without `done` it ends by itself.

    Args:
        command: What is measured.
        events: Events that the cost is divided by.
        done: Tells when it is to end.
        log: Where its output goes.
        env: Added to the environment.
        longest: Seconds it may take.
        any_end: It may end with any exit code once it is done.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "0", **(env or {})}
        )
    watched, rss = psutil.Process(process.pid), 0
    limit = begun + longest
    finished = False
    while not (finished := bool(done and done())):
        with contextlib.suppress(psutil.Error):
            rss = max(rss, watched.memory_info().rss)
        if process.poll() is not None or time.monotonic() > limit:
            break
        time.sleep(0.02)
    seconds = time.monotonic() - begun
    with contextlib.suppress(psutil.Error):
        rss = max(rss, watched.memory_info().rss)
    if process.poll() is None:
        process.terminate()
    process.wait(60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if (process.returncode and not any_end) or (done and not finished):
        late = f"was not done after {seconds:.0f} s of at most {longest:.0f}, and" if seconds >= longest else "has"
        raise SystemExit(f"{command} {late} ended with {process.returncode}: {log.read_text()[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(events, cpu, seconds, rss)


def forwarder(config: Path) -> list[str]:
    """Return the command line of the daemon."""
    return [sys.executable, "-m", "forwarder", "run", "-c", str(config)]


def write_config(path: Path, feed: dict, sinks: dict, *, spool: Path, admin: int, source: dict | None = None) -> Path:
    """Write a configuration without limits of pace; `source` changes its source, None takes a setting out."""
    tree: dict = {
        "spool": {"path": str(spool), "max_bytes": "8GiB"},
        "sources": {
            "bench": {
                "type": "organization",
                "org_id": feed["org"],
                "api_key": feed["key"],
                "base_url": feed["url"],
                "budget": "free",
                "since": "7d",
                "retry": {"base": "10s", "max": "10s"},
            }
        },
        "sinks": sinks,
        "budgets": {"free": {"requests_per_minute": 1_000_000}},
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "log": {"level": "warning"},
    }
    changed = tree["sources"]["bench"] | (source or {})
    tree["sources"]["bench"] = {name: value for name, value in changed.items() if value is not None}
    path.write_text(yaml.safe_dump(tree))
    return path
