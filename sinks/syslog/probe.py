"""Says whether a syslog receiver keeps our connection, and over RELP whether it takes syslog."""

from __future__ import annotations

import asyncio
import socket

from forwarder.contracts import Finding, Held, Retryable, TlsConfig
from sinks.syslog.address import Place, Times, look_up
from sinks.syslog.connection import Pipe
from sinks.syslog.relp import Relp

_SETTLE = 0.5
_REACH = "See that the receiver runs and can be reached from here on this port."
_TLS = "Check the tls settings on both sides; the detail says which."
_RELP = "Give the address of an input that takes syslog over RELP (rsyslog: imrelp), with the right scheme."
_NAME = "Check the host in address, and the name servers of this machine."


async def probe(scheme: str, place: Place, tls: TlsConfig | None, times: Times) -> list[Finding]:
    """Connect as a send would, and see whether the receiver keeps the connection; look up a name for UDP."""
    if scheme == "udp":
        return [await _probe_name(place, times)]
    try:
        pipe = await Pipe.open(place, tls, times, settle=_SETTLE)
    except Held as held:
        return [Finding("tls files", ok=False, detail=held.reason, fix=held.fix)]
    except Retryable as error:
        failed = "tls" if error.kind == "tls" else "tcp"
        return [Finding(f"{failed} {place}", ok=False, detail=str(error), fix=_TLS if failed == "tls" else _REACH)]
    if scheme in {"relp", "relps"}:
        findings = [await _probe_relp(pipe, place)]
    else:
        detail = "the receiver keeps the connection; whether it takes syslog, nothing will tell"
        findings = [Finding("session", ok=True, detail=detail)]
    await pipe.close()
    return findings


async def _probe_name(place: Place, times: Times) -> Finding:
    name = f"name {place.host}"
    try:
        async with asyncio.timeout(times.connect):
            found = await look_up(place, socket.SOCK_DGRAM)
    except TimeoutError:
        return Finding(name, ok=False, detail="not looked up within connect_timeout", fix=_NAME)
    except Retryable as error:
        return Finding(name, ok=False, detail=str(error), fix=_NAME)
    addresses = ", ".join(sorted({str(each[4][0]) for each in found}))
    return Finding(name, ok=True, detail=f"{addresses}; over UDP nothing answers, so nothing more can be said")


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
