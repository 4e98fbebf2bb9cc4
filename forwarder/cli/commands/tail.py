"""`tail`: shows what a sink is sent, as it is sent, until Ctrl-C or the end of the daemon."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.admin.tails import More, Opened, Seen, WatchedSink
from forwarder.cli.daemon_client import running_daemon
from forwarder.cli.terminal import json_visible, print_line
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode
from forwarder.observe.colours import coloured, paint

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation
    from forwarder.delivery.taps import Sent

WAIT = 1.0
"""Seconds for which a question waits; Ctrl-C is heard after it at the latest."""


def tail(invocation: Invocation, sink: str, *, as_json: bool) -> ExitCode:
    """Show what a sink is sent. Raises Refused when the daemon does not run, or ends."""

    async def run() -> ExitCode:
        daemon = running_daemon(invocation.settings())
        viewer = (await daemon.ask("tail.open", WatchedSink(sink), Opened)).viewer
        shows, said = _shows(as_json=as_json), ""
        _note(f"what {sink} is sent from now on; Ctrl-C ends this")
        while True:
            seen = await daemon.ask("tail.more", More(viewer, WAIT), Seen)
            if seen.dropped:
                _note(f"not shown: {seen.dropped}; more came than this can show, and {sink} was sent all of it")
            for event in seen.events:
                shows(event)
            sys.stdout.flush()
            if (state := _state(seen)) != said:
                said = state
                _note(f"{sink} is {state}")
            await asyncio.sleep(0)  # where Ctrl-C is heard

    return asyncio.run(run())


def _state(seen: Seen) -> str:
    if seen.state in {"idle", "working"}:
        return "well"
    return "; ".join(filter(None, (f"{seen.state}: {seen.reason}" if seen.reason else seen.state, seen.fix)))


def _shows(*, as_json: bool) -> Any:
    if as_json:
        return _show_json
    return _show if sys.stdout.isatty() else _pass_on


def _show(event: Sent) -> None:
    """Show an event to people: a line about it, and its body."""
    moment = dt.datetime.fromtimestamp(event.at, dt.UTC)
    cut = f", of which {len(event.body)} are shown" if len(event.body) < event.length else ""
    why = f" ({visible(event.reason)})" if event.reason else ""
    line = f"{moment:%H:%M:%SZ} {event.outcome}{why}, {event.length} bytes{cut}, id {event.document_id}"
    print_line(paint(line, "dim") if coloured(sys.stdout) else line)
    print_line(visible(event.body.decode("utf-8", "backslashreplace")))


def _pass_on(event: Sent) -> None:
    """Write the body as it is, for a program."""
    sys.stdout.buffer.write(event.body + b"\n")


def _show_json(event: Sent) -> None:
    shown: dict[str, Any] = {
        "time": dt.datetime.fromtimestamp(event.at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": event.outcome,
        "reason": event.reason or None,
        "document_id": event.document_id,
        "number": event.number,
        "bytes": event.length,
    }
    try:
        shown["body"] = event.body.decode()
    except UnicodeDecodeError:
        shown |= {"body": None, "body_base64": base64.b64encode(event.body).decode()}
    line = msgspec.json.encode(shown).decode()
    print_line(json_visible(line) if sys.stdout.isatty() else line)


def _note(text: str) -> None:
    """Say what is no event."""
    print(visible(text), file=sys.stderr)  # noqa: T201 -- the command line's own voice
