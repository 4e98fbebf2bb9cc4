"""`lanes`: what waits for each sink, for people: list, pause, resume, retry-now, detach, forget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forwarder.admin.lanes import LaneChange, LaneChoice, LaneShown
from forwarder.cli.commands.questions import agreed
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import page_rows, print_json, print_text
from forwarder.cli.times import minute
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.moments import iso_ms
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode
from forwarder.observe.status_values import events_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

_HEAD = ("sink", "state", "waiting", "since", "dead letters", "target", "paused", "forgotten")
_USUAL = {"paused": "-", "forgotten": "-"}


def list_(invocation: Invocation, *, as_json: bool) -> ExitCode:
    """Show a table of the lanes."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            lanes = await found.ask("lanes.list", LaneChoice(), list[LaneShown])
            running = found.running
        if as_json:
            shown = [_as_dict(lane) for lane in lanes]
            print_json({"lanes": shown})
            return ExitCode.OK
        intro = [] if lanes else ["the spool has no lane"]
        intro += [] if running else ["the daemon is not running; nothing is delivered"]
        page_rows([_row(lane, running=running) for lane in lanes], head=_HEAD, intro=intro, usual=_USUAL)
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def pause(invocation: Invocation, sink: str) -> ExitCode:
    """Pause a sink and say what follows."""

    def words(change: LaneChange) -> str:
        if change.before:
            return f"{sink} was paused already, {change.before}"
        return f"{sink} is paused: nothing is sent to it until `audit-forwarder lanes resume {sink}`; its events wait"

    return _change(invocation, "lanes.pause", sink, words)


def resume(invocation: Invocation, sink: str) -> ExitCode:
    """Resume a sink and say what follows."""

    def words(change: LaneChange) -> str:
        return f"{sink} goes on; it was paused {change.before}" if change.before else f"{sink} was not paused"

    return _change(invocation, "lanes.resume", sink, words, later="it goes on when the daemon starts")


def retry_now(invocation: Invocation, sink: str) -> ExitCode:
    """Have a sink tried at once."""
    return _change(
        invocation,
        "lanes.retry_now",
        sink,
        lambda _: f"{sink} is tried now",
        later="it is tried when the daemon starts",
    )


def detach(invocation: Invocation, sink: str, *, yes: bool) -> ExitCode:
    """Move a sink past what waits for it, after asking. Returns DEGRADED when no one agreed."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            lane = await _lane(found, sink)
            if not lane.waiting:
                print_text(f"nothing waits for {sink}")
                return ExitCode.OK
            print_text(f"{_waiting(lane)} for {sink} at {visible(lane.target)}")
            if not yes and not agreed("Detach it from these, so that it will not get them?", "was detached"):
                return ExitCode.DEGRADED
            change = await found.ask("lanes.detach", LaneChoice(sink, lane.newest), LaneChange)
        print_text(f"{sink}: {events_text(change.events)} detached; they are a gap")
        print_text("audit-forwarder status names the command that fetches them again")
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def forget(invocation: Invocation, sink: str, *, yes: bool) -> ExitCode:
    """Let go of a sink that is not configured any more, after asking. Returns DEGRADED when no one agreed."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            lane = await _lane(found, sink)
            if sink not in settings.sinks:  # else it is refused, and nobody need be asked
                print_text(f"{_waiting(lane)} for {sink} at {visible(lane.target)}")
                if not yes and not agreed("Forget it, so that nothing will get these?", "was forgotten"):
                    return ExitCode.DEGRADED
            change = await found.ask("lanes.forget", LaneChoice(sink), LaneChange)
        gap = "; they are a gap, see audit-forwarder status" if change.events else ""
        print_text(f"{sink} is forgotten; {events_text(change.events)} waited for it{gap}")
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def _change(
    invocation: Invocation, verb: str, sink: str, words: Callable[[LaneChange], str], later: str = ""
) -> ExitCode:
    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            change = await found.ask(verb, LaneChoice(sink), LaneChange)
            running = found.running
        print_text(
            words(change) if running or not later else f"the daemon is not running; {later}: audit-forwarder run"
        )
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


async def _lane(found: VerbClient, sink: str) -> LaneShown:
    lanes = await found.ask("lanes.list", LaneChoice(sink), list[LaneShown])
    if not lanes:
        raise ConfigError(f"sinks.{sink}: the spool has no lane of it; `audit-forwarder lanes list` shows all it has")
    return lanes[0]


def _waiting(lane: LaneShown) -> str:
    since = f", the oldest since {minute(lane.oldest_ms)}" if lane.oldest_ms is not None and lane.waiting else ""
    return f"{events_text(lane.waiting)} wait{'s' if lane.waiting == 1 else ''}{since}"


def _state(lane: LaneShown, *, running: bool) -> str:
    if lane.forgotten_ms is not None:
        return "not configured"
    if lane.paused:
        return "paused"
    return lane.state if running and lane.state else "not running"


def _row(lane: LaneShown, *, running: bool) -> list[str]:
    return [
        lane.sink,
        _state(lane, running=running),
        str(lane.waiting + lane.retried),
        minute(lane.oldest_ms),
        str(lane.dead_letters),
        lane.target,
        lane.paused or "-",
        minute(lane.forgotten_ms),
    ]


def _as_dict(lane: LaneShown) -> dict[str, object]:
    return {
        "sink": lane.sink,
        "target": lane.target,
        "state": lane.state or None,
        "reason": lane.reason or None,
        "waiting": lane.waiting,
        "retried": lane.retried,
        "oldest_waiting": iso_ms(lane.oldest_ms),
        "dead_letters": lane.dead_letters,
        "paused": lane.paused or None,
        "configured": lane.forgotten_ms is None,
        "forgotten": iso_ms(lane.forgotten_ms),
    }
