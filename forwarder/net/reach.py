"""The way to an address, a step at a time: name, TCP, TLS and its certificates. For `doctor`; nothing is sent.

Invariant: the first step that fails ends it, and its finding says what to do in one sentence. What the other side
chooses (names in its certificate) is made printable.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from forwarder.contracts import Endpoint, Finding, Held, TlsConfig
from forwarder.contracts.text import plain
from forwarder.net.addresses import reason_of
from forwarder.net.tls import build_ssl_context, diagnose
from forwarder.net.urls import way_of_environment

if TYPE_CHECKING:
    from collections.abc import Iterable

EXPIRES_SOON = 21 * 86_400
"""Seconds before the end of a certificate from when on it is pointed out."""

_NAME_FIX = "Check the host in the settings, and the name servers of this machine."
_TCP_FIXES = {
    errno.ECONNREFUSED: "See that the server runs and listens on this port.",
    errno.EHOSTUNREACH: "Check the route to it and the firewalls on the way.",
    errno.ENETUNREACH: "Check the network of this machine and its route to the server.",
}
_SILENT_FIX = "Let the firewalls on the way pass this host and port, or set a proxy."
_HANDSHAKE_FIX = "Check the port, the scheme and tls.min_version."
_CHAINS = ("get_verified_chain", "get_unverified_chain")
_TURNS = 10  # of a handshake that takes three
_TLS_FIX = "Check the tls settings on both sides."


async def examine(endpoint: Endpoint) -> list[Finding]:
    """Return what was found on the way, up to the first thing that fails."""
    proxy, why = None, ""
    if endpoint.http is not None:
        scheme = "https" if endpoint.tls is not None else "http"
        try:
            proxy, why = endpoint.http.proxy, "http.proxy"
            if proxy is None:
                proxy, why = way_of_environment(scheme, endpoint.host, endpoint.port)
        except Held as held:
            return [Finding("proxy", ok=False, detail=held.reason, fix=held.fix)]
    if proxy is not None:
        parts = urlsplit(proxy)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        findings, reached = await _reach(host, port, endpoint.within, "proxy ")
        if reached is not None:
            reached.close()
            detail = f"{_place(endpoint)} is asked for through {_host_port(host, port)}, as {why} says"
            findings.append(Finding("proxy", ok=True, detail=detail))
        return [_with_fix(finding, why) for finding in findings]
    findings, reached = await _reach(endpoint.host, endpoint.port, endpoint.within)
    if why:
        findings.insert(0, Finding("proxy", ok=True, detail=f"none: {why}"))
    if reached is None:
        return findings
    if endpoint.tls is None:
        reached.close()
        return findings
    return [*findings, *await _shake_hands(endpoint, endpoint.tls, reached)]


def _with_fix(finding: Finding, why: str) -> Finding:
    """Say of a proxy that cannot be reached where it is named."""
    if finding.ok:
        return finding
    fix = f"See that the proxy runs, correct {why}, or let NO_PROXY name the host behind it."
    return Finding(finding.subject, ok=False, detail=finding.detail, fix=fix)


# ------------------------------------------------------------------------------------------------------- name, TCP


async def _reach(host: str, port: int, within: float, what: str = "") -> tuple[list[Finding], socket.socket | None]:
    subject, loop = f"{what}name {host}", asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return [Finding(subject, ok=False, detail=f"not looked up within {within:g} s", fix=_NAME_FIX)], None
    except (OSError, UnicodeError) as error:
        return [Finding(subject, ok=False, detail=reason_of(error), fix=_NAME_FIX)], None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    findings = [Finding(subject, ok=True, detail=", ".join(addresses))] if addresses != [host] else []
    subject, failed = f"{what}tcp {_host_port(host, port)}", None
    for family, kind, protocol, _, address in found:
        attempt = socket.socket(family, kind, protocol)
        attempt.settimeout(0)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(within):
                await loop.sock_connect(attempt, address)
        except OSError as error:  # TimeoutError is one
            attempt.close()
            failed = error
            continue
        except BaseException:
            attempt.close()
            raise
        took = (time.monotonic() - begun) * 1000
        return [*findings, Finding(subject, ok=True, detail=f"connected in {took:.0f} ms")], attempt
    return [*findings, _refused(subject, failed, within)], None


def _refused(subject: str, error: OSError | None, within: float) -> Finding:
    if error is None or error.errno is None or error.errno == errno.ETIMEDOUT:
        return Finding(subject, ok=False, detail=f"no answer within {within:g} s", fix=_SILENT_FIX)
    fix = _TCP_FIXES.get(error.errno, _SILENT_FIX)
    return Finding(subject, ok=False, detail=reason_of(error), fix=fix)


# ------------------------------------------------------------------------------------------------------------- TLS


async def _shake_hands(endpoint: Endpoint, tls: TlsConfig, reached: socket.socket) -> list[Finding]:
    subject = f"tls {_place(endpoint)}"
    try:
        context = await asyncio.to_thread(build_ssl_context, tls)
    except Held as held:
        reached.close()
        return [Finding("tls files", ok=False, detail=held.reason, fix=held.fix)]
    try:
        certificates, version = await _certificates(endpoint, context, reached)
    except ssl.SSLCertVerificationError as error:
        return [await _explained(endpoint, subject, error)]
    except OSError as error:
        return [_failed(endpoint, subject, error)]
    checked = "" if tls.verify else "; the certificate is not checked"
    fix = "" if tls.verify else "Set tls.verify: true, and tls.ca_file when the authority is your own."
    renew = "Renew the server's certificate."
    return [
        Finding(subject, ok=True, detail=f"{version}{checked}", fix=fix),
        *_ends(f"certificate {_place(endpoint)}", certificates, renew, "nothing is delivered"),
    ]


def _failed(endpoint: Endpoint, subject: str, error: OSError) -> Finding:
    if isinstance(error, TimeoutError):
        return Finding(subject, ok=False, detail=f"no handshake within {endpoint.within:g} s", fix=_HANDSHAKE_FIX)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        detail, fix = diagnose(error)
        return Finding(subject, ok=False, detail=detail, fix=fix or _TLS_FIX)
    return Finding(subject, ok=False, detail="the connection ended during the TLS handshake", fix=_HANDSHAKE_FIX)


async def _explained(endpoint: Endpoint, subject: str, error: ssl.SSLCertVerificationError) -> Finding:
    """Say why a certificate is refused, and whose it is: looked at once more without believing it."""
    detail, fix = diagnose(error)
    context = _believing_anything()
    with suppress(OSError, TimeoutError):  # then it is told without
        certificates, _ = await _certificates(endpoint, context, None)
        if certificates:
            detail += f"; it is {_described(certificates[0])}"
    return Finding(subject, ok=False, detail=detail, fix=fix)


async def _certificates(
    endpoint: Endpoint, context: ssl.SSLContext, reached: socket.socket | None
) -> tuple[list[dict[str, Any]], str]:
    """Shake hands and return the chain, the server's own certificate first, and the version; then hang up.

    Over `reached`, or a connection of its own.
    """
    way: dict[str, Any] = {"sock": reached} if reached is not None else {"host": endpoint.host, "port": endpoint.port}
    name = (endpoint.tls.server_name if endpoint.tls else None) or endpoint.host
    writer = None
    try:
        async with asyncio.timeout(endpoint.within):
            _, writer = await asyncio.open_connection(**way, ssl=context, server_hostname=name)
        found = writer.get_extra_info("ssl_object")
        return _chain_of(found), str(found.version())
    finally:
        if writer is not None:
            writer.transport.abort()
        elif reached is not None:
            reached.close()


def _chain_of(found: Any) -> list[dict[str, Any]]:
    # Until Python 3.13 the chain has no public form, and the later one is bytes that nothing here can read.
    inner = getattr(found, "_sslobj", None)
    for name in _CHAINS:
        chain = getattr(inner, name, None)
        with suppress(AttributeError, TypeError, ssl.SSLError):
            if chain is not None and (certificates := chain()):
                return [certificate.get_info() for certificate in certificates]
    own = found.getpeercert()
    return [own] if own else []


def own_certificate(context: ssl.SSLContext) -> list[Finding]:
    """Say until when the certificate is good that a port of ours shows: seen by a handshake in memory."""
    subject, renew = "certificate", "Renew it; the new one is shown without a restart."
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(there, back, server_side=True)
    other = _believing_anything().wrap_bio(back, there)
    try:
        for _ in range(_TURNS):
            if all([_shook(other), _shook(ours)]):  # a list: each side has its turn
                break
    except ssl.SSLError as error:
        what, fix = diagnose(error)
        return [Finding(subject, ok=False, detail=f"no one can shake hands with it: {what}", fix=fix or renew)]
    return _ends(subject, _chain_of(other), renew, "senders refuse it")


def _shook(side: ssl.SSLObject) -> bool:
    """Do what one side of a handshake can do now; return whether it is through."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _believing_anything() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _ends(subject: str, chain: Iterable[dict[str, Any]], renew: str, otherwise: str) -> list[Finding]:
    """Say when the first certificate of the chain ends, and whether the last one of it has begun.

    Args:
        subject: Of the findings.
        chain: Certificates, the server's own first.
        renew: The fix for one that ended.
        otherwise: What happens from its end on.
    """
    dated = [each for each in chain if "notAfter" in each]
    if not dated:
        return []
    now = time.time()
    latest = max(_seconds(each["notBefore"]) for each in dated)
    if latest > now:
        detail = f"not good before {_day(latest)}"
        return [Finding(subject, ok=False, detail=detail, fix="Check the clock of this machine, or the certificate.")]
    first = min(dated, key=lambda each: _seconds(each["notAfter"]))
    moment = _seconds(first["notAfter"])
    days, until = (moment - now) / 86_400, _day(moment)
    whose = "" if first is dated[0] else f" ({_described(first)}, above the server's own)"
    if days < 0:
        return [Finding(subject, ok=False, detail=f"ended on {until}{whose}", fix=renew)]
    fix = f"Renew it before {until}; from then on {otherwise}." if days * 86_400 < EXPIRES_SOON else ""
    return [Finding(subject, ok=True, detail=f"good until {until}, {days:.0f} days{whose}", fix=fix)]


def _seconds(written: Any) -> float:
    return ssl.cert_time_to_seconds(str(written))


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def _described(certificate: dict[str, Any]) -> str:
    names = [str(value) for _, value in certificate.get("subjectAltName", ())]
    if not names:
        names = [str(value) for group in certificate.get("subject", ()) for _, value in group]
    issuer = ", ".join(str(value) for group in certificate.get("issuer", ()) for _, value in group)
    until = certificate.get("notAfter", "ever")
    return plain(f"for {', '.join(names[:5]) or 'no name'}, until {until}, signed by {issuer or 'no name'}", 300)


def _place(endpoint: Endpoint) -> str:
    return _host_port(endpoint.host, endpoint.port)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
