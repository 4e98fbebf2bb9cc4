"""How long an event of a live organization takes until a sink has it, with the settings as they come.

    python -m bench.latency [--rate 20] [--minutes 3] [--limit 50]

The daemon follows the simulator, which lets `rate` events a second happen and a key ask `limit` times a minute, as the
API does (0: it says nothing of its limits, and the daemon asks ten times a minute). The sink is a file. Also says how
often the API was asked, and how often by an organization in which nothing happens. Ends with 1 above the aims.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.live import Live, measure_live

AIMS = (5.0, 12.0)
"""Seconds from visible to accepted: half of the events, and 99 of 100."""

FILE = {"file raw": {"settings": {"type": "file", "format": "raw"}, "far": "", "where": "path"}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rate", type=float, default=20.0, help="events a second")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--limit", type=int, default=50, help="requests a minute that the API takes")
    asked = parser.parse_args()
    found: dict[float, Live] = {}
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-latency-") as folder:
        for rate in (asked.rate, 0.0):
            place = Path(folder) / f"{rate:g}"
            looks = round(asked.minutes * 2)
            found[rate] = measure_live(place, FILE, rate=rate, looks=looks, limit=asked.limit)
    busy, quiet = found[asked.rate], found[0.0]
    [delays] = busy.delays.values()
    print(f"{delays.events} events, {asked.rate:g} a second; {asked.limit or 'no'} requests a minute by the API's word")
    print(f"{'':<22} {'p50 s':>7} {'p99 s':>7}")
    print(f"{'visible to accepted':<22} {delays.visible_p50:>7.2f} {delays.visible_p99:>7.2f}")
    print(f"{'read to accepted':<22} {delays.read_p50:>7.2f} {delays.read_p99:>7.2f}")
    for live, where in ((busy, "there"), (quiet, "where nothing happens")):
        by_reader = ", ".join(f"{reader} {count:.1f}" for reader, count in live.requests.items() if count)
        print(f"requests a minute {where}: {sum(live.requests.values()):.1f} ({by_reader})")
    met = (delays.visible_p50 <= AIMS[0], delays.visible_p99 <= AIMS[1])
    for aim, is_met, name in zip(AIMS, met, ("p50", "p99"), strict=True):
        print(f"{'met' if is_met else 'MISSED'}: {name} of {aim:g} s")
    raise SystemExit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
