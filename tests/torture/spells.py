"""What a far end plays beyond the abilities that the contract tests ask for: by name, the rule for so many requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from simulator.http_types import Response, Wire
from simulator.receivers.bulk import Rule
from simulator.receivers.hec import Rule as HecRule
from simulator.receivers.syslog import Rule as SyslogRule

Spells = dict[str, Callable[[int, str], Any]]
"""Name -> makes the rule for so many requests, given the credential that the daemon holds."""

_HTTP: dict[str, tuple[Response | None, Wire | None]] = {
    "storm": (Response(429, {"retry-after": "0.1"}), None),
    "error": (Response(500), None),
    "half close": (None, Wire(stop_at=5, ending="half_close")),
    "cut": (None, Wire(stop_at=5)),
    "silent close": (None, Wire(stop_at=-1)),
    "silence": (None, Wire(delay=2.5)),
}


def _echo(secret: str) -> Response:
    """A server that repeats the credential in its answer, as a proxy's error page may."""
    body = json.dumps({"error": f"no luck with {secret}", "text": f"not with {secret}", "code": 8}).encode()
    return Response(503, {"content-type": "application/json", "x-echo": secret}, body)


HTTP: Spells = {
    name: lambda times, _, answer=answer, wire=wire: Rule(times, answer=answer, wire=wire)  # type: ignore[misc]
    for name, (answer, wire) in _HTTP.items()
} | {"credential echoed": lambda times, secret: Rule(times, answer=_echo(secret))}

SPLUNK: Spells = {
    name: lambda times, _, answer=answer, wire=wire: HecRule(times=times, answer=answer, wire=wire)  # type: ignore[misc]
    for name, (answer, wire) in _HTTP.items()
} | {
    "credential echoed": lambda times, secret: HecRule(times=times, answer=_echo(secret)),
    "busy in the middle": lambda times, _: HecRule(times=times, busy_after=3),
}

SPLUNK_ACKS: Spells = SPLUNK | {
    "acks never": lambda times, _: HecRule(times=times, lose=True),
    "acks cannot be asked": lambda times, _: HecRule("ack", times, answer=Response(503)),
    "acks cut": lambda times, _: HecRule("ack", times, wire=Wire(stop_at=5, ending="reset")),
}

STREAM: Spells = {"half close": lambda times, _: SyslogRule("half_close", times, after=2)}

RELP: Spells = STREAM | {
    "no answer": lambda times, _: SyslogRule("silence", times, after=2),
    "wrong number": lambda times, _: SyslogRule("wrong_number", times, after=2),
    "answered twice": lambda times, _: SyslogRule("twice", times, after=2),
    "goodbye": lambda times, _: SyslogRule("serverclose", times, after=2),
}
