"""In which spellings a secret goes over the wire and into text.

Escapes of URLs, JSON, HTML and Python are not listed here: `redaction_search` takes them out of the text it looks at,
however often and however partly they were applied. Case is not told apart there either.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from urllib.parse import quote, quote_plus

from forwarder.contracts.text import visible

SHORTEST = 6
"""Shorter secrets are not searched for by value: the stars would be everywhere, and would tell where it occurs."""


def spellings(secret: str) -> set[str]:
    """Return the secret as it may stand in text: raw, in a Python or JSON literal, in a URL, and line by line."""
    found = {secret, quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace")}
    found |= {quote(secret, errors="replace"), secret.replace("-", "")}  # a UUID is often written without its dashes
    for literal in (repr, ascii):
        inner = literal("'\"" + secret)[4:-1]  # both quotes in front, so that the literal escapes the single one
        found |= {inner, inner.replace("\\'", "'")}
    found.add(repr(b"'\"" + secret.encode("utf-8", "surrogatepass"))[5:-1])
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], visible(secret)}
    found |= {line.strip() for line in secret.splitlines() if not line.startswith("-----")}
    found |= {spelling[::-1] for spelling in found}  # tables and scripts of the other direction
    return {spelling for spelling in found if len(spelling) >= SHORTEST}


def parts(secret: str) -> set[str]:
    """Return the secret and what in it is a secret by itself: the key of `id:key`, also when both are encoded."""
    # An escape stands for a byte: beyond ASCII the escapes of one character are those of its bytes in UTF-8.
    found = {secret, secret.encode("utf-8", "surrogatepass").decode("latin-1")}
    for text in (secret, _decoded(secret)):
        name, colon, key = text.partition(":")
        if colon and name and key:
            found |= {text, key}
    return {part for part in found if len(part) >= SHORTEST}


def encodings(secret: str) -> set[str]:
    """Return what any base64, base32 or hex of a text that holds the secret must contain.

    The value of an Authorization header is base64 of `user:password` or `id:key`: the secret stands at one of three
    places in a group of three bytes, and for each the inner characters of its encoding are the same.
    """
    raw = secret.encode("utf-8", "surrogatepass")
    once = _in_base64(raw)
    twice = set().union(*(_in_base64(inner.encode()) for inner in once))
    found = {raw.hex(), raw.hex(":"), raw.hex(" "), *once, *twice}
    found |= {
        base64.b32encode(b"\0" * before + raw).decode()[-(-8 * before // 5) : 8 * (before + len(raw)) // 5]
        for before in range(5)
    }
    found |= {inner.replace("+", "-").replace("/", "_") for inner in once}
    return {text for text in found if len(text) >= SHORTEST}


def _in_base64(raw: bytes) -> set[str]:
    """Return the inner characters for each of the three places."""
    encoded = (base64.b64encode(b"\0" * before + raw).decode() for before in range(3))
    return {text[-(-8 * before // 6) : 8 * (before + len(raw)) // 6] for before, text in enumerate(encoded)}


def _decoded(secret: str) -> str:
    """Return the text behind base64, or nothing when it is not base64 of readable text."""
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{8,4096}={0,2}", secret):
        return ""
    padded = secret.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(padded + "=" * (-len(padded) % 4)).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text if text.isprintable() else ""
