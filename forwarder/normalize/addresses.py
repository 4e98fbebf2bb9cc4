"""What counts as an IP address and as an e-mail address. Nothing is mended: what is none is none."""

from __future__ import annotations

import re
from ipaddress import ip_address

LONGEST_IP = 45
LONGEST_MAIL = 320

_MAIL = re.compile(r"[^\s@<>(),;:\"\[\]\\\x00-\x1f]+@[^\s@<>(),;:\"\[\]\\\x00-\x1f]+")


def valid_ip(text: str) -> bool:
    """Say whether every reader would take `text` as an IPv4 or IPv6 address: no port, no zone, no list."""
    if len(text) > LONGEST_IP or "%" in text:
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def valid_mail(text: str) -> bool:
    """Say whether `text` has the form of one e-mail address (`Atlassian app` has not)."""
    return len(text) <= LONGEST_MAIL and _MAIL.fullmatch(text) is not None
