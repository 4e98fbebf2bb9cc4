"""`python -m bench.worst`: the most memory that hostile input takes the daemon to, with the settings it comes with.

Every case is a daemon of its own, with four sinks where it names no other number. Printed are the highest resident set,
the CPU it took, and the longest that `/livez` let anybody wait meanwhile. The README and the chart promise 400 MB, and 20
for each sink beyond four; a case above it is an error.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
import yaml

from bench.harness import ROOT, ask, forwarder, free_port, helper
from bench.hostile import BAD, PAGES

PROMISED, FURTHER = 400, 20
"""MB with four sinks, and for each further one."""

SECONDS = 12.0
"""How long a daemon has for a case, once it has asked."""


def promised(sinks: int) -> int:
    """Return the most memory that so many sinks may take, MB."""
    return PROMISED + FURTHER * max(0, sinks - 4)


def config(folder: Path, feed: dict, admin: int, number: int) -> Path:
    url = feed["url"]
    sinks: dict[str, dict] = {}
    for group in range(number // 4):
        own = f"{url}/{group}"
        sinks |= {
            f"elastic{group}": {"type": "elasticsearch", "url": own, "unmanaged": True},
            f"splunk{group}": {"type": "splunk_hec", "url": own, "token": "token-of-the-bench-5d20b8"},
            f"http{group}": {"type": "http", "url": own + "/lines"},
            f"file{group}": {"type": "file", "path": str(folder / f"out{group}.ndjson")},
        }
    tree = {
        "spool": {"path": str(folder / "spool.db")},
        "sources": {"org": {"type": "organization", "org_id": feed["org"], "api_key": feed["key"], "base_url": url}},
        "sinks": sinks,
        "admin": {"listen": f"127.0.0.1:{admin}"},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def wait_for_livez(admin: int) -> float:
    """Return how long an answer took, seconds; 0 while no one listens."""
    begun = time.monotonic()
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{admin}/livez", timeout=60):
        return time.monotonic() - begun
    return 0.0


def peak(pid: int) -> float:
    """Return the highest resident set, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def run(case: str, seconds: float) -> tuple[float, float]:
    """Return the highest resident set and what was promised, MB."""
    admin, number = free_port(), BAD[case].sinks if case in BAD else 4
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-worst-") as name, helper("bench.hostile", case) as feed:
        folder = Path(name)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(forwarder(config(folder, feed, admin, number)), stdout=log, stderr=log, cwd=ROOT)
        try:
            longest, end = 0.0, float("inf")
            while process.poll() is None and time.monotonic() < end:
                longest = max(longest, wait_for_livez(admin))
                if end == float("inf") and ask(feed["url"] + "/count")["asked"]:
                    end = time.monotonic() + seconds
                time.sleep(0.05)
            if process.poll() is not None:
                raise SystemExit(f"{case}: the daemon ended: {(folder / 'log').read_text()[-2000:]}")
            found, spent = peak(process.pid), psutil.Process(process.pid).cpu_times()
            count = ask(feed["url"] + "/count")
        finally:
            process.terminate()
            process.wait(60)
    print(
        f"{case:<40} {found:>6.0f} MB {spent.user + spent.system:>7.1f} s CPU {longest:>7.2f} s to /livez "
        f"{count['asked']:>4} asked {count['documents']:>5} delivered",
        flush=True,
    )
    return found, promised(number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.worst", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    asked = parser.parse_args()
    found = [(case, *run(case, asked.seconds)) for case in (*PAGES, *BAD) if asked.only in case]
    above = [case for case, most, limit in found if most > limit]
    print(f"worst: {max(most for _, most, _ in found):.0f} MB; above what is promised: {', '.join(above) or 'none'}")
    sys.exit(bool(above))


if __name__ == "__main__":
    main()
