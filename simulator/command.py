"""The command `simulate`: serve a simulated Atlassian and say how to connect to it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from simulator.config import Products, RateLimits, SimulatorConfig, Switches
from simulator.faults import load_script
from simulator.organization import Organization
from simulator.simulator import Simulator, serve

if TYPE_CHECKING:
    from collections.abc import Sequence


def build_config(
    *,
    port: int = 0,
    seed: int = 1,
    events: int = 10_000,
    rate: float = 5.0,
    history: str = "7d",
    organizations: int = 1,
    faults: Path | None = None,
    switches: Sequence[str] = (),
    rate_limit: int = 50,
    ugc: str = "stored",
    records: int = 0,
) -> SimulatorConfig:
    """Return settings from what the command line says. Raises ValueError with what is wrong; OSError for the file."""
    words: dict[str, Any] = {"history": history, "ugc": ugc}
    return SimulatorConfig(
        port=port,
        seed=seed,
        events=events,
        rate=rate if events or not records else 0.0,  # who asks for no events wants sites alone
        organizations=organizations,
        faults=load_script(faults.read_text()) if faults else (),
        switches=Switches.parse(switches),
        limits=RateLimits(stream=rate_limit, events=10 if rate_limit else 0),
        products=Products(records=records, rate=min(rate, 1.0) if records else 0.0, requests=12 * rate_limit),
        **words,
    )


def write_history(config: SimulatorConfig, file: Path, now: float) -> int:
    """Write the events of all organizations up to a moment, as their API sends them, a line each; return how many.

    Raises OSError, also for a file that is there: nothing is overwritten.
    """
    lines = 0
    with file.open("xb") as stream:
        for number in range(config.organizations):
            for versions in Organization(config, number, now).feed.versions().values():
                stream.writelines(entry.body + b"\n" for entry in versions)
                lines += len(versions)
    return lines


def snippet(simulator: Simulator) -> str:
    """Return the YAML of sources that read everything the simulator serves."""
    lines = ["sources:"]
    for number, (ident, organization) in enumerate(simulator.organizations.items(), 1):
        if organization.feed or simulator.config.rate or not organization.sites:
            lines += [
                f"  simulated{number}:",
                "    type: organization",
                f"    base_url: {simulator.base_url}",
                f"    org_id: {ident}",
                f"    api_key: {organization.key.value}",
            ]
        for product in ("jira", "confluence") if organization.sites else ():
            lines += [
                f"  {product}{number}:",
                f"    type: {product}",
                f"    sites: [{', '.join(site.name for site in organization.sites)}]",
                f"    email: {organization.sites[0].email}",
                f"    token: {organization.sites[0].token}",
                f"    site_url: {simulator.base_url}/site/{{site}}",
                f"    gateway: {simulator.base_url}",
            ]
    return "\n".join(lines)


def simulate(config: SimulatorConfig, *, out: TextIO = sys.stdout) -> None:
    """Serve until SIGINT or SIGTERM; print how to connect, and then what is served.

    On a terminal one line is written over and over; elsewhere a line a minute.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(config, out))


async def _run(config: SimulatorConfig, out: TextIO) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watching: list[asyncio.Task[None]] = []

    def ready(simulator: Simulator) -> None:
        gc.freeze()  # a long history never goes away; looking through it again and again stalls answers
        print(
            f"# simulated Atlassian on {simulator.base_url}, ledger on {simulator.base_url}/_simulator/ledger", file=out
        )
        print(snippet(simulator), file=out, flush=True)
        watching.append(asyncio.create_task(_watch(simulator, out)))

    try:
        await serve(config, ready=ready, stop=stop)
    finally:
        for task in watching:
            task.cancel()


async def _watch(simulator: Simulator, out: TextIO) -> None:
    live = out.isatty()
    while True:
        await asyncio.sleep(1 if live else 60)
        print(
            f"\r\x1b[2K{status_line(simulator)}" if live else status_line(simulator), end="" if live else "\n", file=out
        )
        out.flush()


def status_line(simulator: Simulator) -> str:
    """Return what has been served so far, in one line."""
    ledger = simulator.ledger
    logs = [log.feed for site in simulator.sites.values() for log in site.logs.values()]
    existing = sum(map(len, [*(organization.feed for organization in simulator.organizations.values()), *logs]))
    faults = ", ".join(f"{name} {count}" for name, count in ledger.faults.items()) or "none"
    requests = sum(ledger.statuses.values())
    served = f"served {ledger.served_events} · torn {ledger.torn_events}"
    return f"events {existing} · requests {requests} · {served} · faults {faults}"
