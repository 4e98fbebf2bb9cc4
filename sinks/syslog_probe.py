"""Says how far the way to a syslog receiver is open: name, TCP, TLS, and over RELP whether it takes syslog."""

from __future__ import annotations

import asyncio
import socket

from forwarder.contracts import Finding, Held, Retryable, TlsConfig
from sinks.relp import Relp
from sinks.syslog_pipe import Pipe
from sinks.syslog_place import Place, Times, look_up

_SETTLE = 0.5
_REACH = "See that the receiver runs and can be reached from here on this port."
_TLS = "Check the tls settings on both sides; the detail says which."
_RELP = "Give the address of an input that takes syslog over RELP (rsyslog: imrelp), with the right scheme."
_NAME = "Check the host in address, and the name servers of this machine."


async def probe(scheme: str, place: Place, tls: TlsConfig | None, times: Times) -> list[Finding]:
    """Try each step in turn and stop at the first that fails."""
    name = f"name {place.host}"
    try:
        async with asyncio.timeout(times.connect):
            found = await look_up(place, socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM)
    except TimeoutError:
        return [Finding(name, ok=False, detail="not looked up within connect_timeout", fix=_NAME)]
    except Retryable as error:
        return [Finding(name, ok=False, detail=str(error), fix=_NAME)]
    findings = [Finding(name, ok=True, detail=", ".join(sorted({str(each[4][0]) for each in found})))]
    if scheme == "udp":
        return [
            *findings,
            Finding(f"udp {place}", ok=True, detail="nothing answers there, so nothing more can be said"),
        ]
    try:
        pipe = await Pipe.open(place, tls, times, settle=_SETTLE)
    except Held as held:
        return [*findings, Finding("tls files", ok=False, detail=held.reason, fix=held.fix)]
    except Retryable as error:
        failed = "tls" if error.kind == "tls" else "tcp"
        return [
            *findings,
            Finding(f"{failed} {place}", ok=False, detail=str(error), fix=_TLS if failed == "tls" else _REACH),
        ]
    findings.append(Finding(f"tcp {place}", ok=True, detail="connected"))
    if tls is not None:
        findings.append(Finding(f"tls {place}", ok=True, detail=pipe.version))
    if scheme in {"relp", "relps"}:
        findings.append(await _probe_relp(pipe, place))
    await pipe.close()
    return findings


async def _probe_relp(pipe: Pipe, place: Place) -> Finding:
    session = Relp(pipe, 1)
    try:
        await session.open()
    except Held as held:
        return Finding(f"relp {place}", ok=False, detail=held.reason, fix=held.fix)
    except Retryable as error:
        return Finding(f"relp {place}", ok=False, detail=str(error), fix=_RELP)
    await session.close()
    return Finding(f"relp {place}", ok=True, detail="takes syslog")
