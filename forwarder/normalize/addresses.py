"""What counts as an IP address and as an e-mail address. Nothing is repaired: what is not one is taken for none."""

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
_PARTS = re.compile(r"(?:(https?:)?//)?([^/\\?#]*)(.*)", re.IGNORECASE | re.DOTALL)
"""Scheme, authority and rest of an address of the web, of which sites have no more than the last two in some events."""
_HOST_OF = re.compile(r"([^\s:]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_REST = re.compile(r"(?:[/?#][^\s\\]*)?").fullmatch


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


def canonical_ip(text: str) -> str:
    """Return the one spelling of an address (RFC 5952), of IPv4 within IPv6 (RFC 4291, 2.5.5.2) that of IPv4.

    Raises ValueError for what is no address.
    """
    if _IPV4(text) is not None:
        return text
    address = ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)


def valid_mail(text: str) -> bool:
    """Say whether `text` has the form of one e-mail address (`Atlassian app` has not)."""
    return len(text) <= LONGEST_MAIL and (_PLAIN_MAIL(text) is not None or _MAIL.fullmatch(text) is not None)


def web_address(text: str | None) -> str | None:
    """Return an address of the web; one without its scheme gets it, and who signs in with it is left out."""
    if not text:
        return None
    if text.startswith(("https://", "http://")) and "@" not in text:
        return text
    scheme, authority, rest = _PARTS.fullmatch(text.strip()).groups()  # type: ignore[union-attr]
    signing_in, _, host = authority.rpartition("@")
    if scheme:
        return f"{scheme.lower()}//{host}{rest}" if host or not authority else None
    found = _HOST_OF.fullmatch(host) if len(text) <= LONGEST_ADDRESS else None
    if signing_in.lower().startswith("mailto:") or valid_mail(text):
        return None
    if found is None or not (valid_host(found[1]) or (found[1][:1] == "[" and valid_ip(found[1][1:-1]))):
        return None
    return f"https://{found[1].rstrip('.').lower()}{found[2] or ''}{rest}" if _REST(rest) else None
