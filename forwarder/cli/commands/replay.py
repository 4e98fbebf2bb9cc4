"""`replay`: events are sent to a sink once more, and a person sees how far it came: start, list, cancel."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.replays import ReplayChoice, ReplayShown
from forwarder.cli.commands.archive_import import import_archive
from forwarder.cli.commands.replay_choice import Choice
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import console, page_rows, print_json, print_line, print_text
from forwarder.cli.times import minute
from forwarder.contracts.moments import iso_ms, whole_seconds
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode
from forwarder.observe.status_values import events_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings
    from forwarder.spool.operations import Replay

__all__ = ["Choice", "cancel", "list_", "start"]

LOOK_EVERY = 1.0
"""Seconds between two looks at how far it came."""

LINE_EVERY = 30.0
"""Seconds between two lines about it where there is no terminal."""

_HEAD = ("replay", "sink", "state", "events from", "to", "where", "sent", "rejected", "left out", "left", "asked for")


def start(invocation: Invocation, choice: Choice, *, wait: bool) -> ExitCode:
    """Begin a replay, and show how far it comes. Returns DEGRADED when not all of it was sent."""
    settings = invocation.settings()
    if choice.since in settings.sinks:
        return import_archive(invocation, choice.of_archive())

    archives = [name for name, sink in settings.sinks.items() if sink.type == "archive"]

    async def run() -> ExitCode:
        wanted = choice.wanted(settings)
        async with connect(settings) as found:
            shown = await found.ask("replays.begin", wanted, ReplayShown)
            replay = shown.replay
            print_text(f"replay {replay.number}: {_amount(replay)} to {replay.sink}")
            for line in _absent(replay, archives):
                print_line(line)
            if not found.running:
                print_text("the daemon is not running; it begins when that starts: audit-forwarder run")
                return ExitCode.OK
            if not wait:
                print_text("see how far it came: audit-forwarder replay list")
                return ExitCode.OK
            try:
                replay = await _follow(found, replay)
            except (KeyboardInterrupt, asyncio.CancelledError):
                print_text(f"it goes on; see audit-forwarder replay list, or end it: replay cancel {replay.number}")
                return ExitCode.OK
        print_text(_outcome(replay))
        return ExitCode.DEGRADED if replay.rejected or replay.detached else ExitCode.OK

    return asyncio.run(run())


def list_(invocation: Invocation, *, as_json: bool) -> ExitCode:
    """Show a table of the replays on record."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            shown = await found.ask("replays.list", ReplayChoice(), list[ReplayShown])
            running = found.running
        if as_json:
            rows = [_as_dict(each) for each in shown]
            print_json({"replays": rows})
            return ExitCode.OK
        intro = [] if shown else ["no replay is on record"]
        page_rows([_row(each, running=running) for each in shown], head=_HEAD, intro=intro, usual={"where": "-"})
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def cancel(invocation: Invocation, number: int) -> ExitCode:
    """End a replay and say how far it came."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            shown = await found.ask("replays.cancel", ReplayChoice(number), ReplayShown)
        print_text(_outcome(shown.replay))
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


# ----------------------------------------------------------------------------------------------------- how far it came


async def _follow(found: VerbClient, replay: Replay) -> Replay:
    """Show how far it comes until it ends: a bar on a terminal, lines of text elsewhere."""
    if not sys.stdout.isatty():
        told_at = time.monotonic()
        async for shown in _looks(found, replay.number):
            replay = shown.replay
            if replay.is_open and time.monotonic() - told_at >= LINE_EVERY:
                told_at = time.monotonic()
                print_text(_progress(shown))
        return replay
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task("", total=replay.events)
        async for shown in _looks(found, replay.number):
            replay = shown.replay
            trouble = f"{shown.state}: {shown.reason}" if shown.reason else ""
            bar.update(task, completed=replay.events - replay.waiting, description=visible(trouble))
    return replay


async def _looks(found: VerbClient, number: int) -> AsyncIterator[ReplayShown]:
    """Yield the replay every second until it has ended."""
    while True:
        shown = (await found.ask("replays.list", ReplayChoice(number), list[ReplayShown]))[0]
        yield shown
        if not shown.replay.is_open:
            return
        await asyncio.sleep(LOOK_EVERY)


def _progress(shown: ReplayShown) -> str:
    replay = shown.replay
    share = 100 * (replay.events - replay.waiting) / max(replay.events, 1)
    trouble = f"; {shown.state}: {visible(shown.reason)}" if shown.reason else ""
    return f"replay {replay.number}: {share:.0f} %, {events_text(replay.waiting)} left{trouble}"


def _amount(replay: Replay) -> str:
    span = f"from {minute(replay.since_ms)} to {minute(replay.until_ms)}"
    return f"{events_text(replay.events)} are looked at for those {span}{_where(replay, ', where ')}"


def _absent(replay: Replay, archives: list[str]) -> list[str]:
    """Say what the spool no longer has."""
    if replay.whole_since_ms is None or replay.since_ms >= replay.whole_since_ms:
        return []
    missing = f"{minute(replay.since_ms)} to {minute(min(replay.until_ms, replay.whole_since_ms))}"
    since, until = whole_seconds(replay.since_ms, min(replay.until_ms, replay.whole_since_ms))
    to = f"--sink {replay.sink}"
    again = f"audit-forwarder backfill start --source NAME {to} --from {since} --to {until}"
    whole = minute(replay.whole_since_ms)
    kept = [
        f"or from the archive: audit-forwarder import --from {name} {to} --since {since} --until {until}"
        for name in archives
    ]
    return [
        f"the spool no longer has what was read before {whole}, so of {missing} events are missing",
        f"read again: {again}",
        *kept,
    ]


def _outcome(replay: Replay) -> str:
    how = f"was ended by {replay.ended_by}" if replay.ended_by else "has ended" if not replay.is_open else "goes on"
    parts = [f"{replay.accepted} sent", f"{replay.filtered} not chosen or not for this sink"]
    parts += [f"{replay.rejected} refused, see audit-forwarder dead-letters list"] if replay.rejected else []
    parts += [f"{replay.detached} not sent"] if replay.detached else []
    return f"replay {replay.number} {how}: {', '.join(parts)}"


def _where(replay: Replay, before: str = "") -> str:
    rules: list[dict[str, list[str]]] = msgspec.json.decode(replay.chosen)
    texts = [" ".join(f"{field}={glob}" for field, globs in rule.items() for glob in globs) for rule in rules]
    return before + " or ".join(texts) if texts else ""


def _state(shown: ReplayShown, *, running: bool) -> str:
    replay = shown.replay
    if not replay.is_open:
        return "ended early" if replay.ended_by else "done"
    return (shown.state or "waits its turn") if running else "not running"


def _row(shown: ReplayShown, *, running: bool) -> list[str]:
    replay = shown.replay
    return [
        *(str(replay.number), replay.sink, _state(shown, running=running)),
        *(minute(replay.since_ms), minute(replay.until_ms), _where(replay) or "-"),
        *map(str, (replay.accepted, replay.rejected, replay.filtered + replay.detached, replay.waiting)),
        f"{minute(replay.opened_ms)} by {replay.who}",
    ]


def _as_dict(shown: ReplayShown) -> dict[str, object]:
    replay = shown.replay
    return {
        "number": replay.number,
        "sink": replay.sink,
        "open": replay.is_open,
        "state": shown.state or None,
        "reason": shown.reason or None,
        "from": iso_ms(replay.since_ms),
        "to": iso_ms(replay.until_ms),
        "where": msgspec.json.decode(replay.chosen),
        "whole_since": iso_ms(replay.whole_since_ms),
        "who": replay.who,
        "asked_for": iso_ms(replay.opened_ms),
        "ended": iso_ms(replay.closed_ms),
        "ended_by": replay.ended_by or None,
        **{
            name: getattr(replay, name)
            for name in ("events", "accepted", "rejected", "filtered", "detached", "waiting", "balance")
        },
    }
