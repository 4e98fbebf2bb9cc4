"""What each way out needs, by the files and the environment alone: certificates with their keys, and proxies.

`run` does not ask this: a file may be in the middle of a rotation, and is read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted
from forwarder.contracts import Held, TlsConfig
from forwarder.net.tls import build_ssl_context
from forwarder.net.urls import proxy_of_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings

_OWN = ("cert_file", "key_file", "key_password")
_PORTS = {"http": 80, "https": 443}

_NO_CERTIFICATE = "it holds no certificate in PEM"
_LOCKED = b"ENCRYPTED"
"""Stands in every PEM file of a key with a password, whichever its form."""


def unusable_tls(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each TLS file that is there and does not hold what it should."""
    for section, parts in (("sources", settings.sources), ("sinks", settings.sinks)):
        for name, part in parts.items():
            tls = getattr(part, "tls", None)
            if isinstance(tls, TlsConfig):
                yield from _of(f"{section}.{name}.tls", tls)
    shown, files = settings.receiver, ("cert_file", "key_file", "key_password")
    yield from _of("receiver", TlsConfig(**{name: getattr(shown, name) for name in files}))


def unusable_proxies(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each address that the environment gives a proxy that cannot be used."""
    for path, value, owner in leaves(settings, ()):
        if not isinstance(value, str) or path[0] not in {"sources", "sinks"} or path[-1] == "proxy":
            continue
        try:
            parts = urlsplit(value)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:  # named by who builds it
            continue
        own = getattr(getattr(owner, "http", None), "proxy", None)
        if parts.scheme not in _PORTS or not parts.hostname or own is not None:
            continue
        try:
            proxy_of_environment(parts.scheme, parts.hostname, port)
        except Held as error:
            yield Problem(dotted(path), "the environment names a proxy for it that cannot be used", _plain(error.fix))


def _of(path: str, tls: TlsConfig) -> Iterator[Problem]:
    if tls.cert_file is None and (tls.key_file is not None or tls.key_password is not None):
        yield Problem(f"{path}.cert_file", "missing: a key is nothing without its certificate", "set it to its file")
    if tls.ca_file is not None and _fault(tls.model_copy(update=dict.fromkeys(_OWN))):
        yield Problem(f"{path}.ca_file", _NO_CERTIFICATE, "name the file of the certificate authorities")
    if tls.cert_file is not None and (fault := _fault(tls.model_copy(update={"ca_file": None}))):
        key_file = (tls.key_file or tls.cert_file).expanduser()
        if "MISMATCH" in fault:
            yield Problem(f"{path}.key_file", "it is not the key of cert_file", "name the one made with it")
        elif _LOCKED in key_file.read_bytes():
            what = f"the key {key_file} asks for a password, and "
            what += "none is set" if tls.key_password is None else "this does not open it"
            yield Problem(f"{path}.key_password", what, "write the password of the key")
        else:
            what = f"{_NO_CERTIFICATE}, or not its key"
            yield Problem(f"{path}.cert_file", what, "name that of the certificate, and as key_file that of its key")


def _fault(tls: TlsConfig) -> str:
    """Return what is wrong with files that can be read; others are named by who reads them."""
    try:
        build_ssl_context(tls)
    except Held as error:
        return "" if "cannot be read" in error.reason else error.reason
    return ""


def _plain(fix: str) -> str:
    return fix[:1].lower() + fix[1:].rstrip(".")
