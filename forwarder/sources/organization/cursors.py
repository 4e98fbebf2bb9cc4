"""Where a page says how it goes on, in whatever shape it says so.

Documented are `meta.next` (the cursor) and `links.next` (a URL that holds it). Public code also shows other names and
shapes; a cursor is taken from any of them and sent back as it came. A name counts without regard to case, `_` and `-`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

LONGEST_CURSOR = 7000
"""Bytes of a cursor as it stands in a URL. nginx, Apache and common load balancers take a request line of 8 KiB, and
path and the other parameters need some of it; what is longer would be refused with 414, or with a broken connection."""

MEMBERS = (
    "meta",
    "links",
    "_links",
    "paging",
    "pagination",
    "page",
    "pageInfo",
    "page_info",
    "next",
    "nextCursor",
    "next_cursor",
    "nextPageToken",
    "next_page_token",
    "nextPage",
    "next_page",
    "nextToken",
    "next_token",
    "cursor",
    "hasMore",
    "has_more",
)
"""Members of a page beside its events that may say how it goes on, the first that does so counts."""

_NEXT = {
    *("next", "nextcursor", "nextpage", "nextpagecursor", "nextpagetoken", "nextpageurl", "nexttoken", "nextlink"),
    *("nexturl", "nextmarker", "cursornext", "endcursor", "continuation", "continuationtoken", "after"),
}
_MORE = {"hasmore", "hasnext", "hasnextpage", "more", "truncated", "istruncated"}
_INSIDE = ("cursor", "next", "href", "url", "link", "value", "token")
"""Where the cursor is within one that is an object, in order; an object without them is sent as JSON."""
_LINKS = {"href", "url", "link"}

_DEEPEST = 4
_LINK_HEADER = re.compile(r'<([^>]*)>[^,<]*\brel="?next\b', re.IGNORECASE)


_RELATIVE_URL = re.compile(r"[\w./~-]*\?[\w.-]+=", re.ASCII)
"""A path with a query. Base64 may begin with `/` and end with `=`, and has no `?`."""


class Onward(msgspec.Struct, frozen=True):
    """What a page says of the next one.

    Attributes:
        cursor: Can be sent back; None when there is none that can.
        ended: It says that there is no next page.
        more: It says that there is one.
        too_long: There is a cursor, and it is too long to be sent.
    """

    cursor: str | None = None
    ended: bool = False
    more: bool = False
    too_long: bool = False


def onward_of(members: Mapping[str, bytes], headers: Mapping[str, str] | None = None) -> Onward:
    """Return how a page goes on.

    Args:
        members: Its members beside the events, as the bytes that stand there.
        headers: Those of the answer, lower-case names.
    """
    try:
        return _onward(members, headers or {})
    except RecursionError:
        return Onward(too_long=True)


def _onward(members: Mapping[str, bytes], headers: Mapping[str, str]) -> Onward:
    whole = {name: _read(members[name]) for name in MEMBERS if name in members}
    found = list(_candidates(whole, 0))
    link = _LINK_HEADER.search(headers.get("link", ""))
    texts = [text for _, value in found if (text := _text_of(value, 0)) is not None]
    texts += [text] if link is not None and (text := _in_url(link[1])) is not None else []
    flags = [value for value in _flags(whole, 0) if isinstance(value, bool)]
    cursor = next((text for text in texts if is_sendable(text)), None)
    return Onward(
        cursor,
        ended=not texts and (False in flags or any(_is_blank(value) for _, value in found)) and True not in flags,
        more=cursor is None and True in flags,
        too_long=cursor is None and bool(texts),
    )


def is_sendable(cursor: str) -> bool:
    """Tell whether a cursor can be stored and stands in a URL that every server on the way takes."""
    try:
        return len(cursor) <= LONGEST_CURSOR and len(quote(cursor, safe="")) <= LONGEST_CURSOR
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def _read(raw: bytes) -> Any:
    """Return a value; a number as the text it is, because a cursor may be one, and nothing for what cannot be read."""
    try:
        return json.loads(raw.decode("utf-8", "surrogateescape"), parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return None


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _candidates(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield what may be a cursor of the next page, the likeliest first; `cursor` alone may be the one just used."""
    if not isinstance(value, dict) or depth > 2:
        return
    named = [(name, inner) for name, inner in value.items() if _plain(name) in _NEXT]
    yield from named
    for name, inner in value.items():
        if _plain(name) not in _NEXT and _plain(name) != "cursor":
            yield from _candidates(inner, depth + 1)
    if not named and "cursor" in value:
        inner = value["cursor"]
        yield from _candidates(inner, depth + 1) if isinstance(inner, dict) else [("cursor", inner)]


def _flags(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, dict) and depth <= 2:
        for name, inner in value.items():
            if _plain(name) in _MORE:
                yield inner
            else:
                yield from _flags(inner, depth + 1)


def _is_blank(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_blank, value.values() if isinstance(value, dict) else value))
    return value is None or value is False or value == ""


def _text_of(value: Any, depth: int) -> str | None:
    """Return the cursor that a value is or holds, as the text to send."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, str):
        return _of_text(value)
    if _is_blank(value):
        return None
    if isinstance(value, list) and len(value) == 1 and depth < _DEEPEST:
        return _text_of(value[0], depth + 1)
    if isinstance(value, dict) and depth < _DEEPEST:
        for name in _INSIDE:
            if name in value and (text := _text_of(value[name], depth + 1)) is not None:
                return text
    is_link = isinstance(value, dict) and not _LINKS.isdisjoint(value)  # and has no cursor
    return _json(value) if isinstance(value, dict | list) and not is_link else None


def _of_text(text: str) -> str | None:
    """Return the cursor of a text, also when it is a whole or relative URL, which must never be passed back."""
    if text.lower().startswith(("https://", "http://")):
        return _in_url(text)
    if _RELATIVE_URL.match(text) and (text[0] in "/?" or "cursor=" in text.lower()):
        return _in_url(text)
    return text or None


def _in_url(url: str) -> str | None:
    """Return the cursor in a URL's query. A `+` stays one: a cursor is no form, and its base64 may be unescaped."""
    try:
        query = urlsplit(url).query
    except ValueError:  # brackets that hold no IPv6 address
        return None
    pairs = [part.partition("=") for part in query.split("&")]
    for names in ({"cursor"}, _NEXT):
        for name, _, value in pairs:
            if _plain(name) in names and value:
                return unquote(value)
    return None


def _json(value: Any) -> str:
    """Write an object or a list as JSON again, its numbers as they were."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
