"""Which URLs may be used, and by which proxy.

Invariant: nothing that would go in the clear to another machine is accepted without `insecure: true`, and no message
repeats a credential.
"""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.parse import urlsplit

from forwarder.contracts import ConfigError, Held


def check_url(url: str, *, insecure: bool = False) -> str:
    """Return the URL without a slash at its end. Raises ConfigError when it cannot or should not be used."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("Not a URL that can be used. Write https://host:port.") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError("The URL holds a user name or password. Set the credential in its own setting.")
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or not (url.isascii() and url.isprintable() and " " not in url)
    ):
        raise ConfigError("Not a URL that can be used. Write https://host:port.")
    if parts.query or parts.fragment:
        raise ConfigError("The URL holds a query or a fragment. Leave out what follows the path.")
    if parts.scheme == "http" and not insecure and not is_loopback(host):
        raise ConfigError(
            f"http://{host} would send events and credentials in the clear. Use https://, or set insecure: true."
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its name or address alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_proxy(proxy: str) -> str:
    """Return the URL of a proxy. Raises ConfigError when it is not one; SOCKS is not spoken."""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and proxy.isascii()
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("http.proxy: not the URL of an HTTP proxy. Write http://host:port.")
    return proxy


def proxy_of_environment(scheme: str, host: str, port: int) -> str | None:
    """Return the proxy that HTTPS_PROXY, ALL_PROXY and NO_PROXY name; nothing goes through one to loopback.

    Raises Held when it cannot be used.
    """
    if is_loopback(host):
        return None
    named = urllib.request.getproxies_environment()
    proxy = named.get(scheme) or named.get("all")
    # The type stubs do not know the function; the standard library documents it by the variables it reads.
    if proxy is None or urllib.request.proxy_bypass_environment(f"{host}:{port}", named):  # type: ignore[attr-defined]
        return None
    try:
        return check_proxy(proxy if "://" in proxy else f"http://{proxy}")
    except ConfigError:
        fix = f"Correct or unset {scheme.upper()}_PROXY and ALL_PROXY, or set http.proxy."
        raise Held("The environment names a proxy that cannot be used.", fix=fix, kind="connection") from None
