"""Which URLs may be used, and by which proxy.

Invariant: nothing that would go in the clear to another machine is accepted without `insecure: true`, and no message
repeats a credential.
"""

from __future__ import annotations

import os
import re
import urllib.request
from urllib.parse import SplitResult, urlsplit

from forwarder.contracts import ConfigError, Held
from forwarder.net.addresses import is_host, is_loopback
from forwarder.net.no_proxy import goes_directly

_UNUSABLE = "Not a URL that can be used"


def check_url(url: str, *, insecure: bool = False, setting: str = "url") -> str:
    """Return the URL without a slash at its end.

    Args:
        url: As it was configured.
        insecure: Allow `http://` to another machine.
        setting: Where it stands, for the error.

    Raises ConfigError when it cannot or should not be used.
    """
    try:
        return _checked(url, insecure=insecure)
    except ConfigError as error:
        raise ConfigError(str(error), setting=setting) from None


def _checked(url: str, *, insecure: bool) -> str:
    if not url.strip():
        raise ConfigError(f"{_UNUSABLE}: it is empty. Write https://host:port.")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise ConfigError(f"{_UNUSABLE}. Write https://host:port.") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError("The URL holds a user name or password. Set the credential in its own setting.")
    _check_form(url, parts.netloc)
    if "://" not in url:
        raise ConfigError(f"{_UNUSABLE}: it has no scheme. Write https:// before it.")
    if parts.scheme not in {"http", "https"}:
        raise ConfigError(f"{_UNUSABLE}: its scheme is not spoken here. Write https://host:port.")
    if not is_host(host):
        raise ConfigError(f"{_UNUSABLE}: it has no host that can be. Write https://host:port.")
    _check_port(parts)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise ConfigError("The URL holds a query or a fragment. Leave out what follows the path.")
    if goes_in_the_clear(url) and not insecure:
        raise ConfigError(
            f"http://{host} would send events and credentials in the clear. Use https://, or set insecure: true."
        )
    return url.rstrip("/")


def _check_form(url: str, netloc: str) -> None:
    """Raise ConfigError for what is written otherwise than a URL, or is more than one."""
    if not netloc.isascii():
        raise ConfigError(f"{_UNUSABLE}: its host is not ASCII. Write the host as xn--… (IDNA).")
    if not (url.isascii() and url.isprintable() and " " not in url):
        raise ConfigError(f"{_UNUSABLE}: it holds white space or other characters. Write https://host:port.")
    if re.match(r"https?[:/\\]", url, re.IGNORECASE) and "://" not in url:
        raise ConfigError(f"{_UNUSABLE}: its scheme is not followed by ://. Write https://host:port.")
    if "," in netloc or ";" in netloc:
        raise ConfigError("Not one URL but several. Write one, that of a load balancer when there are more.")


def goes_in_the_clear(url: str) -> bool:
    """Tell whether others on the way to another machine could read along, whatever else may be wrong with the URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and not is_loopback(parts.hostname or "")
    except ValueError:
        return False


def _check_port(parts: SplitResult) -> None:
    try:
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{_UNUSABLE}: its port is not a number from 1 to 65535. Write https://host:port.")


def check_proxy(proxy: str) -> str:
    """Return the URL of a proxy. Raises ConfigError when it is not one; SOCKS is not spoken."""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and proxy.isascii()
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("Not the URL of an HTTP proxy. Write http://host:port.", setting="http.proxy")
    return proxy


def proxy_of_environment(scheme: str, host: str, port: int) -> str | None:
    """Return the proxy that HTTPS_PROXY, ALL_PROXY and NO_PROXY name; nothing goes through one to loopback.

    Raises Held when it cannot be used.
    """
    return way_of_environment(scheme, host, port)[0]


def way_of_environment(scheme: str, host: str, port: int) -> tuple[str | None, str]:
    """Return the same, and why in words; these are empty when the environment names no proxy."""
    named = urllib.request.getproxies_environment()
    kind = scheme if scheme in named else "all"
    proxy = named.get(kind)
    if proxy is None:
        return None, ""
    variable = next((name for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY") if os.environ.get(name)), kind)
    if is_loopback(host):
        return None, f"{variable} is for other machines than this one"
    entry = goes_directly(host, port, named.get("no", ""))
    if entry is not None:
        return None, f"{entry} of NO_PROXY keeps it from the proxy of {variable}"
    try:
        return check_proxy(proxy if "://" in proxy else f"http://{proxy}"), variable
    except ConfigError:
        fix = f"Correct or unset {scheme.upper()}_PROXY and ALL_PROXY, or set http.proxy."
        raise Held("The environment names a proxy that cannot be used.", fix=fix, kind="connection") from None
