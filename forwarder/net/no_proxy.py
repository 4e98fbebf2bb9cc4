"""NO_PROXY, as curl, Go and Python understand it: what any of the three would leave to go directly goes directly.

An entry is a name with everything below it, with or without a dot or `*.` before it; an address; a network such as
10.0.0.0/8; any of them with a port; or `*` for everything. Commas and white space part them, and case does not matter.
Sources: curl's manual, golang.org/x/net/http/httpproxy, Python's urllib.request.proxy_bypass_environment.
"""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def goes_directly(host: str, port: int, no_proxy: str) -> str | None:
    """Return the entry of NO_PROXY that names this host and port, or None when none does."""
    host = host.lower().strip("[]").rstrip(".")
    return next((entry for entry in re.split(r"[,\s]+", no_proxy) if entry and _names(entry, host, port)), None)


def _names(entry: str, host: str, port: int) -> bool:
    entry = entry.lower().partition("://")[2] or entry.lower()  # a scheme before it is a common slip
    entry = entry.rstrip("/") if "://" not in entry and entry.count("/") == 1 and entry.endswith("/") else entry
    if entry == "*":
        return True
    network = _network(entry)
    if network is not None:
        address = _address(host)
        return address is not None and address.version == network.version and address in network
    name, only_port = _parted(entry)
    if only_port is not None and only_port != port:
        return False
    address = _address(name)
    if address is not None:
        return address == _address(host)
    if _address(host) is not None:
        return False
    below = name.startswith("*.")
    name = name.removeprefix("*").strip(".")
    return bool(name) and ((host == name and not below) or host.endswith(f".{name}"))


def _parted(entry: str) -> tuple[str, int | None]:
    """Part name and port; the colons of a bare IPv6 address are its own."""
    if _address(entry) is not None:
        return entry, None
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d{1,5})", entry)
    return (match[1].strip("[]"), int(match[2])) if match else (entry.strip("[]"), None)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False) if "/" in entry else None
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
