"""Certificates of a run: a good one, and one wrong in each way a certificate can be. Valid long enough for jumped clocks."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

WRONG = ("wrong name", "expired", "unknown authority")
_HOST = "127.0.0.1"


class Certificates:
    """One authority, and a server's certificates by what is wrong with them (nothing: the empty word)."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        authority, stranger = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        past = datetime.now(UTC) - timedelta(days=2)
        facts: dict[str, tuple[trustme.CA, str, dict[str, Any]]] = {
            "": (authority, _HOST, {}),
            "wrong name": (authority, "other.example", {}),
            "expired": (authority, _HOST, {"not_after": past}),
            "unknown authority": (stranger, _HOST, {}),
        }
        self._contexts = {wrong: _context(ca.issue_cert(host, **more)) for wrong, (ca, host, more) in facts.items()}

    def context(self, wrong: str) -> ssl.SSLContext:
        return self._contexts[wrong]


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made
