"""What a web address of a page or issue says: its host, and the id, key or title that stands in it.

Addresses are those that browsers show for Cloud and Data Center: pages, blog posts, whiteboards, short links, issues in
boards, queues and portals. An id that is found is one that the address names, never a number that only looks like one.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit

_ID_IN_QUERY = ("pageId", "selectedIssue", "contentId", "draftId")
_IN_PATH = re.compile(
    r"""/pages/(?:edit(?:-v2|-embed)?/)?(?P<page>[0-9]+)(?:/|$)
      | /blog/[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}/(?P<blog>[0-9]+)(?:/|$)
      | /spaces/[^/]+/(?:whiteboard|database|folder|embed|slide)/(?:edit(?:-v2)?/)?(?P<other>[0-9]+)(?:/|$)
      | /x/(?P<short>[A-Za-z0-9_-]{1,11})/?$
      | /display/[^/]+/(?:[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}/)?(?P<title>[^/]+)/?$
      | /(?:browse|issues|rest/api/[^/]+/(?:issue|content)|rest/agile/[^/]+/issue)/(?P<issue>[^/]+)
      | /(?:portal/[0-9]+|queues/(?:custom|issue|request)/[0-9]+)/(?P<request>[A-Za-z][A-Za-z0-9_]*-[0-9]+)(?:/|$)""",
    re.VERBOSE,
)
_HOST = re.compile(r"[^/\s:@]+\.[A-Za-z][A-Za-z0-9-]*(?::[0-9]+)?/")


class Address(NamedTuple):
    """A web address.

    Attributes:
        host: In lower case; empty where it has none that can be read.
        ids: Ids or keys that it names.
        title: Of a page, where it names that instead.
    """

    host: str
    ids: tuple[str, ...] = ()
    title: str | None = None


def address(text: str) -> Address | None:
    """Return what a web address says; None for a text that is none. Without a scheme it is one if its path is known."""
    text = text.strip()
    has_scheme = "://" in text
    if not has_scheme and not _HOST.match(text):
        return None
    try:
        parts = urlsplit(text if has_scheme else f"https://{text}")
        host = (parts.hostname or "").rstrip(".")
    except ValueError:  # a bracket too many
        return Address("") if has_scheme else None
    query = parse_qs(parts.query)
    ids = [one for name in _ID_IN_QUERY for one in query.get(name, ())]
    title = next(iter(query.get("title", ())), None)
    if found := _IN_PATH.search(parts.path):
        kind, value = str(found.lastgroup), unquote(found[str(found.lastgroup)])
        if kind == "title":
            title = unquote_plus(found["title"])
        elif (ident := _of_short_link(value) if kind == "short" else value) is not None:
            ids.append(ident)
    if not has_scheme and not ids and title is None:
        return None
    return Address(host, tuple(dict.fromkeys(ids)), None if ids else title)


def _of_short_link(text: str) -> str | None:
    """Return the id of a page in the last part of `/x/…`: its bytes in base64, the lowest first, without zeros."""
    number = int.from_bytes(base64.b64decode(text.ljust(11, "A") + "=", altchars=b"_-"), "little")
    return str(number) if number else None


def searched_for(text: str) -> str:
    """Return what a page or issue is looked for by, for what was typed, in words."""
    at = address(text)
    if at is None:
        return "an id, a key, an address or a title"
    if at.ids:
        return f"this address, and the id or key in it: {', '.join(at.ids)}"
    if at.title is not None:
        return f"this address, and the title in it: {at.title}"
    return "this address, which names no id, key or title that is known here; ask by one of these"


def same_site(name: str, host: str) -> bool:
    """Tell whether two names are of one site: logs say its host, its address, or the first word of its host."""
    one, two = sorted((_host(name), _host(host)), key=len)
    return one == two or ("." not in one and two.startswith(f"{one}."))


def _host(name: str) -> str:
    try:
        return (urlsplit(name).hostname or name if "://" in name else name).casefold()
    except ValueError:  # whoever named the site chose it
        return name.casefold()
