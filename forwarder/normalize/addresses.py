"""What counts as an IP address and as an e-mail address. Nothing is mended: what is none is none."""

from __future__ import annotations

import re
from ipaddress import ip_address

LONGEST_IP = 45
LONGEST_MAIL = 320
LONGEST_HOST = 253
LONGEST_ADDRESS = 2048

_IPV4 = re.compile(
    r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}", re.ASCII
).fullmatch
# Most addresses are plain; a list of allowed characters is searched at half the cost of a list of forbidden ones.
_PLAIN_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", re.ASCII).fullmatch
_MAIL = re.compile(r"[^\s@<>(),;:\"\[\]\\\x00-\x1f]+@[^\s@<>(),;:\"\[\]\\\x00-\x1f]+")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})+\.?")
_HOST_OF = re.compile(r"(?://)?([^\s/\\?#@:]+)((?::[0-9]{1,5})?(?:[/?#][^\s\\]*)?)")
"""A host as sites have it in some events, without `https://`, and what follows it."""


def valid_host(text: str) -> bool:
    """Say whether `text` is the name of a host with a domain, in any script, or an IPv4 address."""
    if len(text) > LONGEST_HOST or _HOST.fullmatch(text) is None:
        return False
    return not text.rstrip(".").rpartition(".")[2].isdigit() or _IPV4(text) is not None


def valid_ip(text: str) -> bool:
    """Say whether every reader would take `text` as an IPv4 or IPv6 address: no port, no zone, no list."""
    if len(text) > LONGEST_IP:
        return False
    if _IPV4(text) is not None:  # a tenth of what the general reader costs
        return True
    if "%" in text:
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def valid_mail(text: str) -> bool:
    """Say whether `text` has the form of one e-mail address (`Atlassian app` has not)."""
    return len(text) <= LONGEST_MAIL and (_PLAIN_MAIL(text) is not None or _MAIL.fullmatch(text) is not None)


def web_address(text: str | None) -> str | None:
    """Return an address of the web; one without its scheme gets it."""
    if not text:
        return None
    if text.startswith(("https://", "http://")):
        return text
    if len(text) > LONGEST_ADDRESS:
        return None
    if text[:8].lower().startswith(("https://", "http://")):
        scheme, _, rest = text.partition(":")
        return f"{scheme.lower()}:{rest}"
    found = _HOST_OF.fullmatch(text.strip())
    return f"https://{found[1].rstrip('.')}{found[2]}" if found is not None and valid_host(found[1]) else None
