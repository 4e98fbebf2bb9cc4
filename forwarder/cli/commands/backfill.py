"""`backfill`: a stretch of history is read, and a person sees how far it came: start, list, pause, resume, cancel."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forwarder.admin.backfills import BackfillChoice, BackfillShown, BackfillWanted
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import console, page_rows, print_json, print_line, print_text
from forwarder.cli.times import minute, parse_options
from forwarder.config.problems import Problem, SettingsError
from forwarder.contracts.moments import iso_ms
from forwarder.exit_codes import ExitCode
from forwarder.observe.status_values import duration, events_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Literal

    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

LOOK_EVERY = 1.0
"""Seconds between two looks at how far it came."""

LINE_EVERY = 60.0
"""Seconds between two lines about it where there is no terminal."""

_HEAD = ("backfill", "source", "sink", "state", "from", "to", "read", "events", "left", "asked for")
_DONE = {"pause": "is paused", "resume": "goes on", "cancel": "is cancelled"}


@dataclass(frozen=True)
class Wanted:
    """What the options said."""

    source: str
    since: str
    until: str | None
    sink: str = ""

    def parsed(self) -> BackfillWanted:
        """Return it as the daemon understands it. Raises SettingsError."""
        now = time.time()
        problems: list[Problem] = []
        times = parse_options({"--from": self.since, "--to": self.until}, now, problems)
        if problems:
            raise SettingsError(problems)
        since_ms, until_ms = times["--from"], times["--to"]
        until_ms = int(now * 1000) if until_ms is None else until_ms
        return BackfillWanted(self.source, since_ms or 0, until_ms, self.sink)


def start(invocation: Invocation, wanted: Wanted, *, wait: bool) -> ExitCode:
    """Begin a backfill, and show how far it comes. Returns DEGRADED when it was cancelled meanwhile."""

    async def run(settings: Settings) -> ExitCode:
        asked = wanted.parsed()
        async with connect(settings) as found:
            shown = await found.ask("backfills.start", asked, BackfillShown)
            order = shown.order
            what = f"{shown.source} from {minute(order.since_ms)} to {minute(order.until_ms)}"
            print_text(f"backfill {shown.number}: {what}, for {order.sink or 'all sinks'}")
            if shown.other_ids_ms:
                moment = minute(shown.other_ids_ms)
                print_text(f"what lies before {moment} was read by another API, which gave its events other ids:")
                print_text("a sink that has them gets them once more")
            if not found.running:
                print_text("the daemon is not running; it begins when that starts: audit-forwarder run")
                return ExitCode.OK
            if not wait:
                print_text("see how far it came: audit-forwarder backfill list")
                return ExitCode.OK
            try:
                shown = await _follow(found, shown.number)
            except (KeyboardInterrupt, asyncio.CancelledError):
                print_text(f"it goes on; see audit-forwarder backfill list, or end it: backfill cancel {shown.number}")
                return ExitCode.OK
        print_text(f"backfill {shown.number} is {_state(shown, running=True)}: {events_text(shown.order.read)} read")
        return ExitCode.DEGRADED if shown.order.ended_by else ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def list_(invocation: Invocation, source: str, *, as_json: bool) -> ExitCode:
    """Show a table of the backfills on record."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            shown = await found.ask("backfills.list", BackfillChoice(source=source), list[BackfillShown])
            running = found.running
        if as_json:
            rows = [_as_dict(each, running=running) for each in shown]
            print_json({"backfills": rows})
            return ExitCode.OK
        intro = [] if shown else ["no backfill is on record"]
        page_rows([_row(each, running=running) for each in shown], head=_HEAD, intro=intro)
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def act(invocation: Invocation, what: Literal["pause", "resume", "cancel"], number: int) -> ExitCode:
    """Pause, resume or end a backfill and say how far it came."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            shown = await found.ask(f"backfills.{what}", BackfillChoice(number), BackfillShown)
        print_text(f"backfill {number} {_DONE[what]}: {100 * shown.share:.0f} %, {events_text(shown.order.read)} read")
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


# ----------------------------------------------------------------------------------------------------- how far it came


async def _follow(found: VerbClient, number: int) -> BackfillShown:
    """Show how far it comes until it is over: a bar on a terminal, a line a minute elsewhere."""
    begun = time.monotonic()
    told_at = begun
    if not sys.stdout.isatty():
        async for shown in _looks(found, number):
            if shown.order.is_open and time.monotonic() - told_at >= LINE_EVERY:
                told_at = time.monotonic()
                print_line(_progress(shown, told_at - begun))
        return shown
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        async for shown in _looks(found, number):
            rate = shown.order.read / max(time.monotonic() - begun, 1.0)
            paused = ", paused" if shown.order.paused else ""
            bar.update(
                task, completed=shown.share, description=f"{events_text(shown.order.read)}, {rate:.0f}/s{paused}"
            )
    return shown


async def _looks(found: VerbClient, number: int) -> AsyncIterator[BackfillShown]:
    """Yield the backfill every second until it is over."""
    while True:
        shown = (await found.ask("backfills.list", BackfillChoice(number), list[BackfillShown]))[0]
        yield shown
        if not shown.order.is_open:
            return
        await asyncio.sleep(LOOK_EVERY)


def _progress(shown: BackfillShown, seconds: float) -> str:
    rate = shown.order.read / max(seconds, 1.0)
    left = f"about {duration(seconds * (1 - shown.share) / shown.share)} left" if shown.share > 0 else "just begun"
    paused = f"; paused {shown.order.paused}" if shown.order.paused else ""
    share = f"{100 * shown.share:.0f} %, {events_text(shown.order.read)}"
    return f"backfill {shown.number}: {share}, {rate:.0f}/s, {left}{paused}"


def _state(shown: BackfillShown, *, running: bool) -> str:
    order = shown.order
    if not order.is_open:
        return "cancelled" if order.ended_by else "done"
    if order.paused:
        return "paused"
    return "reading" if running and shown.begun else "waits its turn" if running else "not running"


def _left_ms(shown: BackfillShown) -> int:
    """Return how much of the stretch is left, milliseconds of history."""
    order = shown.order
    return round((order.until_ms - order.since_ms) * (1 - shown.share)) if order.is_open else 0


def _row(shown: BackfillShown, *, running: bool) -> list[str]:
    order = shown.order
    return [
        *(str(shown.number), shown.source, order.sink or "all", _state(shown, running=running)),
        *(minute(order.since_ms), minute(order.until_ms), f"{100 * shown.share:.0f} %", str(order.read)),
        duration(_left_ms(shown) / 1000) if order.is_open else "-",
        f"{minute(order.asked_ms)} by {order.who}",
    ]


def _as_dict(shown: BackfillShown, *, running: bool) -> dict[str, object]:
    order = shown.order
    return {
        "number": shown.number,
        "source": shown.source,
        "sink": order.sink or None,
        "state": _state(shown, running=running),
        "from": iso_ms(order.since_ms),
        "to": iso_ms(order.until_ms),
        "reached": iso_ms(min(shown.reached_ms, order.until_ms)),
        "share": round(shown.share, 4),
        "events": order.read,
        "left_seconds": _left_ms(shown) / 1000,
        "who": order.who,
        "asked_for": iso_ms(order.asked_ms),
        "paused": order.paused or None,
        "ended": iso_ms(order.ended_ms or None),
        "ended_by": order.ended_by or None,
        "other_ids_before": iso_ms(shown.other_ids_ms or None),
    }
