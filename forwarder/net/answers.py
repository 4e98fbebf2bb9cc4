"""What an answer that we did not expect says of itself: where it leads, and its own words.

Both are hostile text, printable and short; where a redirect leads is told without its query, which may hold what was
sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forwarder.contracts.text import plain

if TYPE_CHECKING:
    from forwarder.net.http import Response

_LOOKED_AT = 2048
_LONGEST = 200
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)


def leads_to(response: Response) -> str:
    """Return ` to https://host/path` for a redirect, or nothing when it does not say where to."""
    location = response.headers.get("location", "").strip()
    try:
        parts = urlsplit(location[:_LOOKED_AT])
        host = parts.hostname or ""
    except ValueError:
        return ""
    port = re.search(r":\d{1,5}$", parts.netloc)
    where = f"{parts.scheme}://{host}{port[0] if port else ''}{parts.path}" if host else parts.path
    return f" to {plain(where, 120)}" if where else ""


def own_words(response: Response) -> str:
    """Return what a body says: its text, or the title of a web page; empty when there is nothing to read."""
    text = response.body[:_LOOKED_AT].decode("utf-8", "replace").strip()
    if text[:1] == "<":
        title = _TITLE.search(text)
        text = title[1] if title else ""
    return plain(" ".join(text.split()), _LONGEST)
