"""`test-event`: sends a marked event of our own to sinks, and waits until each has decided."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

from forwarder.admin.trials import TrialSent, TrialState, TrialWanted
from forwarder.assembly import format_name
from forwarder.cli.daemon_client import running_daemon
from forwarder.cli.terminal import print_json, print_line
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Collection

    from forwarder.cli.daemon_client import VerbClient
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

EVERY = 0.5
"""Seconds between two looks."""

_WORTH = {
    "delivered": "the destination says that it has it",
    "received": "taken in; the destination does not say that it is kept",
    "none": "written, and nothing answers: only a search there shows that it came",
}
_FINAL = {"accepted", "rejected"}


def send(invocation: Invocation, sinks: Collection[str], source: str, *, within: float, as_json: bool) -> ExitCode:
    """Send one to each sink. Returns DEGRADED when a sink did not accept it in time. Raises Refused without daemon."""
    settings = invocation.settings()
    if unknown := [name for name in sinks if name not in settings.sinks]:
        raise ConfigError(f"sinks.{unknown[0]}: not configured; the sinks are: {', '.join(settings.sinks)}")

    async def run() -> ExitCode:
        daemon = running_daemon(settings)
        sent = [await daemon.ask("test.send", TrialWanted(name, source), TrialSent) for name in sinks or settings.sinks]
        states = await _follow(daemon, sent, within)
        if as_json:
            print_json({"sinks": [_as_dict(one, states[one.sink]) for one in sent]})
        else:
            for one in sent:
                _show(settings, one, states[one.sink])
        return ExitCode.OK if all(state.what == "accepted" for state in states.values()) else ExitCode.DEGRADED

    return asyncio.run(run())


async def _follow(daemon: VerbClient, sent: list[TrialSent], within: float) -> dict[str, TrialState]:
    """Look until each has come to an end, or the time is over; say what changes meanwhile."""
    states: dict[str, TrialState] = {}
    said: dict[str, str] = {}
    end = time.monotonic() + within
    while True:
        for one in sent:
            if one.sink not in states or not _is_over(states[one.sink]):
                states[one.sink] = state = await daemon.ask("test.look", one, TrialState)
                if (words := _progress(state)) != said.get(one.sink) and not _is_over(state):
                    said[one.sink] = words
                    print(visible(f"{one.sink}: {words}"), file=sys.stderr)  # noqa: T201 -- the command's own voice
        if all(map(_is_over, states.values())) or time.monotonic() >= end:
            return states
        await asyncio.sleep(EVERY)


def _is_over(state: TrialState) -> bool:
    return state.what in _FINAL or state.state == "paused"


def _progress(state: TrialState) -> str:
    if state.what == "sent":
        return "sent; its confirmation is awaited"
    if state.state in {"retrying", "held", "paused"}:
        return f"{state.state}: {state.reason}"
    return "waits in the spool"


def _show(settings: Settings, sent: TrialSent, state: TrialState) -> None:
    if state.what == "accepted":
        line = f"accepted: {_WORTH.get(state.proof, state.proof)}"
    elif state.what == "rejected":
        line = f"REJECTED: {state.reason}"
    else:
        line = f"NOT YET: {_progress(state)}; it is kept and sent when that is over; {state.before} events wait"
    print_line(f"{sent.sink}: {visible(line)}")
    if state.what != "accepted" and state.fix:
        print_line(f"  {visible(state.fix)}")
    print_line(f"  search for: {sent.id}")
    if format_name(settings.sinks[sent.sink]) == "ecs":
        print_line(f'  in its field: event.id: "{sent.id}"; document id: {sent.document_id}')


def _as_dict(sent: TrialSent, state: TrialState) -> dict[str, Any]:
    return {
        "sink": sent.sink,
        "outcome": state.what,
        "state": state.state,
        "reason": state.reason or None,
        "fix": state.fix or None,
        "proof": state.proof,
        "waiting": state.before,
        "id": sent.id,
        "document_id": sent.document_id,
        "number": sent.number,
    }
